/**
 * Connections to 127.0.0.1 inside a pod's network: a helper beside the pause process dials and passes
 * the bytes on (runtime-shim/guest/pause.c `connect`). Needs no route to the pod and no root.
 */
import { Duplex, type Readable } from "node:stream";
import { runtimeError } from "../runtime/errors.ts";
import type { EngineContext } from "./context.ts";
import type { DockerSandbox } from "./docker-state.ts";
import { splitOutput } from "./framed-output.ts";
import { inputOf } from "./process-input.ts";

/** Rejects with PORT_FORWARD_FAILED. */
export async function portForward(
  context: EngineContext,
  sandbox: DockerSandbox,
  port: number,
): Promise<Duplex> {
  const { id, state } = sandbox;
  if (state !== "ready") {
    throw runtimeError("PORT_FORWARD_FAILED", `sandbox container "${id}" is not running`);
  }
  const { engine } = context;
  const command = ["/pause", "connect", String(port)];
  const execId = await engine.createExec(id, { command, tty: false, stdin: true });
  const stream = await engine.startExec(execId, false);
  stream.on("error", () => undefined);
  const { stdout, stderr } = splitOutput(stream, false);
  const word = await firstLine(stderr);
  if (word !== "connected") {
    stream.destroy();
    throw runtimeError(
      "PORT_FORWARD_FAILED",
      `failed to execute portforward: failed to connect to localhost:${port} inside sandbox "${id}": ${word || "the helper did not start"}`,
    );
  }
  return connectionOf(stream, stdout);
}

/** Destroying it ends the helper: its input breaks off. */
function connectionOf(stream: Duplex, stdout: Readable): Duplex {
  const input = inputOf(stream, true);
  const connection = new Duplex({
    read: () => void stdout.resume(),
    write: (chunk, _encoding, done) => void input.write(chunk, () => done()),
    final: (done) => void input.end(() => done()),
    destroy(error, done) {
      stream.destroy();
      stdout.destroy();
      done(error);
    },
  });
  stdout.on("data", (chunk: Buffer) => {
    if (!connection.push(chunk)) stdout.pause();
  });
  stdout.once("end", () => connection.push(null));
  return connection;
}

/** The helper says on standard error whether it is connected, before it passes any byte on. */
async function firstLine(stderr: Readable | undefined): Promise<string> {
  let said = "";
  const line = new Promise<void>((resolve) => {
    stderr?.on("data", (chunk: Buffer) => {
      said += chunk.toString("utf8");
      if (said.includes("\n")) resolve();
    });
    stderr?.once("end", () => resolve());
  });
  await line;
  return said.split("\n")[0]?.trim() ?? "";
}
