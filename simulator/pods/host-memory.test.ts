// Who may start with the memory there is: many idle VMs, and none that would take the machine down.
import { describe, expect, it } from "vitest";
import { settle } from "../../test/fakes/manual-clock.ts";
import { createHostMemory } from "./host-memory.ts";

const gib = 1024;
const never = new AbortController().signal;

/** A machine on which each VM that has started really uses so much. */
function machine(totalMib: number, availableMib: number, reserveMib?: number) {
  const left = { mib: availableMib };
  const read = async () => ({ totalMib, availableMib: left.mib });
  return { left, memory: createHostMemory({ read, reserveMib }) };
}

describe("the memory of this machine", () => {
  it("has room for fifty idle VMs of 2 GiB that use 50 MiB each, on 4 GiB", async () => {
    const { left, memory } = machine(4 * gib, 3.5 * gib);
    for (let vm = 0; vm < 50; vm++) {
      const need = { wholeMib: 2 * gib, firstMib: 224 };
      expect(await memory.promise(`vm${vm}`, need, never)).toBeUndefined();
      left.mib -= 50;
      memory.release(`vm${vm}`);
    }
  });

  it("stops before the reserve is touched, in numbers", async () => {
    const { left, memory } = machine(4 * gib, 479);
    const need = { wholeMib: 2 * gib, firstMib: 224 };
    expect(await memory.promise("vm", need, never)).toEqual({
      kind: "now",
      neededMib: 224,
      availableMib: 479,
      totalMib: 4096,
      reserveMib: 256,
    });
    left.mib = 480;
    expect(await memory.promise("vm", need, never)).toBeUndefined();
  });

  it("refuses a VM that it could never hold, however much is free", async () => {
    const { memory } = machine(4 * gib, 4 * gib, 100);
    const need = { wholeMib: 4 * gib - 99, firstMib: 300 };
    expect(await memory.promise("vm", need, never)).toMatchObject({ kind: "ever" });
    expect(
      await memory.promise("vm", { ...need, wholeMib: need.wholeMib - 1 }, never),
    ).toBeUndefined();
  });

  it("lets those wait, in order, who do not fit beside others that are starting", async () => {
    const { memory } = machine(8 * gib, 1000, 200);
    const granted: string[] = [];
    const ask = (key: string, firstMib: number, signal = never) =>
      memory
        .promise(key, { wholeMib: 2 * gib, firstMib }, signal)
        .then((shortage) => granted.push(shortage === undefined ? key : `${key}: no`))
        .catch((error: Error) => granted.push(`${key}: ${error.message}`));
    const deleted = new AbortController();
    void ask("a", 500);
    void ask("large", 700);
    void ask("b", 100, deleted.signal);
    void ask("c", 100);
    await settle();
    expect(granted).toEqual(["a"]);
    deleted.abort(new Error("deleted"));
    await settle();
    expect(granted).toEqual(["a", "b: deleted"]);
    expect(await memory.facts()).toMatchObject({ promisedMib: 500, reserveMib: 200 });
    memory.release("a");
    await settle();
    expect(granted).toEqual(["a", "b: deleted", "large", "c"]);
  });
});
