/**
 * Which adapter runs trusted pods: containerd's runc shim where it works, else Docker Engine; or the
 * one that was asked for, and then nothing falls back. The answer says what it is and why.
 */
import { runtimeError } from "./runtime/errors.ts";
import { defaultHandler } from "./runtime/handler-table.ts";
import type { ContainerRuntime, HandlerStatus } from "./runtime-port.ts";
import { createRuntimeRouter } from "./runtime-router.ts";

export type TrustedRuntime = "auto" | "shim" | "docker";

export interface TrustedChoice {
  readonly kind: "shim" | "docker" | "none";
  readonly status: HandlerStatus;
}

/** Pure. `shim` and `docker` are what each says of itself on this machine. */
export function chooseTrusted(
  wanted: TrustedRuntime,
  shim: HandlerStatus,
  docker: HandlerStatus,
): TrustedChoice {
  if (wanted !== "auto") {
    const status = wanted === "shim" ? shim : docker;
    const reason = `${status.reason} Asked for with --trusted-runtime ${wanted}.`;
    return { kind: status.usable ? wanted : "none", status: { ...status, reason } };
  }
  if (shim.usable) return { kind: "shim", status: shim };
  if (docker.usable) {
    const reason = `${docker.reason} ${shim.engine} cannot serve: ${shim.reason}`;
    return { kind: "docker", status: { ...docker, reason } };
  }
  const reason = `${shim.engine}: ${shim.reason} ${docker.engine}: ${docker.reason}`;
  return { kind: "none", status: { ...shim, reason } };
}

export interface TrustedRuntimeOptions {
  /** Serves every handler, trusted ones too where it is chosen. */
  readonly shims: ContainerRuntime;
  readonly docker: ContainerRuntime;
  readonly wanted: TrustedRuntime;
}

/** The first pod decides for the life of the process: pods do not move between engines by chance. */
export function createNodeRuntime(options: TrustedRuntimeOptions): ContainerRuntime {
  const { shims, docker, wanted } = options;
  let decided: TrustedChoice | undefined;

  async function trusted(): Promise<readonly [TrustedChoice, readonly HandlerStatus[]]> {
    const [ofShims, [ofDocker]] = await Promise.all([shims.handlers(), docker.handlers()]);
    const shim = ofShims.find(({ name }) => name === defaultHandler);
    if (shim === undefined || ofDocker === undefined) throw new Error("no trusted handler");
    return [chooseTrusted(decided?.kind === "docker" ? "docker" : wanted, shim, ofDocker), ofShims];
  }

  return createRuntimeRouter({
    all: [shims, docker],
    async forHandler(handler) {
      if (handler !== "" && handler !== defaultHandler) return shims;
      if (decided === undefined) {
        const [choice] = await trusted();
        if (choice.kind === "none") {
          throw runtimeError(
            "HANDLER_UNUSABLE",
            `runtime handler "${defaultHandler}" is not usable: ${choice.status.reason}`,
            { hint: "katasim runtime list explains every handler." },
          );
        }
        decided = choice;
      }
      return decided.kind === "docker" ? docker : shims;
    },
    async handlers() {
      const [{ status }, ofShims] = await trusted();
      return ofShims.map((handler) => (handler.name === defaultHandler ? status : handler));
    },
  });
}
