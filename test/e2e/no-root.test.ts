// The main job without root: a plain user's katasim, kubectl and micro-VMs; then the same network as root.
import { readdirSync, readFileSync, statSync } from "node:fs";
import { release } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { vmTestObstacle } from "../support/guest-image.ts";
import { makePlainUser, type PlainUser, plainUserObstacle } from "../support/plain-user.ts";
import { applyReady, deletePods, idle, pod, previewClass, waitReady } from "../support/pods.ts";
import { throughPortForward } from "../support/port-forward.ts";
import { makeSimulator, type Simulator, startSimulator } from "../support/start-simulator.ts";
import { waitUntil } from "../support/wait-until.ts";

const obstacle = vmTestObstacle() ?? plainUserObstacle();
if (obstacle !== undefined) console.warn(`skipped: ${obstacle}`);

const server = "while :; do echo pong | nc -l -p 8080 -s 127.0.0.1 -q 0; done";
const settings = {
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name: "settings" },
  data: { key: "value" },
};
const password = {
  apiVersion: "v1",
  kind: "Secret",
  metadata: { name: "password" },
  stringData: { word: "secret" },
};
const untrusted = (fsGroup?: number) =>
  pod("untrusted", {
    runtimeClassName: previewClass,
    containers: [
      {
        command: ["/bin/sh", "-c", `echo started; (${server}) & ${idle[2]}`],
        volumeMounts: ["settings", "password", "work"].map((name) => ({
          name,
          mountPath: `/${name}`,
        })),
      },
    ],
    spec: {
      ...(fsGroup === undefined ? {} : { securityContext: { fsGroup } }),
      volumes: [
        { name: "settings", configMap: { name: "settings" } },
        { name: "password", secret: { secretName: "password", defaultMode: 0o400 } },
        { name: "work", emptyDir: {} },
      ],
    },
  });

describe.skipIf(obstacle !== undefined)("a user without root", () => {
  let user: PlainUser;
  let simulator: Simulator;
  let upSaid: string;
  const exec = async (script: string) =>
    (await simulator.kubectl.ok(["exec", "untrusted", "--", "/bin/sh", "-c", script])).trim();
  const sandbox = async () =>
    JSON.parse(await simulator.katasimOk(["sandbox", "show", "untrusted", "-o", "json"]));

  beforeAll(async () => {
    user = await makePlainUser();
    simulator = await makeSimulator({ user });
    const started = await simulator.up();
    upSaid = started.stderr;
    expect([started.exitCode, upSaid]).toEqual([0, expect.any(String)]);
    await simulator.kubectl.apply(settings);
    await simulator.kubectl.apply(password);
    await applyReady(simulator.kubectl, untrusted(2000));
  });
  afterAll(async () => {
    // Asserts that no process, socket or mount of the instance is left.
    await simulator?.[Symbol.asyncDispose]();
    await user?.[Symbol.asyncDispose]();
    expect(processesOf(user.uid)).toEqual([]);
  });

  it("is told what this node cannot do", () => {
    expect(upSaid).toMatch(/warning: pods are on user-mode networks.*port-forward/);
    expect(upSaid).toMatch(/warning: runtime handler runc is not usable: .*it needs root/);
  });

  it("has its pod in a VM of its own, which is the user's process", async () => {
    expect(await exec("uname -r")).not.toBe(release());
    const { vm } = await sandbox();
    expect(await exec("cat /proc/sys/kernel/random/boot_id")).toBe(vm.bootId);
    expect(statSync(`/proc/${vm.vmmPid}`).uid).toBe(user.uid);
  });

  it("sees the pod's own address, and an event on what it is worth", async () => {
    const wide = await simulator.kubectl.ok(["get", "pod", "untrusted", "-o", "wide"]);
    const ip = /\b10\.244\.0\.\d+\b/.exec(wide)?.[0];
    expect(await exec("ip -4 -o addr show eth0")).toContain(`${ip}/24`);
    const described = await simulator.kubectl.ok(["describe", "pod", "untrusted"]);
    expect(described).toMatch(/Warning +NetworkLimited .*port-forward is the only way in/);
  });

  it("gets logs, and files in and out", async () => {
    expect(await simulator.kubectl.ok(["logs", "untrusted"])).toBe("started\n");
    const there = join(user.home.path, "back");
    await simulator.kubectl.ok(["cp", "/etc/hostname", "untrusted:/work/copied"]);
    expect(await exec("cat /work/copied")).toBe(readFileSync("/etc/hostname", "utf8").trim());
    await simulator.kubectl.ok(["cp", "untrusted:/settings/..data/key", there]);
    expect(readFileSync(there, "utf8")).toBe("value");
  });

  it("forwards a port", async () => {
    expect(await throughPortForward(simulator, { pod: "untrusted", prefix: user.prefix })).toBe(
      "pong\n",
    );
  });

  it("gives volumes and files the owners they have on a node", async () => {
    const stat = (path: string) => exec(`stat -Lc '%u %g %a' ${path}`);
    expect(await stat("/settings/key")).toBe("0 2000 644");
    expect(await stat("/password/word")).toBe("0 2000 440");
    expect(await stat("/work")).toBe("0 2000 2777");
    expect(await stat("/etc/hosts")).toBe("0 0 644");
    expect(await stat("/etc/shadow")).toBe("0 42 640");
  });

  it("is refused a pod on the shared kernel, with the reason and the way out", async () => {
    await simulator.kubectl.apply(pod("trusted"));
    const described = await waitUntil(
      async () => {
        const said = await simulator.kubectl.ok(["describe", "pod", "trusted"]);
        return said.includes("FailedCreatePodSandBox") && said;
      },
      { what: "the refusal" },
    );
    expect(described).toMatch(/it needs root.*run katasim as root.*runtimeClassName/);
    await deletePods(simulator.kubectl, "trusted");
  });

  it("goes on with its pods after a kill -9 of the daemon", async () => {
    const before = await sandbox();
    const status = JSON.parse((await simulator.katasim(["status", "-o", "json"])).stdout);
    process.kill(status.pid, "SIGKILL");
    expect((await simulator.up()).exitCode).toBe(0);
    await waitReady(simulator.kubectl, "untrusted");
    expect((await sandbox()).vm.bootId).toBe(before.vm.bootId);
    expect(await exec("echo again")).toBe("again");
  });

  it("gets a new VM after a kill -9 of the VMM", async () => {
    const before = await sandbox();
    process.kill(before.vm.vmmPid, "SIGKILL");
    await waitUntil(
      async () => {
        const now = await sandbox().catch(() => undefined);
        return now?.vm !== undefined && now.vm.bootId !== before.vm.bootId;
      },
      { what: "another VM", timeoutMs: 120_000 },
    );
    await waitReady(simulator.kubectl, "untrusted");
  });

  it("deletes its pod, and the VM goes", async () => {
    const { vm } = await sandbox();
    await deletePods(simulator.kubectl, "untrusted");
    expect(() => process.kill(vm.vmmPid, 0)).toThrow("ESRCH");
  });
});

describe.skipIf(obstacle !== undefined)("root with --network user", () => {
  let simulator: Simulator;
  beforeAll(async () => {
    simulator = await startSimulator({ up: ["--network", "user"] });
    await simulator.kubectl.apply(settings);
    await simulator.kubectl.apply(password);
    const command = ["/bin/sh", "-c", `(${server}) & ${idle[2]}`];
    await applyReady(simulator.kubectl, untrusted(), pod("trusted", { containers: [{ command }] }));
  });
  afterAll(async () => {
    await simulator?.[Symbol.asyncDispose]();
  });

  it("reaches both pods by port-forward", async () => {
    for (const name of ["untrusted", "trusted"]) {
      expect(await throughPortForward(simulator, { pod: name })).toBe("pong\n");
    }
  });

  it("gives the VM an address, and the shared kernel's pod its loopback alone", async () => {
    const ipOf = (name: string) =>
      simulator.kubectl.ok(["get", "pod", name, "-o", "jsonpath={.status.podIP}"]);
    expect(await ipOf("untrusted")).toMatch(/^10\.244\.0\./);
    expect(await ipOf("trusted")).toBe("");
    const links = await simulator.kubectl.ok(["exec", "trusted", "--", "ls", "/sys/class/net"]);
    expect(links.trim()).toBe("lo");
    const described = await simulator.kubectl.ok(["describe", "pod", "trusted"]);
    expect(described).toMatch(/NetworkLimited .*its loopback and no address/);
  });
});

/** Their command lines. The dead that init has yet to reap have none. */
function processesOf(uid: number): readonly string[] {
  return readdirSync("/proc").flatMap((name) => {
    try {
      if (!/^\d+$/.test(name) || statSync(`/proc/${name}`).uid !== uid) return [];
      const words = readFileSync(`/proc/${name}/cmdline`, "utf8").split("\0").join(" ");
      return words === "" ? [] : [words];
    } catch {
      return [];
    }
  });
}
