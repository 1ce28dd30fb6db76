/** The pod's /etc/resolv.conf and /etc/hostname, as containerd's CRI part writes them. */
import type { SandboxSpec } from "../runtime-port.ts";

/** Order and form of containerd internal/cri/server/sandbox_run_linux.go parseDNSOptions. */
export function resolvConf(dns: SandboxSpec["dns"]): string {
  const lines: string[] = [];
  if (dns.searches.length > 0) lines.push(`search ${dns.searches.join(" ")}`);
  for (const server of dns.servers) lines.push(`nameserver ${server}`);
  if (dns.options.length > 0) lines.push(`options ${dns.options.join(" ")}`);
  return lines.map((line) => `${line}\n`).join("");
}
