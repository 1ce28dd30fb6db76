/**
 * The played VM: a process that stands for the VMM, and containers run by the genuine
 * containerd-shim-runc-v2. All it leaves lies in one folder and one cgroup, and ends with the VM.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import {
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { silentLogger } from "../../../common/log.ts";
import { findProgram } from "../../../common/process/find-program.ts";
import { Events } from "../../../proto/containerd/gen/events_service_pb.js";
import { OptionsSchema } from "../../../proto/containerd/gen/runc_options_pb.js";
import { Task } from "../../../proto/containerd/gen/task_pb.js";
import { connectTtrpc, type TtrpcClient } from "../../../runtime-shim/ttrpc/client.ts";
import { createTtrpcServer } from "../../../runtime-shim/ttrpc/server.ts";
import { startShim } from "../../../simulator/runtime/shim-binary.ts";
import { guestSpec, namespacePath, type Spec } from "./oci.ts";

const folderOf = (sandboxId: string) => `/run/kata-played/${sandboxId}`;
const cgroupOf = (sandboxId: string) => `/kata-played-${sandboxId}`;

export interface GuestOptions {
  readonly sandboxId: string;
  readonly spec: Spec;
  readonly vmm: string;
  readonly size: { readonly vcpus: number; readonly memoryMib: number };
  /** Of the /dev/shm that the sandbox's spec names, in bytes. */
  readonly shmBytes: number;
  /** The VMM ended by itself. */
  onDeath(): void;
  onOom(containerId: string): void;
}

export interface Guest {
  readonly vmmPid: number;
  /** The runc shim: Start, Exec, Kill … are its own. */
  readonly tasks: TtrpcClient;
  /** Creates the container of `spec` on `rootfs`, with the streams of `request`. */
  createContainer(id: string, spec: Spec, rootfs: string, request: object): Promise<void>;
  removeContainer(id: string): void;
  stop(): Promise<void>;
}

export async function bootGuest(options: GuestOptions): Promise<Guest> {
  const { sandboxId, size, spec: sandboxSpec } = options;
  const folder = folderOf(sandboxId);
  const shm = join(folder, "shm");
  mkdirSync(shm, { recursive: true, mode: 0o700 });
  execFileSync("mount", ["-t", "tmpfs", "-o", `size=${options.shmBytes},mode=1777`, "shm", shm]);
  const vmm = spawn(
    options.vmm,
    [
      ...["--api-socket", `/run/vc/vm/${sandboxId}/clh-api.sock`],
      ...["--cpus", `boot=${size.vcpus}`, "--memory", `size=${size.memoryMib}M`],
    ],
    { stdio: "ignore", detached: true },
  );
  writeFileSync(join(folder, "vmm.pid"), String(vmm.pid));
  let stopping = false;
  vmm.once("exit", () => {
    if (stopping) return;
    endProcesses(sandboxId);
    options.onDeath();
  });
  const events = createTtrpcServer({ log: silentLogger });
  events.serve(Events, {
    async forward({ envelope }) {
      // containerd.events.TaskOOM: a text in field 1.
      const value = envelope?.event?.value ?? new Uint8Array();
      if (envelope?.topic === "/tasks/oom") {
        options.onOom(Buffer.from(value.subarray(2, 2 + (value[1] ?? 0))).toString());
      }
      return {};
    },
  });
  await events.listen(join(folder, "events.sock"));
  const opened: number[] = [];
  let tasks: TtrpcClient | undefined;
  let sandboxPid: number | undefined;

  const guest = {
    vmmPid: vmm.pid ?? 0,
    get tasks() {
      if (tasks === undefined) throw new Error("Bug, the sandbox hasn't been created");
      return tasks;
    },
    async createContainer(id: string, spec: Spec, rootfs: string, request: object) {
      const bundle = join(folder, id);
      mkdirSync(bundle, { recursive: true });
      const inner = guestSpec(spec, {
        ...{ rootfs, shm, sandboxPid, cgroupsPath: `${cgroupOf(sandboxId)}/${id}` },
        network: namespacePath(sandboxSpec, "network"),
      });
      writeFileSync(join(bundle, "config.json"), JSON.stringify(inner));
      if (tasks === undefined) {
        execFileSync("mkfifo", [join(bundle, "log")]);
        opened.push(openSync(join(bundle, "log"), constants.O_RDWR | constants.O_NONBLOCK));
        tasks = await startRunc(sandboxId, id, bundle, join(folder, "events.sock"));
      }
      const runc = anyPack(OptionsSchema, create(OptionsSchema, { root: join(folder, "runc") }));
      const typeUrl = runc.typeUrl.replace(/^.*\//, "");
      const created = await tasks.call(Task.method.create, {
        ...request,
        ...{ id, bundle, rootfs: [], options: { typeUrl, value: runc.value } },
      });
      if (sandboxPid === undefined) {
        sandboxPid = created.pid;
        const { shimPid } = await tasks.call(Task.method.connect, { id });
        writeFileSync(join(folder, "runc-shim.pid"), String(shimPid));
      }
    },
    removeContainer(id: string) {
      rmSync(join(folder, id), { recursive: true, force: true });
      removeCgroup(join(cgroupOf(sandboxId), id));
    },
    async stop() {
      stopping = true;
      await ended(vmm);
      tasks?.close();
      for (const fd of opened.splice(0)) closeSync(fd);
      await events.close();
      execFileSync("umount", ["-l", shm]);
      await cleanUpGuest(sandboxId, undefined);
    },
  };
  return guest;
}

/** Switches the VM off, or ends one container in it: what is left when the shim is dead, too. */
export async function cleanUpGuest(
  sandboxId: string,
  containerId: string | undefined,
): Promise<void> {
  const folder = folderOf(sandboxId);
  endProcesses(sandboxId, containerId);
  if (containerId !== undefined) {
    rmSync(join(folder, containerId), { recursive: true, force: true });
    return;
  }
  for (const file of ["runc-shim.pid", "vmm.pid"]) {
    const path = join(folder, file);
    if (existsSync(path)) kill(Number(readFileSync(path, "utf8")));
  }
  for (let tries = 0; tries < 100 && !removeCgroup(cgroupOf(sandboxId)); tries += 1) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  rmSync(folder, { recursive: true, force: true });
}

async function startRunc(sandboxId: string, id: string, bundle: string, eventsAddress: string) {
  const binary = findProgram("containerd-shim-runc-v2") ?? "";
  const address = await startShim(
    {
      ...{ binary, namespace: "kata-played", address: folderOf(sandboxId), eventsAddress },
      debug: false,
    },
    id,
    bundle,
    { options: new Uint8Array(), bootstrapParams: false },
  );
  return connectTtrpc(address, { metadata: { "containerd-namespace-ttrpc": "kata-played" } });
}

function endProcesses(sandboxId: string, containerId = ""): void {
  for (const folder of cgroupFolders(join(cgroupOf(sandboxId), containerId))) {
    for (const inner of [folder, ...folders(folder)]) {
      const procs = join(inner, "cgroup.procs");
      if (!existsSync(procs)) continue;
      for (const pid of readFileSync(procs, "utf8").split("\n")) if (pid !== "") kill(Number(pid));
    }
  }
}

/** False while something in it still ends. */
function removeCgroup(path: string): boolean {
  for (const folder of cgroupFolders(path)) {
    try {
      for (const inner of folders(folder)) rmdirSync(inner);
      rmdirSync(folder);
    } catch {
      return false;
    }
  }
  return true;
}

/** In each controller's tree with cgroup v1. */
function cgroupFolders(path: string): readonly string[] {
  const root = "/sys/fs/cgroup";
  return [root, ...folders(root)].map((tree) => join(tree, path)).filter((it) => existsSync(it));
}

function folders(path: string): readonly string[] {
  return readdirSync(path, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => join(path, entry.name));
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // Gone before.
  }
}

function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  child.kill("SIGKILL");
  return gone;
}
