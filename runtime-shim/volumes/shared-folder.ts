/**
 * Folders of the host in a guest, live both ways: virtiofsd serves one folder over vhost-user, and what
 * a container binds is bound into it when the container comes (kata-containers docs/design/virtualization.md).
 *
 * All of its mounts are in a mount namespace of their own: the host never sees them, so nothing that
 * clears a folder away can reach through one, and they end with the last process that is in there.
 */
import { closeSync, existsSync, mkdirSync, openSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { messageOf } from "../../common/errors.ts";
import type { Logger } from "../../common/log.ts";
import { type ManagedProcess, startProcess } from "../../common/process/managed-process.ts";
import { programPath, runProgram } from "../../common/process/run-program.ts";
import type { VmmCgroup } from "../confinement/vmm-cgroup.ts";
import { shimError } from "../errors.ts";
import type { GuestClient } from "../guest-client/client.ts";
import type { RunningVm } from "../hypervisors/hypervisor.ts";
import { shareTag } from "../oci/mounts.ts";
import { bindScript, serveScript } from "./share-scripts.ts";

export interface SharedFolder {
  /** The guest has the host's file or folder at this path. Rejects with MOUNT_NOT_SHARED. */
  add(hostPath: string, guestPath: string, readOnly: boolean): Promise<void>;
  /** After the VM has ended. Idempotent. */
  close(): Promise<void>;
}

export interface SharedFolderInput {
  readonly vm: Pick<RunningVm, "attachFolder">;
  readonly guest: GuestClient;
  /** What the VM lacks for it; undefined when it has all. */
  readonly obstacle: string | undefined;
  /** An existing folder of the sandbox: only the daemon's namespace has anything in it. */
  readonly folder: string;
  readonly socket: string;
  readonly cgroup: VmmCgroup | undefined;
  readonly log: Logger;
  /** The daemon died: whoever reads a shared file in the guest waits for ever. */
  failed(reason: string): void;
}

// Debian's qemu-system-common (in C), and where later packages have their successor (in Rust), which
// takes the same options.
const programs = ["/usr/lib/qemu/virtiofsd", "/usr/libexec/virtiofsd", "/usr/lib/virtiofsd"];
// It listens after 30 ms on a quiet machine.
const startTimeoutMs = 20_000;
const pollMs = 10;

interface Daemon {
  readonly process: ManagedProcess;
  /** A descriptor that keeps its mount namespace. */
  readonly namespace: number;
}

export function createSharedFolder(input: SharedFolderInput): SharedFolder {
  const { guest, log } = input;
  const added = new Map<string, Promise<void>>();
  let starting: Promise<Daemon> | undefined;
  let closed = false;

  const start = async (): Promise<Daemon> => {
    const daemon = await startDaemon(input);
    void daemon.process.exited.then(({ code, signal }) => {
      if (closed) return;
      const last = daemon.process.stderrTail().split("\n").at(-1) ?? "";
      input.failed(`virtiofsd ended with ${signal ?? `code ${code}`}: ${last}`);
    });
    try {
      await input.vm.attachFolder({ tag: shareTag, socket: input.socket });
      await guest.request("mountDisk", [
        [1, shareTag],
        [2, "virtiofs"],
      ]);
      return daemon;
    } catch (error) {
      daemon.process.kill("SIGKILL");
      closeSync(daemon.namespace);
      throw error;
    }
  };
  const bind = async (hostPath: string, guestPath: string, readOnly: boolean) => {
    const info = statSync(hostPath);
    if (!info.isFile() && !info.isDirectory()) {
      throw new Error("it is a device, socket or FIFO, which a guest cannot share");
    }
    if (starting === undefined) {
      const begun = start();
      starting = begun;
      begun.catch(() => {
        if (starting === begun) starting = undefined;
      });
    }
    const { namespace } = await starting;
    const name = guestPath.slice(guestPath.lastIndexOf("/") + 1);
    const outcome = await runProgram("nsenter", [
      ...[`--mount=/proc/${process.pid}/fd/${namespace}`, "--", "sh", "-c", bindScript, "sh"],
      ...[input.folder, hostPath, name, `${info.dev}:${info.ino}`, readOnly ? "ro" : "rw"],
    ]);
    if (!outcome.ok) throw new Error(outcome.stderr);
    log.info({ hostPath, guestPath, readOnly }, "folder shared");
  };
  return {
    add(hostPath, guestPath, readOnly) {
      const known = added.get(guestPath);
      if (known !== undefined) return known;
      const work = bind(hostPath, guestPath, readOnly).catch((cause: unknown) => {
        // What failed may be tried again.
        added.delete(guestPath);
        throw shimError("MOUNT_NOT_SHARED", `cannot share ${hostPath}: ${messageOf(cause)}`, {
          cause,
        });
      });
      added.set(guestPath, work);
      return work;
    },
    async close() {
      closed = true;
      const daemon = await starting?.catch(() => undefined);
      starting = undefined;
      if (daemon === undefined) return;
      daemon.process.kill("SIGKILL");
      await daemon.process.exited;
      closeSync(daemon.namespace);
      rmSync(input.socket, { force: true });
    },
  };
}

async function startDaemon(input: SharedFolderInput): Promise<Daemon> {
  const { folder, socket, cgroup } = input;
  const program = programs.find((path) => existsSync(path));
  const obstacle =
    input.obstacle ??
    (process.getuid?.() === 0 ? undefined : "only root can share folders with a sandbox") ??
    (program === undefined ? "virtiofsd is not installed (qemu-system-common)" : undefined);
  if (obstacle !== undefined || program === undefined) throw new Error(obstacle);
  rmSync(socket, { force: true });
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const daemon = await startProcess(
    "unshare",
    [
      ...["--mount", "--propagation", "slave", "--"],
      // It ends with this process, as the VMM does.
      ...["setpriv", "--pdeathsig=SIGKILL", "--"],
      ...["sh", "-c", serveScript, "sh", folder, program, socket],
    ],
    { env: { PATH: programPath(), LC_ALL: "C" } },
  );
  try {
    cgroup?.add(daemon.pid);
    let ended = false;
    void daemon.exited.then(() => {
      ended = true;
    });
    const deadlineMs = performance.now() + startTimeoutMs;
    while (!existsSync(socket)) {
      if (ended) throw new Error(`virtiofsd did not start: ${daemon.stderrTail()}`);
      if (performance.now() > deadlineMs) throw new Error("virtiofsd did not come up");
      await sleep(pollMs);
    }
    // It leaves this namespace for one of its own, which follows it, once the VMM has connected.
    return { process: daemon, namespace: openSync(join("/proc", `${daemon.pid}`, "ns/mnt"), "r") };
  } catch (error) {
    daemon.kill("SIGKILL");
    throw error;
  }
}
