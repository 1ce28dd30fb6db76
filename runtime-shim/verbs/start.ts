/**
 * `start`: prints the address of the sandbox's shim, starting one when this task is the first. Only
 * the address may appear on stdout and stderr together: containerd reads both as one.
 */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { messageOf } from "../../common/errors.ts";
import { answers, assertSocketPath } from "../../common/sockets/unix-server.ts";
import type { ShimArguments } from "../arguments.ts";
import { shimError } from "../errors.ts";
import {
  type ShimState,
  socketPaths,
  socketPrefix,
  writeShimState,
} from "../service/state-file.ts";
import { readStartInput, type StartInput } from "./start-input.ts";

/** The descriptor over which the daemon says that it listens, or why it does not. */
export const readyDescriptor = 3;
/** Set for a daemon that has somebody waiting there. */
export const readyVariable = "KATASIM_SHIM_READY";

/** Answers the address. */
export async function start(args: ShimArguments, program: string): Promise<string> {
  const input = readStartInput(readStandardInput(), args);
  return startSandbox(args, input, {}, () => startDaemon(args, program));
}

/**
 * Answers the address of the task's shim, which `startServer` makes out of `shim.json` unless it is there.
 * `more` is written there too.
 */
export async function startSandbox(
  args: ShimArguments,
  input: StartInput,
  more: Pick<ShimState, "spareFolders">,
  startServer: () => Promise<void>,
): Promise<string> {
  const { namespace, id, bundle } = args;
  const group = groupOf(bundle, id);
  const known = looseOptions(input.optionsJson);
  const prefix = socketPrefix(
    known.socketDir ?? input.socketDir,
    args.address,
    namespace,
    group.id,
  );
  const { task } = socketPaths(prefix);
  // The longest of the sandbox's sockets; a bind error later would name none.
  for (const path of Object.values(socketPaths(prefix))) assertSocketPath(path);
  const address = `unix://${task}`;
  if (!(await answers(task))) {
    if (group.member) {
      throw shimError("TASK_NOT_FOUND", `the shim of sandbox ${group.id} is not running`);
    }
    await mkdir(join(task, ".."), { recursive: true, mode: 0o700 });
    writeShimState({ ...stateOf(args, group.id, prefix, input, known), ...more });
    try {
      await startServer();
    } catch (error) {
      // Of several starts at once the first daemon listens; the others' callers get its address.
      if (!(await answers(task))) throw error;
    }
  }
  // For containerd 1.x, which finds its shims again by this file.
  await writeFile(join(bundle, "address"), address, { mode: 0o600 });
  return address;
}

function stateOf(
  { namespace, bundle, debug }: ShimArguments,
  groupId: string,
  prefix: string,
  input: StartInput,
  { logFile, logLevel }: LooseOptions,
): ShimState {
  const publishAddress = process.env.TTRPC_ADDRESS || input.ttrpcAddress;
  return {
    namespace,
    groupId,
    bundle,
    debug,
    socketPrefix: prefix,
    ...(publishAddress === undefined ? {} : { publishAddress }),
    ...(input.optionsJson === undefined ? {} : { optionsJson: input.optionsJson }),
    ...(logFile === undefined ? {} : { logFile }),
    ...(logLevel === undefined ? {} : { logLevel }),
  };
}

/** Re-executes this program detached; resolves once it listens. */
async function startDaemon(
  { namespace, id, address, bundle, debug }: ShimArguments,
  program: string,
) {
  const child = spawn(
    process.execPath,
    [
      // With Node's own options that this process was given.
      ...[...process.execArgv, program, "-namespace", namespace, "-id", id, "-address", address],
      ...["-bundle", bundle, ...(debug ? ["-debug"] : [])],
    ],
    // Nothing of ours is inherited: containerd waits for the end of our output.
    {
      cwd: bundle,
      detached: true,
      stdio: ["ignore", "ignore", "ignore", "pipe"],
      env: { ...process.env, [readyVariable]: "1" },
    },
  );
  const chunks: Buffer[] = [];
  const pipe = child.stdio[readyDescriptor] as Readable;
  await new Promise<void>((resolve, reject) => {
    child.once("error", reject);
    pipe.on("data", (chunk: Buffer) => chunks.push(chunk));
    pipe.once("end", resolve);
  });
  child.unref();
  const said = Buffer.concat(chunks).toString("utf8").trim();
  if (said === "ready") return;
  throw shimError("BAD_BUNDLE", `the shim's daemon did not start: ${said || "it ended at once"}`);
}

interface Group {
  readonly id: string;
  /** A container of a sandbox, which must have been started before. */
  readonly member: boolean;
}

/** As Kata and containerd's runc shim group: by the CRI's sandbox id. */
function groupOf(bundle: string, id: string): Group {
  let spec: { annotations?: Record<string, string> | null } | null;
  try {
    spec = JSON.parse(readFileSync(join(bundle, "config.json"), "utf8"));
  } catch (cause) {
    throw shimError("BAD_BUNDLE", `cannot read ${bundle}/config.json: ${messageOf(cause)}`, {
      cause,
    });
  }
  const annotations = spec?.annotations ?? {};
  const sandboxId = annotations["io.kubernetes.cri.sandbox-id"];
  const member = annotations["io.kubernetes.cri.container-type"] === "container";
  return sandboxId === undefined || sandboxId === ""
    ? { id, member: false }
    : { id: sandboxId, member };
}

interface LooseOptions {
  readonly socketDir?: string;
  readonly logFile?: string;
  readonly logLevel?: string;
}

/** Only what the daemon needs before Create, which validates all of it and says what is wrong. */
function looseOptions(json: string | undefined): LooseOptions {
  let options: Record<string, unknown> = {};
  try {
    options = JSON.parse(json ?? "{}") as Record<string, unknown>;
  } catch {}
  const names = ["socketDir", "logFile", "logLevel"] as const;
  return Object.fromEntries(
    names.flatMap((name) => (typeof options[name] === "string" ? [[name, options[name]]] : [])),
  );
}

function readStandardInput(): Uint8Array {
  // A person trying the shim by hand should not have to press Ctrl-D.
  if (process.stdin.isTTY) return new Uint8Array();
  try {
    return readFileSync(0);
  } catch {
    return new Uint8Array();
  }
}
