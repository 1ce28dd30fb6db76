/** Fifty sandboxed pods asked for at the same time, and deleted at the same time. */
import type { Group, OpenGroup, OpenOptions } from "./group.ts";
import { startWarmNode, vmConditions } from "./nodes.ts";

const count = 50;

const rows = [
  {
    name: `together-${count}`,
    unit: "ms",
    what: `${count} POSTs at once till the last pod runs`,
    long: true,
  },
  {
    name: `together-${count}-each`,
    unit: "ms",
    what: "each of them, from its POST till it runs",
    long: true,
  },
  {
    name: `together-${count}-gone`,
    unit: "ms",
    what: `${count} DELETEs at once till the last shim and VMM have ended`,
    long: true,
  },
] as const;

export const togetherGroup: Group = { name: "together", rows, passes: "once", open };

async function open({ signal }: OpenOptions): Promise<OpenGroup> {
  const node = await startWarmNode({ signal });
  let conditions = "no VM was started";
  const names = Array.from({ length: count }, (_, index) => `together-${index}`);
  const pass = async () => {
    const startsMs = await Promise.all(names.map((name) => node.startPod(name, "sandboxed")));
    conditions = vmConditions(await node.sandboxOf("together-0"));
    const ends = await Promise.all(names.map((name) => node.endPod(name)));
    return new Map([
      [`together-${count}`, [Math.max(...startsMs)]],
      [`together-${count}-each`, startsMs],
      [`together-${count}-gone`, [Math.max(...ends.map(({ goneMs }) => goneMs))]],
    ]);
  };
  return {
    sides: [{ name: `${count} pods`, rows: rows.map(({ name }) => name), pass }],
    missing: new Map(),
    conditions: () => [conditions],
    close: node.close,
  };
}
