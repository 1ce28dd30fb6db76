/**
 * The process of a virtual machine monitor, whichever it is: started in its place, its console kept,
 * its end explained. The drivers add how it is talked to.
 */
import { renameSync, rmSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { messageOf } from "../../common/errors.ts";
import type { Logger } from "../../common/log.ts";
import { findProgram } from "../../common/process/find-program.ts";
import {
  type ManagedProcess,
  type ProcessExit,
  startProcess,
} from "../../common/process/managed-process.ts";
import { writePidFile } from "../../common/process/process-identity.ts";
import { programPath } from "../../common/process/run-program.ts";
import { makeLentFolder } from "../confinement/vmm-place.ts";
import { shimError } from "../errors.ts";
import { type ConsoleLog, openConsoleLog } from "./console-log.ts";
import type { RunningVm, VmExit, VmSpec } from "./hypervisor.ts";
import { createVmmState } from "./vmm-state.ts";

// A process that ends closes its connections first; its exit is known some milliseconds later.
const endTimeoutMs = 1_000;

// QEMU is gone after 40 ms on a quiet machine.
const shutdownTimeoutMs = 3_000;

export interface VmmProgram {
  readonly name: string;
  /** What to do when it is not installed. */
  readonly hint: string;
  /** All words of the command, with the wrappers that put it into its place. */
  readonly argv: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

export interface VmmProcess
  extends Pick<
    RunningVm,
    "pid" | "argv" | "startedAtMs" | "exited" | "consoleTail" | "moveFiles" | "stop"
  > {
  /** The work's result, or a rejection with the reason of the VMM's end or the passing of the time. */
  whileAlive<T>(work: Promise<T>, timeoutMs?: number): Promise<T>;
  /** Waits for the end that `ask` asks the VMM for; kills it when it does not go. */
  endBy(ask: () => Promise<unknown>): Promise<void>;
  /** It is up: from now on its end is not a failed start. */
  isRunning(): void;
  /** Kills one that cannot be kept, as a failure with this reason, unless it is ending by itself. */
  abandon(reason: string): Promise<void>;
}

/** Rejects with VMM_MISSING. `onEnd` closes what was opened for it, also when it cannot be started. */
export async function startVmm(
  program: VmmProgram,
  spec: Pick<VmSpec, "cgroup" | "consoleLog" | "pidFile" | "place">,
  { log, onEnd }: { readonly log: Logger; onEnd(): void },
): Promise<VmmProcess> {
  const { name, argv } = program;
  const consoleLog = openConsoleLog(spec.consoleLog);
  const startedAtMs = performance.now();
  let child: ManagedProcess;
  try {
    if (spec.place !== undefined) makeLentFolder();
    child = await startProcess(argv[0] as string, argv.slice(1), {
      onStdout: (chunk) => consoleLog.write(chunk),
      // Nobody's folder: a bundle could not be removed under it.
      cwd: "/",
      // One heap for all its threads: each of its own would stay with what it once took.
      env: { PATH: programPath(), LC_ALL: "C", MALLOC_ARENA_MAX: "1", ...program.env },
    });
  } catch (cause) {
    onEnd();
    consoleLog.close();
    throw shimError("VMM_MISSING", `cannot execute ${argv[0]}: ${messageOf(cause)}`, { cause });
  }
  joinCgroup(spec.cgroup, child.pid, log);
  writePidFile(spec.pidFile, child.pid);
  log.info({ pid: child.pid, argv }, "VMM started");
  const state = createVmmState();
  let { pidFile } = spec;
  let given: string | undefined;
  const exited = child.exited.then((exit): VmExit => {
    const expected = state.current === "stopping";
    state.move("gone");
    const asked = expected && exit.code === 0 ? `${name} was shut down` : given;
    const reason = asked ?? endReason(name, child, exit, consoleLog);
    onEnd();
    consoleLog.close();
    rmSync(pidFile, { force: true });
    log[expected ? "info" : "error"]({ pid: child.pid, ...exit, reason }, "VMM ended");
    return { reason, expected };
  });
  return {
    pid: child.pid,
    argv,
    startedAtMs,
    exited,
    consoleTail: () => consoleLog.tail(),
    moveFiles(files) {
      renameSync(pidFile, files.pidFile);
      pidFile = files.pidFile;
      consoleLog.moveTo(files.consoleLog);
    },
    isRunning: () => void state.move("running"),
    whileAlive: (work, timeoutMs) => whileAlive(name, work, exited, timeoutMs),
    async abandon(reason) {
      if (
        (await Promise.race([exited, sleep(endTimeoutMs, undefined, { ref: false })])) !== undefined
      )
        return;
      given = reason;
      child.kill("SIGKILL");
    },
    async endBy(ask) {
      if (state.move("stopping")) {
        const timer = setTimeout(() => child.kill("SIGKILL"), shutdownTimeoutMs);
        void exited.then(() => clearTimeout(timer));
        // What it answers says nothing: it goes or is killed.
        ask().catch(() => {});
      }
      await exited;
    },
    async stop() {
      state.move("stopping");
      if (state.current !== "gone") child.kill("SIGKILL");
      await exited;
    },
  };
}

/** At once: what it takes before that is not counted. */
function joinCgroup(cgroup: VmSpec["cgroup"], pid: number, log: Logger): void {
  try {
    cgroup?.add(pid);
  } catch (error) {
    // It may have ended already, which is told elsewhere.
    log.warn({ pid, error: messageOf(error) }, "the VMM is not in its cgroup");
  }
}

/** Its path. Throws VMM_MISSING and what to do. */
export function assertInstalled({ name, hint }: Pick<VmmProgram, "name" | "hint">): string {
  const path = findProgram(name);
  if (path !== undefined) return path;
  throw shimError("VMM_MISSING", `${name} is not installed on this machine`, { hint });
}

function whileAlive<T>(
  name: string,
  work: Promise<T>,
  exited: Promise<VmExit>,
  timeoutMs?: number,
): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    if (timeoutMs === undefined) return;
    const words = `${name} did not come up in ${timeoutMs / 1000} s`;
    timer = setTimeout(() => reject(shimError("VMM_START_FAILED", words)), timeoutMs);
  });
  const ended = exited.then(({ reason }): never => {
    throw shimError("VMM_START_FAILED", reason);
  });
  const first = Promise.race([work, ended, late]).finally(() => clearTimeout(timer));
  for (const promise of [ended, late, first, work]) promise.catch(() => {});
  return first;
}

/** One true sentence on why a VMM is gone. */
export function endReason(
  name: string,
  child: Pick<ManagedProcess, "pid" | "stderrTail">,
  exit: ProcessExit,
  consoleLog: Pick<ConsoleLog, "text">,
): string {
  const who = `the virtual machine monitor (${name}, pid ${child.pid})`;
  if (exit.signal !== null) return `${who} was killed by ${exit.signal}`;
  const panic = /Kernel panic[^\n]*/.exec(consoleLog.text());
  if (panic !== null) return `the guest's kernel stopped: ${panic[0]}`;
  if (exit.code === 0) return "the guest powered off";
  const words = child.stderrTail().split("\n").slice(-3).join("; ");
  return `${who} exited with code ${exit.code}${words === "" ? "" : `: ${words}`}`;
}
