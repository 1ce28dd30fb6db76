/**
 * A pod network in a process of its own, so that a test can put it into a network namespace and kill it.
 * argv: options as JSON. One request a line on stdin, `["attach", pod]`; one answer a line on stdout.
 */
import { createInterface } from "node:readline";
import { silentLogger } from "../../../common/log.ts";
import { createCniNetwork } from "../../../simulator/network/index.ts";

const network = createCniNetwork({ ...JSON.parse(process.argv[2] ?? ""), log: silentLogger });

const verbs: Record<string, (argument: never) => Promise<unknown>> = {
  ensureNode: network.ensureNode,
  attach: network.attach,
  detach: network.detach,
  check: network.check,
  sweep: (keep: readonly string[]) => network.sweep(new Set(keep)),
  destroy: network.destroy,
};

for await (const line of createInterface({ input: process.stdin })) {
  const [verb = "", argument] = JSON.parse(line) as [string, never];
  const answer = await verbs[verb]?.(argument).then(
    (value: unknown) => ({ value }),
    (error: Error & { hint?: string }) => ({ error: error.message, hint: error.hint }),
  );
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
