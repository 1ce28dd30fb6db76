/** `/exec`: runs a command in a container and reports its exit code. */
import { messageOf } from "../../common/errors.ts";
import type { Logger } from "../../common/log.ts";
import type { ContainerRuntime } from "../runtime-port.ts";
import { pumpProcess } from "./process-pump.ts";
import type { RemoteStreamOptions, RemoteStreams } from "./remote-streams.ts";
import { exitCodeStatus, internalErrorStatus } from "./status.ts";

export interface ExecRequest {
  readonly containerId: string;
  readonly command: readonly string[];
  readonly options: RemoteStreamOptions;
}

/**
 * Starts the command only now that the streams stand, as the kubelet does, so a failure to start it
 * reaches the client as a Status. When the client goes, the process is ended.
 */
export async function serveExec(
  streams: RemoteStreams,
  request: ExecRequest,
  runtime: ContainerRuntime,
  log: Logger,
): Promise<void> {
  const { command, options } = request;
  try {
    const session = await runtime.exec(request.containerId, {
      command,
      tty: options.tty,
      stdin: options.stdin,
    });
    // Awaited below unless the client goes first; then its failure is of no interest.
    session.exitCode.catch(() => {});
    try {
      const outcome = await pumpProcess(streams, session, session.exitCode);
      if (outcome === "gone") log.debug({ command }, "the exec client has gone");
      else await streams.finish(exitCodeStatus(command, await session.exitCode));
    } finally {
      await session.close();
    }
  } catch (error) {
    log.warn({ err: error, command }, "exec failed");
    await streams.finish(
      internalErrorStatus(`error executing command in container: ${messageOf(error)}`),
    );
  }
}
