/** One container in the guest: its disks and files on the way in, its processes, its removal. */
import { readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { messageOf, type SimError } from "../../common/errors.ts";
import type { Logger } from "../../common/log.ts";
import type { Mount } from "../../proto/containerd/gen/mount_pb.js";
import { diskSerial, removeRootFiles, rootDisks } from "../disks/root-disks.ts";
import { hasCode, shimError } from "../errors.ts";
import { errnoOf } from "../guest-client/client.ts";
import { openStdio } from "../guest-client/stdio.ts";
import type { Disk } from "../hypervisors/hypervisor.ts";
import { volumeOrigin } from "../oci/kubelet-paths.ts";
import { planMounts } from "../oci/mounts.ts";
import { containerFields, processFields } from "../oci/oci-to-guest.ts";
import type { Spec, SpecProcess } from "../oci/spec.ts";
import { workFolder } from "./bundle-files.ts";
import type { Sandbox } from "./sandbox.ts";
import type { SandboxDisks } from "./sandbox-disks.ts";
import { writableDiskFile } from "./state-file.ts";
import type { TaskProcess } from "./task-process.ts";

export interface GuestContainer {
  /** Rejects with EXEC_FAILED when the command cannot be executed. */
  start(): Promise<void>;
  exec(process: TaskProcess, spec: SpecProcess): Promise<void>;
  /** Rejects with PROCESS_FINISHED when there is nothing to signal any more. */
  signal(execId: string, signal: number, all: boolean): Promise<void>;
  /** It has ended: what it left for the host is fetched from the guest. Never rejects. */
  collect(): Promise<void>;
  /** Removes it from the guest, unplugs its writable disk, deletes its files. Idempotent. */
  remove(): Promise<void>;
}

export interface ContainerInput {
  readonly id: string;
  readonly bundle: string;
  readonly spec: Spec;
  readonly rootfs: readonly Mount[];
  readonly sandbox: Pick<Sandbox, "guest" | "roots" | "volumes" | keyof SandboxDisks>;
  readonly process: TaskProcess;
  readonly log: Logger;
}

/** Rejects with the reason in words; nothing of it is left then. */
export async function createContainer(input: ContainerInput): Promise<GuestContainer> {
  const { id, bundle, spec, sandbox, process, log } = input;
  const { guest } = sandbox;
  const workDir = workFolder(bundle);
  let writable: Disk = {
    serial: diskSerial("writable", id),
    path: join(workDir, writableDiskFile),
    readOnly: false,
  };
  const plan = planMounts(spec.mounts ?? [], { isSpecial, origin });
  let ownRoot: string | undefined;
  const remove = async () => {
    process.stdio?.abandon();
    sandbox.volumes.release(id);
    await ignoreGone(guest.request("removeContainer", [[1, id]]), log);
    await ignoreGone(sandbox.removeDisk(writable.serial), log);
    if (ownRoot !== undefined) await ignoreGone(sandbox.removeDisk(ownRoot), log);
    rmSync(writable.path, { force: true });
    removeRootFiles(workDir);
  };
  try {
    // The disks are the slow part: files are copied meanwhile.
    const [images] = await settleAll([
      (async () => {
        const root = [bundle, spec.root?.path, input.rootfs] as const;
        const { disks, own } = await rootDisks([...root], workDir, sandbox.roots);
        ownRoot = own;
        for (const disk of disks) await sandbox.addImageDisk(disk, "erofs");
        return disks;
      })(),
      (async () => {
        writable = await sandbox.addWritableDisk(writable);
        return [];
      })(),
      sandbox.volumes.add(id, plan.sources).then(() => []),
    ]);
    const root = {
      lowerSerials: (images ?? []).map(({ serial }) => serial),
      upperSerial: writable.serial,
    };
    process.stdio = openStdio(guest, process.paths, log);
    await guest.request("createContainer", [
      ...containerFields(id, spec, root, plan.mounts),
      ...process.stdio.fields,
    ]);
  } catch (error) {
    await remove();
    throw error;
  }

  return {
    async start() {
      try {
        await guest.request("start", [[1, id]]);
      } catch (error) {
        throw startError(error, spec.process);
      }
    },
    async exec(process, execSpec) {
      process.stdio = openStdio(guest, process.paths, log);
      try {
        await guest.request("exec", [
          [1, id],
          [2, process.execId],
          ...processFields(execSpec, spec.linux?.seccomp),
          ...process.stdio.fields,
        ]);
      } catch (error) {
        process.stdio.abandon();
        throw startError(error, execSpec);
      }
    },
    async signal(execId, signal, all) {
      try {
        await guest.request("signal", [
          [1, id],
          [2, execId === "" ? undefined : execId],
          [3, signal],
          [4, all ? true : undefined],
        ]);
      } catch (error) {
        if (errnoOf(error) !== "ESRCH") throw error;
        throw shimError("PROCESS_FINISHED", "process already finished", { cause: error });
      }
    },
    collect: () => sandbox.volumes.collect(plan.sources),
    remove,
  };
}

/** The exit code a shell gives for a command that could not be started. */
export function startFailureStatus(error: unknown): number {
  const errno = errnoOf(error) ?? errnoOf((error as { cause?: unknown } | undefined)?.cause);
  return { ENOENT: 127, EACCES: 126, ENOEXEC: 126, EISDIR: 126 }[errno ?? ""] ?? 128;
}

/** execve(2)'s refusal in the words containerd's users know from runc. */
function startError(error: unknown, process: SpecProcess | null | undefined): SimError | unknown {
  const errno = errnoOf(error);
  if (errno === undefined) return error;
  const command = process?.args?.[0] ?? "";
  const why =
    errno === "ENOENT"
      ? command.includes("/")
        ? `stat ${command}: no such file or directory`
        : "executable file not found in $PATH"
      : messageOf(error);
  return shimError(
    "EXEC_FAILED",
    `failed to start: exec: ${JSON.stringify(command)}: ${why} (${errno})`,
    {
      cause: error,
    },
  );
}

function isSpecial(path: string): boolean {
  try {
    return !statSync(path).isFile();
  } catch {
    return false;
  }
}

function origin(path: string): string {
  return volumeOrigin(path, readFileSync("/proc/self/mountinfo", "utf8"));
}

/** Waits for all, so that clean-up never races with a step that is still at work. */
async function settleAll<T>(work: ReadonlyArray<Promise<T>>): Promise<readonly T[]> {
  const results = await Promise.allSettled(work);
  const failed = results.find((result) => result.status === "rejected");
  if (failed !== undefined) throw failed.reason;
  return results.map((result) => (result as PromiseFulfilledResult<T>).value);
}

/** What went with the VM, or was never made, needs no removing. */
async function ignoreGone(work: Promise<unknown>, log: Logger): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!hasCode(error, "GUEST_GONE") && !hasCode(error, "VMM_GONE")) {
      log.warn({ error: messageOf(error) }, "clean-up step failed");
    }
  }
}
