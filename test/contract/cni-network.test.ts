/** The pod network with Debian's genuine CNI plugins, in a namespace that plays the machine. */
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  makeNetworkScene,
  type NetworkScene,
  type RemoteNetwork,
  whyNoCni,
} from "./node-support/network-scene.ts";

const why = whyNoCni();
if (why !== undefined) console.warn(`skipped: no pod network can be made here: ${why}`);

const id = (n: number) => `${String(n).padStart(12, "a")}${"f".repeat(52)}`;

describe.skipIf(why !== undefined)("the pod network of CNI plugins", () => {
  let scene: NetworkScene;
  let untouched: string;
  let serial = 0;
  beforeAll(async () => {
    scene = await makeNetworkScene();
    untouched = machine();
  });
  afterAll(() => scene?.close());

  /** The machine's devices, addresses and routes. */
  const machine = () =>
    scene.run(undefined, "sh", "-c", "ip -o -4 addr; ip -o link | cut -d' ' -f2; ip route");
  /** The pod's own word on its address. */
  const addressIn = (netnsPath: string) =>
    / inet (\S+) /.exec(scene.run(netnsPath, "ip", "-o", "-4", "addr", "show", "eth0"))?.[1];

  /** Why the portmap plugin cannot work here; undefined when it can: it needs iptables and its matches. */
  function whyNoPortmap(): string | undefined {
    const rule =
      "-p tcp -m comment --comment x -m multiport --dports 1 -j DNAT --to-destination 10.0.0.1:1";
    try {
      for (const verb of ["-A", "-D"]) {
        scene.run(undefined, "iptables", "-t", "nat", verb, "PREROUTING", ...rule.split(" "));
      }
      return undefined;
    } catch (error) {
      return String(error);
    }
  }

  /** Runs `work` on a node of its own and finds nothing of it afterwards. */
  async function onNode(
    options: object,
    work: (network: RemoteNetwork) => Promise<void>,
  ): Promise<void> {
    const network = scene.open(`cn${process.pid}x${serial++}`, options);
    try {
      await work(network);
    } finally {
      await network.kill();
      const sweeper = scene.open(network.name, options);
      await sweeper.destroy();
      await sweeper.kill();
    }
    expect(scene.namespaces(network.name)).toEqual([]);
    expect(existsSync(network.folder)).toBe(false);
    expect(machine()).toBe(untouched);
  }

  it("gives pods addresses of their own, by which they and the machine reach them", async () => {
    await onNode({}, async (network) => {
      expect(await network.ensureNode()).toEqual({
        podCidr: "10.244.0.0/24",
        hostPorts: false,
        limits: [],
      });
      const a = await network.attach(id(1));
      const b = await network.attach(id(2));
      expect(addressIn(a.netnsPath)).toBe(`${a.ip}/24`);
      expect(addressIn(b.netnsPath)).toBe(`${b.ip}/24`);
      expect(a.ip).not.toBe(b.ip);
      expect(scene.run(a.netnsPath, "ip", "route")).toContain("default via 10.244.0.1 dev eth0");
      await scene.echo(a.netnsPath, 9000);
      expect(scene.ask(b.netnsPath, a.ip, 9000)).toBe("hi\n");
      expect(scene.ask(undefined, a.ip, 9000)).toBe("hi\n");
      await network.check(id(1));
    });
  });

  it("lets nothing through the machine", async () => {
    await onNode({}, async (network) => {
      scene.run(undefined, "sysctl", "-qw", "net.ipv4.ip_forward=1");
      await network.ensureNode();
      const [, device] = /^\d+: (kata[0-9a-f]+)@/m.exec(scene.run(undefined, "ip", "link")) ?? [];
      const forwarding = `net.ipv4.conf.${device}.forwarding`;
      expect(scene.run(undefined, "sysctl", "-n", forwarding)).toBe("0\n");
      expect(scene.run(undefined, "ip", "link", "show", `${device}`)).toContain(
        `alias katasim-${network.name}`,
      );
    });
  });

  it("reaches hostNetwork pods by the node's address", async () => {
    await onNode({}, async (network) => {
      await network.ensureNode();
      const { netnsPath } = await network.attach(id(1));
      await scene.echo(`/run/netns/katasim-${network.name}`, 9000);
      expect(scene.ask(netnsPath, "10.224.0.4", 9000)).toBe("hi\n");
    });
  });

  it("leaves nothing of a pod that is detached, however often", async () => {
    await onNode({}, async (network) => {
      const { netnsPath } = await network.attach(id(1));
      await network.detach(id(1));
      await network.detach(id(1));
      await network.detach(id(7));
      expect(existsSync(netnsPath)).toBe(false);
      expect(readdirSync(join(network.folder, "attachments"))).toEqual([]);
      const leases = readdirSync(join(network.folder, "leases/katasim"));
      expect(leases.filter((name) => name.startsWith("10."))).toEqual([]);
      const ports = scene.run(`/run/netns/katasim-${network.name}`, "ip", "-o", "link");
      expect(ports).not.toContain("veth");
    });
  });

  it("starts afresh for a sandbox that it knows", async () => {
    await onNode({}, async (network) => {
      await network.attach(id(1));
      const again = await network.attach(id(1));
      expect(addressIn(again.netnsPath)).toBe(`${again.ip}/24`);
      expect(scene.namespaces(network.name)).toHaveLength(2);
    });
  });

  it("keeps pods over a kill -9, and sweeps those that nobody knows", async () => {
    await onNode({}, async (network) => {
      const a = await network.attach(id(1));
      const b = await network.attach(id(2));
      await network.kill();
      const next = scene.open(network.name);
      expect(await next.ensureNode()).toEqual({
        podCidr: "10.244.0.0/24",
        hostPorts: false,
        limits: [],
      });
      expect(await next.sweep([id(1)])).toEqual([b.netnsPath.slice("/run/netns/".length)]);
      expect(addressIn(a.netnsPath)).toBe(`${a.ip}/24`);
      await next.check(id(1));
      await scene.echo(a.netnsPath, 9000);
      expect(scene.ask(undefined, a.ip, 9000)).toBe("hi\n");
      expect((await next.attach(id(3))).ip).not.toBe(a.ip);
      await next.kill();
    });
  });

  it("finds a pod whose address was taken away", async () => {
    await onNode({}, async (network) => {
      const { netnsPath } = await network.attach(id(1));
      scene.run(netnsPath, "ip", "addr", "flush", "dev", "eth0");
      await expect(network.check(id(1))).rejects.toThrow('plugin type="bridge" name="katasim"');
    });
  });

  it("frees the addresses of pods whose namespaces are gone, as after a reboot", async () => {
    await onNode({}, async (network) => {
      await network.attach(id(1));
      await network.kill();
      for (const name of scene.namespaces(network.name))
        scene.run(undefined, "ip", "netns", "delete", name);
      const next = scene.open(network.name);
      await next.sweep([]);
      const leases = readdirSync(join(network.folder, "leases/katasim"));
      expect(leases.filter((name) => name.startsWith("10."))).toEqual([]);
      await next.kill();
    });
  });

  it("says in the plugin's words that no address is left, and what it half made is gone", async () => {
    await onNode({ podCidr: "10.250.0.0/29" }, async (network) => {
      for (const n of [1, 2, 3, 4]) await network.attach(id(n));
      await expect(network.attach(id(5))).rejects.toThrow(
        'plugin type="bridge" name="katasim" failed (add): failed to allocate for range 0: no IP addresses available in range set: 10.250.0.1-10.250.0.5',
      );
      expect(scene.namespaces(network.name)).toHaveLength(5);
      await network.detach(id(1));
      expect((await network.attach(id(5))).ip).toMatch(/^10\.250\.0\.[2-5]$/);
    });
  });

  it("names the plugin that is missing and where it was looked for", async () => {
    await onNode({ binDirs: ["/nowhere", "/usr/bin"] }, async (network) => {
      await expect(network.attach(id(1))).rejects.toThrow(
        'failed to find plugin "bridge" in path [/nowhere /usr/bin]',
      );
      expect(scene.namespaces(network.name)).toHaveLength(1);
    });
  });

  it("gives two nodes beside each other ranges of their own", async () => {
    await onNode({}, async (first) => {
      const second = scene.open(`${first.name}b`);
      const [one, two] = await Promise.all([first.ensureNode(), second.ensureNode()]);
      expect(new Set([one.podCidr, two.podCidr])).toEqual(
        new Set(["10.244.0.0/24", "10.244.1.0/24"]),
      );
      const a = await first.attach(id(1));
      const b = await second.attach(id(1));
      for (const { netnsPath, ip } of [a, b]) {
        await scene.echo(netnsPath, 9000);
        expect(scene.ask(undefined, ip, 9000)).toBe("hi\n");
      }
      await second.destroy();
      await second.kill();
      // It is the state folder that remembers the range.
      const again = scene.open(`${first.name}b`);
      expect(await again.ensureNode()).toEqual(two);
      await again.destroy();
      await again.kill();
    });
  });

  it("refuses a range that the machine has a route for, and works without the cable otherwise", async () => {
    scene.run(undefined, "ip", "link", "add", "corp", "type", "bridge");
    try {
      scene.run(undefined, "ip", "link", "set", "corp", "up");
      scene.run(undefined, "ip", "route", "add", "10.0.0.0/8", "dev", "corp");
      const asked = scene.open("taken", { podCidr: "10.250.0.0/24" });
      await expect(asked.ensureNode()).rejects.toThrow(
        "the pod range 10.250.0.0/24 overlaps the machine's route 10.0.0.0/8 dev corp",
      );
      await asked.kill();
      const network = scene.open("covered");
      expect(await network.ensureNode()).toEqual({
        podCidr: "10.244.0.0/24",
        hostPorts: false,
        limits: [
          "this machine cannot reach the pods by their addresses: the route 10.0.0.0/8 dev corp covers 10.244.0.0/24",
        ],
      });
      const a = await network.attach(id(1));
      const b = await network.attach(id(2));
      await scene.echo(a.netnsPath, 9000);
      expect(scene.ask(b.netnsPath, a.ip, 9000)).toBe("hi\n");
      await network.destroy();
      await network.kill();
    } finally {
      scene.run(undefined, "ip", "link", "delete", "corp");
    }
  });

  it("runs a list that the user gives where it runs itself", async () => {
    const whyNoPorts = whyNoPortmap();
    if (whyNoPorts !== undefined) console.warn(`without hostPorts: ${whyNoPorts}`);
    const configFile = join(scene.folder, "ptp.conflist");
    writeFileSync(
      configFile,
      JSON.stringify({
        cniVersion: "0.4.0",
        name: "mine",
        // portmap's CHECK asks for IPv6 chains that its ADD does not make without IPv6.
        disableCheck: true,
        plugins: [
          {
            type: "ptp",
            ipam: {
              type: "host-local",
              dataDir: join(scene.folder, "ptp-leases"),
              ranges: [[{ subnet: "10.251.0.0/24" }]],
              routes: [{ dst: "0.0.0.0/0" }],
            },
          },
          { type: "tuning", sysctl: { "net.core.somaxconn": "500" } },
          ...(whyNoPorts === undefined
            ? [{ type: "portmap", capabilities: { portMappings: true } }]
            : []),
        ],
      }),
    );
    await onNode({ configFile }, async (network) => {
      expect(await network.ensureNode()).toEqual({
        hostPorts: whyNoPorts === undefined,
        limits: [],
      });
      const { ip, netnsPath } = await network.attach(id(1), [
        { hostPort: 18080, containerPort: 9000, protocol: "tcp" },
      ]);
      expect(ip).toBe("10.251.0.2");
      expect(addressIn(netnsPath)).toBe("10.251.0.2/24");
      expect(scene.run(netnsPath, "sysctl", "-n", "net.core.somaxconn")).toBe("500\n");
      expect(scene.run(undefined, "ip", "route")).toContain("10.251.0.2 dev veth");
      await scene.echo(netnsPath, 9000);
      expect(scene.ask(undefined, ip, 9000)).toBe("hi\n");
      if (whyNoPorts === undefined) expect(scene.ask(undefined, "10.251.0.1", 18080)).toBe("hi\n");
      await network.check(id(1));
      await network.detach(id(1));
      if (whyNoPorts === undefined) {
        expect(scene.run(undefined, "iptables", "-t", "nat", "-S")).not.toContain("18080");
      }
    });
    expect(readdirSync(join(scene.folder, "ptp-leases/mine"))).not.toContain("10.251.0.2");
  });

  it("refuses a list that is none", async () => {
    const configFile = join(scene.folder, "bad.conflist");
    writeFileSync(configFile, '{"cniVersion":"1.0.0","name":"x"}');
    await onNode({ configFile }, async (network) => {
      await expect(network.ensureNode()).rejects.toThrow(`${configFile} is no CNI configuration`);
    });
  });
});
