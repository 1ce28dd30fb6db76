/** Joins a client to a running container's streams. The log has its own way to the output. */
import { runtimeError } from "../runtime/errors.ts";
import type { AttachSession } from "../runtime-port.ts";
import type { EngineContext } from "./context.ts";
import type { DockerContainer } from "./docker-state.ts";
import { splitOutput } from "./framed-output.ts";
import { inputOf } from "./process-input.ts";

export async function attach(
  context: EngineContext,
  container: DockerContainer,
  wantsStdin: boolean,
): Promise<AttachSession> {
  const { id, kept, status } = container;
  if (status.state !== "running") {
    throw runtimeError(
      "CONTAINER_WRONG_STATE",
      `failed to attach container "${id}": container is in ${`container_${status.state}`.toUpperCase()} state`,
    );
  }
  const withInput = wantsStdin && kept.stdin;
  const stream = await context.engine.attach(id, withInput);
  stream.on("error", () => undefined);
  const { stdout, stderr, ended } = splitOutput(stream, kept.tty);
  return {
    // Without stdinOnce the engine would answer an end of input by cutting the output, too.
    stdin: withInput ? inputOf(stream, kept.stdinOnce) : undefined,
    stdout,
    stderr,
    done: ended,
    resize: (columns, rows) =>
      context.engine.resizeContainer(id, columns, rows).catch(() => undefined),
    close: () => void stream.destroy(),
  };
}
