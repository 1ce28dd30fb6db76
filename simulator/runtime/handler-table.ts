/**
 * Runtime handlers of the node, as data: what containerd's `runtimes` config table is
 * (containerd internal/cri/config/config.go Runtime).
 */
import type { ShimOptions } from "../../runtime-shim/shim-options.ts";
import { runtimeError } from "./errors.ts";

export interface HandlerConfig {
  /** RuntimeClass `handler`. */
  readonly name: string;
  /** "io.containerd.runc.v2" */
  readonly runtimeType: string;
  /** Absolute path of the shim; default: found by its containerd name on PATH. */
  readonly binary?: string;
  /** How the shim gets the image: a mounted overlay, or an erofs file it hands to a VM. */
  readonly snapshotter: "overlayfs" | "erofs";
  /** Whether containers get a kernel of their own. */
  readonly sandboxed: boolean;
  readonly options: HandlerOptions;
  /** What else could serve it, and what that would take; a sentence. */
  readonly alternative?: string;
}

export type HandlerOptions =
  /** containerd.runc.v1.Options; `root` is set to a folder of this node. */
  | { readonly kind: "runc"; readonly binaryName?: string }
  /** Options of containerd-shim-katasim-v2, laid over the node's own. */
  | { readonly kind: "katasim"; readonly values: Partial<ShimOptions> }
  /** runtimeoptions.v1.Options with a ConfigPath: genuine Kata. Default: where Kata looks itself. */
  | { readonly kind: "kata"; readonly configFile?: string };

/** A pod without a RuntimeClass runs on it. */
export const defaultHandler = "runc";

const katasim = (name: string, sizingProfile: ShimOptions["sizingProfile"]): HandlerConfig => ({
  name,
  runtimeType: "io.containerd.katasim.v2",
  snapshotter: "erofs",
  sandboxed: true,
  options: { kind: "katasim", values: { sizingProfile } },
});

export const builtinHandlers: readonly HandlerConfig[] = [
  {
    name: defaultHandler,
    runtimeType: "io.containerd.runc.v2",
    snapshotter: "overlayfs",
    sandboxed: false,
    options: { kind: "runc" },
  },
  katasim("kata-mshv-vm-isolation", "aks-preview"),
  katasim("kata-vm-isolation", "aks-ga"),
  katasim("kata", "aks-ga"),
];

/** Rejects an unknown name in containerd's words. */
export function findHandler(handlers: readonly HandlerConfig[], name: string): HandlerConfig {
  const wanted = name === "" ? defaultHandler : name;
  const found = handlers.find((handler) => handler.name === wanted);
  if (found !== undefined) return found;
  throw runtimeError(
    "HANDLER_UNKNOWN",
    `failed to get sandbox runtime: no runtime for "${wanted}" is configured`,
    { hint: `Handlers of this node: ${handlers.map((handler) => handler.name).join(", ")}.` },
  );
}

/** "io.containerd.runc.v2" → "containerd-shim-runc-v2" (containerd pkg/shim/util.go BinaryName). */
export function shimBinaryName(runtimeType: string): string {
  const [name, version] = runtimeType.split(".").slice(-2);
  return `containerd-shim-${name}-${version}`;
}
