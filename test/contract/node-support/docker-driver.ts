/**
 * A node process of a user who is not root, to be killed: drops to the given ids, runs a pod in Docker
 * Engine, tries every verb that could want root, prints what came of it as JSON and stays.
 * argv: home, instance name, shell script, socket of the engine, uid, gid of the socket's group.
 */
import { text } from "node:stream/consumers";
import Database from "better-sqlite3";
import { containerSpec, openTestNode, sandboxSpec } from "./test-node.ts";

const [, , home = "", name = "", script = "", socket = "", uid, gid] = process.argv;
// Loads its native part while the clone can still be read.
new Database(":memory:").close();
process.setgroups?.([Number(gid)]);
process.setgid?.(Number(uid));
process.setuid?.(Number(uid));

const node = await openTestNode(home, name, { dockerSocket: socket });
const { runtime } = node;
const sandbox = await runtime.runSandbox("runc", sandboxSpec());
const container = await start(containerSpec(node, script));
const server = await start(
  containerSpec(node, "", {
    name: "server",
    command: ["socat", "TCP-LISTEN:8080,fork,reuseaddr,bind=127.0.0.1", "EXEC:cat"],
  }),
);
const words = await exec(["id", "-u"]);
const sleeper = await runtime.exec(container.id, {
  command: ["sleep", "500"],
  tty: false,
  stdin: false,
});
await sleeper.close();
const facts = {
  uid: process.getuid?.(),
  sandbox,
  container,
  exec: words,
  closedExec: await sleeper.exitCode,
  forwarded: await forward("ping"),
  usage: (await runtime.usage(sandbox.id)).length,
};
await runtime.stopContainer(server.id, 0);
await runtime.removeContainer(server.id);
process.stdout.write(`${JSON.stringify(facts)}\n`);
setInterval(() => undefined, 60_000);

async function start(spec: ReturnType<typeof containerSpec>) {
  const { id } = await runtime.createContainer(sandbox.id, spec);
  return runtime.startContainer(id);
}

async function exec(command: readonly string[]): Promise<string> {
  const session = await runtime.exec(container.id, { command, tty: false, stdin: false });
  session.stderr?.resume();
  return text(session.stdout);
}

async function forward(message: string): Promise<string> {
  for (;;) {
    try {
      const stream = await runtime.portForward(sandbox.id, 8080);
      stream.write(message);
      const answer = await new Promise<Buffer>((resolve) => stream.once("data", resolve));
      stream.destroy();
      return answer.toString();
    } catch (error) {
      if (!/connection refused/.test(String(error))) throw error;
    }
  }
}
