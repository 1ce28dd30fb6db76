/**
 * The lines of the pod's resolv.conf by dnsPolicy: kubelet network/dns/dns.go. There is no cluster
 * DNS on this node, so ClusterFirst falls back to Default, as a kubelet without --cluster-dns does.
 */
import { readFile } from "node:fs/promises";
import type { PodSpec } from "../../proto/kubernetes/gen/types.ts";
import type { SandboxSpec } from "../runtime-port.ts";

type Dns = SandboxSpec["dns"];

export async function podDns(
  spec: PodSpec,
  readHost: () => Promise<string> = () => readFile("/etc/resolv.conf", "utf8"),
): Promise<Dns> {
  const base: Dns =
    spec.dnsPolicy === "None"
      ? { servers: [], searches: [], options: [] }
      : parseResolvConf(await readHost().catch(() => ""));
  const own = spec.dnsConfig;
  const options = new Map(base.options.map((option) => [option.split(":")[0], option]));
  for (const { name = "", value } of own?.options ?? []) {
    options.set(name, value === undefined ? name : `${name}:${value}`);
  }
  return {
    servers: [...new Set([...base.servers, ...(own?.nameservers ?? [])])],
    searches: [...new Set([...base.searches, ...(own?.searches ?? [])])],
    options: [...options.values()],
  };
}

/** resolv.conf(5): the last `search` and `options` lines hold. */
export function parseResolvConf(text: string): Dns {
  const servers: string[] = [];
  let searches: string[] = [];
  let options: string[] = [];
  for (const line of text.split("\n")) {
    const [keyword, ...rest] = line.trim().split(/\s+/);
    if (keyword === "nameserver" && rest[0] !== undefined) servers.push(rest[0]);
    if (keyword === "search") searches = rest;
    if (keyword === "options") options = rest;
  }
  return { servers, searches, options };
}
