/**
 * A node process to be killed: starts a pod on the given home, prints its ids as JSON and stays.
 * argv: home, instance name, shell script of the container.
 */
import { containerSpec, openTestNode, sandboxSpec } from "./test-node.ts";

const [, , home = "", name = "", script = ""] = process.argv;
const node = await openTestNode(home, name);
const sandbox = await node.runtime.runSandbox("runc", sandboxSpec());
const container = await node.runtime.createContainer(sandbox.id, containerSpec(node, script));
const started = await node.runtime.startContainer(container.id);
process.stdout.write(`${JSON.stringify({ sandbox, container: started })}\n`);
setInterval(() => undefined, 60_000);
