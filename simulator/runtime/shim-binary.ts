/** Runs a shim's own commands: `-v`, `start` and `delete`, in the form containerd runs them. */
import { fromBinary } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { execa } from "execa";
import { DeleteResponseSchema } from "../../proto/containerd/gen/task_pb.js";
import { addressOf, type StartInput, startStdin } from "./bootstrap.ts";
import { runtimeError } from "./errors.ts";

export interface ShimCommand {
  readonly binary: string;
  readonly namespace: string;
  /** Stands for containerd's own socket: part of the hash that names the shim's socket. */
  readonly address: string;
  /** Our events server; the shim forwards task events to it. */
  readonly eventsAddress: string;
  readonly debug: boolean;
}

export interface ShimExit {
  readonly exitCode: number;
  readonly exitedAtMs: number | undefined;
}

// `start` forks a daemon that listens and comes back: seconds even on a loaded machine.
const startTimeoutMs = 30_000;
// `delete` may have to kill a VM and unmount.
const deleteTimeoutMs = 30_000;

/** Answers the address of the shim that serves this id (a running one, for pod containers). */
export async function startShim(
  command: ShimCommand,
  id: string,
  bundle: string,
  stdin: Pick<StartInput, "options" | "bootstrapParams">,
): Promise<string> {
  const input = startStdin({ ...stdin, id, ...command });
  const result = await run(command, id, bundle, ["start"], startTimeoutMs, input);
  if (result.failed) {
    throw runtimeError("SHIM_START_FAILED", `failed to start shim: start failed: ${result.words}`);
  }
  return addressOf(result.stdout);
}

/** Cleans up what a task left behind. Never rejects: it runs on the way down. */
export async function runShimDelete(
  command: ShimCommand,
  id: string,
  bundle: string,
): Promise<ShimExit | { readonly failed: string }> {
  const result = await run(command, id, bundle, ["-bundle", bundle, "delete"], deleteTimeoutMs);
  if (result.failed) return { failed: result.words };
  try {
    const response = fromBinary(DeleteResponseSchema, result.stdout);
    return {
      exitCode: response.exitStatus,
      exitedAtMs: response.exitedAt === undefined ? undefined : timestampMs(response.exitedAt),
    };
  } catch {
    return { failed: "the shim's delete gave no readable answer" };
  }
}

/** Text of `-v`; undefined when the binary cannot be run or fails. */
export async function shimVersion(binary: string): Promise<string | undefined> {
  const result = await execa(binary, ["-v"], { reject: false, timeout: 10_000, stdin: "ignore" });
  if (result.failed) return undefined;
  return `${result.stdout}\n${result.stderr}`.trim();
}

async function run(
  command: ShimCommand,
  id: string,
  bundle: string,
  action: readonly string[],
  timeoutMs: number,
  input?: Uint8Array,
) {
  const result = await execa(
    command.binary,
    [
      "-namespace",
      command.namespace,
      "-address",
      command.address,
      "-publish-binary",
      "katasim",
      "-id",
      id,
      ...(command.debug ? ["-debug"] : []),
      ...action,
    ],
    {
      cwd: bundle,
      reject: false,
      encoding: "buffer",
      timeout: timeoutMs,
      // A session of its own: neither Ctrl-C nor a closed terminal of ours reaches the shim.
      detached: true,
      cleanup: false,
      ...(input === undefined ? { stdin: "ignore" as const } : { input }),
      env: {
        TTRPC_ADDRESS: command.eventsAddress,
        GRPC_ADDRESS: command.address,
        NAMESPACE: command.namespace,
        MAX_SHIM_VERSION: "2",
        // containerd sets it: a shim needs no more threads.
        GOMAXPROCS: "2",
        // Kata's shim gets its file as ConfigPath; one of its builds would take this before it.
        KATA_CONF_FILE: undefined,
      },
    },
  );
  const said = Buffer.from(result.stderr ?? [])
    .toString("utf8")
    .trim();
  return {
    failed: result.failed,
    stdout: result.stdout ?? new Uint8Array(),
    words:
      said ||
      Buffer.from(result.stdout ?? [])
        .toString("utf8")
        .trim() ||
      (result.shortMessage ?? ""),
  };
}
