// Many pods at once: sandboxes start in turn, and none into memory that this machine keeps for itself.
import { afterEach, describe, expect, it } from "vitest";
import { pod, previewClass, waitFor, waitReady } from "../support/pods.ts";
import { type Simulator, startSimulator } from "../support/start-simulator.ts";
import { waitUntil } from "../support/wait-until.ts";

let simulator: Simulator;
afterEach(async () => {
  await simulator?.[Symbol.asyncDispose]();
});

describe("pods that come together", () => {
  it("start their VMs one after the other where one at a time is allowed", async () => {
    simulator = await startSimulator({ up: ["--parallel-starts", "1"] });
    const names = ["one", "two", "three"];
    for (const name of names) {
      await simulator.kubectl.apply(pod(name, { runtimeClassName: previewClass }));
    }
    const { starts } = JSON.parse(await simulator.katasimOk(["status", "-o", "json"])).agent;
    expect(starts.sandboxed.places).toBe(1);
    for (const name of names) await waitReady(simulator.kubectl, name);
    const turns = await Promise.all(
      names.map((name) =>
        waitUntil(
          async () => {
            const shown = await simulator.katasimOk(["sandbox", "show", name, "-o", "json"]);
            const steps: Array<{ step: string; atMs: number }> = JSON.parse(shown).timeline;
            const at = (step: string) => steps.find((each) => each.step === step)?.atMs ?? 0;
            return at("start slot") > 0 && { from: at("start slot"), to: at("sandbox ready") };
          },
          { what: `the timeline of ${name}` },
        ),
      ),
    );
    const inOrder = turns.toSorted((a, b) => a.from - b.from);
    for (const [index, { to }] of inOrder.entries()) {
      expect(inOrder[index + 1]?.from ?? Number.POSITIVE_INFINITY).toBeGreaterThanOrEqual(to);
    }
  });

  it("are refused in numbers when this machine keeps its memory for itself", async () => {
    simulator = await startSimulator({ up: ["--memory-reserve", "100000000"] });
    await simulator.kubectl.apply(pod("p", { runtimeClassName: previewClass }));
    await waitFor(simulator.kubectl, "p", "jsonpath={.status.phase}=Failed");
    const { status } = JSON.parse(await simulator.kubectl.ok(["get", "pod", "p", "-o", "json"]));
    expect(status.reason).toBe("OutOfmemory");
    const words = "MiB, of which 100000000 MiB are kept for the machine itself";
    expect(status.message).toContain(words);
    const field = "--field-selector=reason=OutOfmemory";
    const events = await simulator.kubectl.ok(["get", "events", field, "-o", "json"]);
    expect(JSON.parse(events).items[0].message).toContain(words);
  });
});
