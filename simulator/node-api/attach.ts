/** `/attach`: joins the client to the streams of the container's own process. */
import { messageOf } from "../../common/errors.ts";
import type { Logger } from "../../common/log.ts";
import type { ContainerRuntime } from "../runtime-port.ts";
import { pumpProcess } from "./process-pump.ts";
import type { RemoteStreamOptions, RemoteStreams } from "./remote-streams.ts";
import { internalErrorStatus, successStatus } from "./status.ts";

export interface AttachRequest {
  readonly containerId: string;
  readonly options: RemoteStreamOptions;
}

/** The container goes on when the client leaves; its exit code is in the pod's status, not here. */
export async function serveAttach(
  streams: RemoteStreams,
  request: AttachRequest,
  runtime: ContainerRuntime,
  log: Logger,
): Promise<void> {
  try {
    const session = await runtime.attach(request.containerId, { stdin: request.options.stdin });
    session.done.catch(() => {});
    try {
      const outcome = await pumpProcess(streams, session, session.done);
      if (outcome === "ended") await streams.finish(successStatus);
    } finally {
      session.close();
    }
  } catch (error) {
    log.warn({ err: error, containerId: request.containerId }, "attach failed");
    await streams.finish(internalErrorStatus(`error attaching to container: ${messageOf(error)}`));
  }
}
