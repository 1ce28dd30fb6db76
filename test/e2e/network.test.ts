// Real pod IPs: trusted and sandboxed pods and the host reach each other by what `kubectl get pods -o wide`
// shows. The host is a network namespace of the test's own: nothing is sent from the machine's.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { applyReady, deletePods, pod, previewClass, waitReady } from "../support/pods.ts";
import { type Simulator, startSimulator } from "../support/start-simulator.ts";

const host = `host-${process.pid}`;
const netns = `/run/netns/${host}`;
const names = ["trusted", "sandboxed-a", "sandboxed-b"] as const;

/** Serves its own name by HTTP. */
const serving = [
  "/bin/sh",
  "-c",
  "mkdir /tmp/www && hostname > /tmp/www/index.html && exec busybox httpd -f -p 8080 -h /tmp/www",
];

describe("pod addresses", () => {
  let simulator: Simulator;
  const ips = new Map<string, string>();
  const exec = async (name: string, ...command: readonly string[]) =>
    (await simulator.kubectl.ok(["exec", name, "--", ...command])).trim();
  const onHost = (...command: readonly string[]) =>
    execFileSync("nsenter", [`--net=${netns}`, "--", ...command], { encoding: "utf8" }).trim();
  /** What the host hears from the pod's server. */
  const fetchOnHost = (ip: string) =>
    onHost(
      process.execPath,
      "-e",
      `fetch("http://${ip}:8080/").then((answer) => answer.text()).then((text) => process.stdout.write(text))`,
    );
  const readIps = async () => {
    const { items } = await simulator.kubectl.json<{
      items: ReadonlyArray<{ metadata: { name: string }; status: { podIP: string } }>;
    }>(["get", "pods"]);
    return new Map(items.map(({ metadata, status }) => [metadata.name, status.podIP]));
  };

  beforeAll(async () => {
    execFileSync("ip", ["netns", "add", host]);
    execFileSync("ip", ["-n", host, "link", "set", "lo", "up"]);
    simulator = await startSimulator({ netns });
    const containers = [{ command: serving }];
    await applyReady(
      simulator.kubectl,
      pod("trusted", { containers }),
      pod("sandboxed-a", { containers, runtimeClassName: previewClass }),
      pod("sandboxed-b", { containers, runtimeClassName: previewClass }),
    );
    for (const [name, ip] of await readIps()) ips.set(name, ip);
  });
  afterAll(async () => {
    try {
      await simulator?.[Symbol.asyncDispose]();
      expect(onHost("ip", "-o", "link").split("\n")).toHaveLength(1);
      expect(onHost("ip", "route")).toBe("");
    } finally {
      execFileSync("ip", ["netns", "delete", host]);
    }
  });

  it("are those the pods themselves know, in the range of the Node", async () => {
    const wide = await simulator.kubectl.ok(["get", "pods", "-o", "wide"]);
    const node = await simulator.kubectl.json<{ spec: { podCIDR: string } }>([
      ...["get", "node", simulator.nodeName],
    ]);
    const prefix = node.spec.podCIDR.replace(/0\/24$/, "");
    for (const name of names) {
      const ip = ips.get(name) ?? "";
      expect(await exec(name, "ip", "-o", "-4", "addr", "show", "eth0")).toContain(` ${ip}/24 `);
      expect(wide).toMatch(new RegExp(`^${name} .* ${ip.replaceAll(".", "\\.")} `, "m"));
      expect(ip.startsWith(prefix)).toBe(true);
    }
    expect(new Set(ips.values()).size).toBe(names.length);
  });

  it.each(
    names.flatMap((from) => names.filter((to) => to !== from).map((to) => [from, to] as const)),
  )("lead from %s to %s", async (from, to) => {
    expect(await exec(from, "curl", "-sS", "-m", "30", `http://${ips.get(to)}:8080/`)).toBe(to);
  });

  it.each(names)("lead from the host to %s", (name) => {
    expect(fetchOnHost(ips.get(name) ?? "")).toBe(name);
  });

  it("reach a hostNetwork pod by the node's address", async () => {
    const containers = [{ command: serving }];
    const spec = { hostNetwork: true };
    await applyReady(simulator.kubectl, pod("on-node", { containers, spec }));
    const { status } = await simulator.kubectl.json<{ status: { podIP: string; hostIP: string } }>([
      ...["get", "pod", "on-node"],
    ]);
    expect(status.podIP).toBe(status.hostIP);
    for (const from of ["trusted", "sandboxed-a"]) {
      const url = `http://${status.podIP}:8080/`;
      // The name, too, is the machine's.
      expect(await exec(from, "curl", "-sS", "-m", "30", url)).toBe(hostname());
    }
    await deletePods(simulator.kubectl, "on-node");
  });

  it("stay over a kill -9 and a second up", async () => {
    const pidFile = join(simulator.home, "run", simulator.instance, "katasim.pid");
    const [pid] = /\d+/.exec(readFileSync(pidFile, "utf8")) ?? [];
    process.kill(Number(pid), "SIGKILL");
    const again = await simulator.up();
    expect(again.exitCode, again.stderr).toBe(0);
    for (const name of names) await waitReady(simulator.kubectl, name);
    expect(await readIps()).toEqual(ips);
    for (const name of names) expect(fetchOnHost(ips.get(name) ?? "")).toBe(name);
  });

  it("are free again when the pods are gone", async () => {
    await deletePods(simulator.kubectl, ...names);
    const namespaces = execFileSync("ip", ["netns", "list"], { encoding: "utf8" });
    expect(namespaces).not.toMatch(new RegExp(`^katasim-${simulator.instance}\\S*\\.`, "m"));
    const leases = join(simulator.home, "run", simulator.instance, "network/leases/katasim");
    for (const ip of ips.values()) expect(existsSync(join(leases, ip))).toBe(false);
  });
});
