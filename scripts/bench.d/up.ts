/** `katasim up -d` of a node that ran before: its state is there, its process is not. */
import { messageOf } from "../../common/errors.ts";
import { vmTestObstacle } from "../../test/support/guest-image.ts";
import { makeSimulator } from "../../test/support/start-simulator.ts";
import { type Group, NotHere, type OpenGroup } from "./group.ts";

const rows = [
  {
    name: "up",
    unit: "ms",
    what: "katasim up -d to its end: the node is Ready, its state was there",
  },
] as const;

export const upGroup: Group = { name: "up", rows, passes: 10, open };

async function open(): Promise<OpenGroup> {
  const obstacle = vmTestObstacle();
  if (obstacle !== undefined) throw new NotHere(obstacle);
  const simulator = await makeSimulator();
  const close = async () => {
    try {
      await simulator[Symbol.asyncDispose]();
      return [];
    } catch (error) {
      return [messageOf(error)];
    }
  };
  const pass = async () => {
    const startedMs = performance.now();
    const { exitCode, stderr } = await simulator.up();
    const upMs = performance.now() - startedMs;
    if (exitCode !== 0) throw new Error(`katasim up exited with ${exitCode}: ${stderr.trim()}`);
    await simulator.katasimOk(["down"]);
    return new Map([["up", [upMs]]]);
  };
  try {
    // The first makes the state.
    await pass();
  } catch (error) {
    await close();
    throw error;
  }
  return {
    sides: [{ name: "up", rows: ["up"], pass }],
    missing: new Map(),
    conditions: () => [],
    close,
  };
}
