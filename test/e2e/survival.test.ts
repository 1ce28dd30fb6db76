// What outlives what: pods a killed daemon, restarts a killed VMM or shim, and nothing a `down`.
import { existsSync, readFileSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { applyReady, pod, previewClass, waitReady } from "../support/pods.ts";
import { makeSimulator, type Simulator, startSimulator } from "../support/start-simulator.ts";
import { waitUntil } from "../support/wait-until.ts";

interface SandboxJson {
  readonly id: string;
  readonly pod: string;
  readonly state: string;
  readonly shimPid: number;
  readonly vm?: { readonly vmmPid: number; readonly bootId: string };
}

interface PodJson {
  readonly status: {
    readonly phase: string;
    readonly containerStatuses: ReadonlyArray<{
      readonly restartCount: number;
      readonly ready: boolean;
      readonly containerID: string;
      readonly lastState: {
        readonly terminated?: { exitCode: number; message?: string; reason?: string };
      };
    }>;
  };
}

const counting = [
  "/bin/sh",
  "-c",
  "trap 'exit 0' TERM; i=0; while :; do i=$((i+1)); echo line $i; sleep 0.2 & wait; done",
];

async function sandboxes(simulator: Simulator): Promise<readonly SandboxJson[]> {
  return JSON.parse(await simulator.katasimOk(["sandbox", "list", "-o", "json"])).items;
}

async function sandboxOf(simulator: Simulator, name: string): Promise<SandboxJson> {
  const found = (await sandboxes(simulator)).filter((one) => one.pod === name).at(-1);
  if (found === undefined) throw new Error(`no sandbox of pod ${name}`);
  return found;
}

async function containerOf(simulator: Simulator, name: string) {
  const { status } = await simulator.kubectl.json<PodJson>(["get", "pod", name]);
  return status.containerStatuses[0]!;
}

function daemonPid(simulator: Simulator): number {
  const file = join(simulator.home, "run", simulator.instance, "katasim.pid");
  return Number(readFileSync(file, "utf8").split("\n")[0]);
}

describe("survival", () => {
  let simulator: Simulator;
  beforeAll(async () => {
    simulator = await startSimulator();
    await applyReady(
      simulator.kubectl,
      pod("trusted", { containers: [{ command: counting }] }),
      pod("untrusted", { containers: [{ command: counting }], runtimeClassName: previewClass }),
    );
  });
  afterAll(async () => {
    await simulator?.[Symbol.asyncDispose]();
  });

  it("keeps pods, restart counts and whole logs through kill -9 of katasim", async () => {
    const before = {
      trusted: await containerOf(simulator, "trusted"),
      untrusted: await containerOf(simulator, "untrusted"),
      boot: (await sandboxOf(simulator, "untrusted")).vm?.bootId,
    };
    process.kill(daemonPid(simulator), "SIGKILL");
    const orphaned = await simulator.katasim(["status"]);
    expect(orphaned.exitCode).toBe(1);
    expect(orphaned.stdout).toContain("the daemon has gone; its pods still run");
    expect((await simulator.up()).exitCode).toBe(0);
    for (const name of ["trusted", "untrusted"] as const) {
      await waitReady(simulator.kubectl, name);
      const after = await containerOf(simulator, name);
      expect(after.restartCount).toBe(0);
      expect(after.containerID).toBe(before[name].containerID);
      const count = (await simulator.kubectl.ok(["logs", name])).trimEnd().split("\n").length;
      const more = await waitUntil(
        async () => {
          const lines = (await simulator.kubectl.ok(["logs", name])).trimEnd().split("\n");
          return lines.length > count + 3 && lines;
        },
        { what: `${name} to go on logging` },
      );
      expect(more).toEqual(more.map((_, index) => `line ${index + 1}`));
    }
    expect((await sandboxOf(simulator, "untrusted")).vm?.bootId).toBe(before.boot);
    const exec = await simulator.kubectl.ok(["exec", "untrusted", "--", "echo", "still here"]);
    expect(exec).toBe("still here\n");
  });

  it.each([
    ["virtual machine monitor", (sandbox: SandboxJson) => sandbox.vm!.vmmPid],
    ["shim", (sandbox: SandboxJson) => sandbox.shimPid],
  ])("reports and restarts after kill -9 of the %s", async (what, pidOf) => {
    const restarts = (await containerOf(simulator, "untrusted")).restartCount;
    const old = await sandboxOf(simulator, "untrusted");
    process.kill(pidOf(old), "SIGKILL");
    const after = await waitUntil(
      async () => {
        const container = await containerOf(simulator, "untrusted");
        return container.restartCount > restarts && container.ready && container;
      },
      {
        what: `the pod to be restarted after its ${what} was killed`,
        timeoutMs: 120_000,
        describe: async () => JSON.stringify(await containerOf(simulator, "untrusted")),
      },
    );
    const terminated = after.lastState.terminated;
    expect(terminated?.exitCode).not.toBe(0);
    expect(terminated?.message).toContain(what);
    const fresh = await sandboxOf(simulator, "untrusted");
    expect(fresh.id).not.toBe(old.id);
    expect(fresh.vm?.bootId).not.toBe(old.vm?.bootId);
    // Nothing of the old sandbox may run on.
    for (const pid of [old.shimPid, old.vm!.vmmPid]) expect(existsSync(`/proc/${pid}`)).toBe(false);
  });

  it("leaves nothing but the state folder after down, and brings the pods back on up", async () => {
    const down = await simulator.katasim(["down", "--grace", "1s"]);
    expect(down.exitCode).toBe(0);
    expect(simulator.leaks()).toEqual([]);
    expect(await readdir(simulator.home)).not.toContain("run");
    expect((await simulator.katasim(["status"])).exitCode).toBe(4);
    expect((await simulator.katasim(["down"])).exitCode).toBe(0);
    expect((await simulator.up()).exitCode).toBe(0);
    for (const name of ["trusted", "untrusted"]) await waitReady(simulator.kubectl, name);
  });

  it("sweeps everything after the daemon was killed", async () => {
    process.kill(daemonPid(simulator), "SIGKILL");
    const down = await simulator.katasim(["down", "--grace", "1s"]);
    expect(down.stderr).toContain("2 pods stopped");
    expect(down.exitCode).toBe(0);
    expect(simulator.leaks()).toEqual([]);
  });

  it("forgets everything with down --delete, but the shared cache", async () => {
    expect((await simulator.up()).exitCode).toBe(0);
    expect((await simulator.katasim(["down", "--delete", "--grace", "1s"])).exitCode).toBe(0);
    expect(simulator.leaks()).toEqual([]);
    const left = await readdir(simulator.home);
    expect(left.filter((name) => ["run", "state"].includes(name))).toEqual([]);
    expect(readFileSync(simulator.kubeconfig, "utf8")).not.toContain(simulator.instance);
  });
});

describe("a foreground node", () => {
  it("stops its pods and ends with 130 on Ctrl-C", async () => {
    await using simulator = await makeSimulator();
    const running = simulator.katasim(["up", "--api-port", "0"]);
    await waitUntil(() => existsSync(simulator.kubeconfig), { what: "the node to be ready" });
    await applyReady(simulator.kubectl, pod("trusted"));
    process.kill(daemonPid(simulator), "SIGINT");
    const outcome = await running;
    expect(outcome.exitCode).toBe(130);
    expect(simulator.leaks()).toEqual([]);
  });
});
