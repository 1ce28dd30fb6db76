// Sandboxes come and go without a trace: twenty in sequence, five at once.
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { processes } from "../support/leaks.ts";
import { applyReady, deletePods, pod, previewClass } from "../support/pods.ts";
import { type Simulator, startSimulator } from "../support/start-simulator.ts";
import { waitUntil } from "../support/wait-until.ts";

interface Traces {
  readonly processes: number;
  readonly mounts: number;
  readonly namespaces: number;
  readonly sockets: number;
}

describe("churn", () => {
  let simulator: Simulator;
  let before: Traces;
  const options = { runtimeClassName: previewClass };

  beforeAll(async () => {
    simulator = await startSimulator();
    // The first pod makes what stays for all: the node's bridge, the image's mounts.
    await applyReady(simulator.kubectl, pod("first", options));
    await deletePods(simulator.kubectl, "first");
    // A network waits for the next pod, beside the node's own. The shim that waits touches nothing of the home.
    await waitUntil(
      () => {
        before = traces(simulator);
        return before.processes === 1 && before.namespaces === 2;
      },
      { what: "what waits for the next pod", describe: () => simulator.leaks().join("; ") },
    );
  });
  afterAll(async () => {
    await simulator?.[Symbol.asyncDispose]();
  });

  const expectNothingLeft = () =>
    waitUntil(() => JSON.stringify(traces(simulator)) === JSON.stringify(before), {
      what: `the traces to be ${JSON.stringify(before)} again`,
      timeoutMs: 20_000,
      describe: () =>
        `${JSON.stringify(traces(simulator))} ${processes(simulator).join("; ")} ${simulator.leaks().join("; ")}`,
    });

  it("leaves nothing after twenty sandboxes in sequence", { timeout: 400_000 }, async () => {
    for (let index = 0; index < 20; index++) {
      await applyReady(simulator.kubectl, pod(`pod-${index}`, options));
      await deletePods(simulator.kubectl, `pod-${index}`);
    }
    await expectNothingLeft();
  });

  it("leaves nothing after five at once", async () => {
    const names = [1, 2, 3, 4, 5].map((index) => `many-${index}`);
    await applyReady(simulator.kubectl, ...names.map((name) => pod(name, options)));
    const bootIds = await Promise.all(
      names.map((name) =>
        simulator.kubectl.ok(["exec", name, "--", "cat", "/proc/sys/kernel/random/boot_id"]),
      ),
    );
    expect(new Set(bootIds).size).toBe(5);
    await deletePods(simulator.kubectl, ...names);
    await expectNothingLeft();
  });
});

function traces(simulator: Simulator): Traces {
  const inHome = (line: string) => line.includes(`${simulator.home}/`);
  const lines = (path: string) => readFileSync(path, "utf8").split("\n");
  const leaks = simulator.leaks();
  return {
    processes: processes(simulator).length,
    mounts: lines("/proc/self/mountinfo").filter(inHome).length,
    namespaces: leaks.filter((leak) => leak.startsWith("network namespace")).length,
    sockets: lines("/proc/net/unix").filter(inHome).length,
  };
}
