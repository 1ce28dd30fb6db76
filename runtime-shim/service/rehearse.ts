/**
 * What a pod's start does, done before there is a pod: a guest's kernel then has in memory what it needs for
 * it, and of a spare VM the emulator has translated the code, which in software is most of a start.
 */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import type { Logger } from "../../common/log.ts";
import { MountSchema } from "../../proto/containerd/gen/mount_pb.js";
import { diskSerial } from "../disks/root-disks.ts";
import { createRootfsCache } from "../disks/rootfs-cache.ts";
import type { GuestClient, GuestListener } from "../guest-client/client.ts";
import type { RunningVm } from "../hypervisors/hypervisor.ts";
import { SpecSchema } from "../oci/spec.ts";
import type { ShimOptions } from "../shim-options.ts";
import { createSandboxVolumes } from "../volumes/sandbox-volumes.ts";
import { bootMac, identifyGuest } from "./boot-guest.ts";
import { createContainer } from "./container.ts";
import type { SandboxDisks } from "./sandbox-disks.ts";
import { createTaskProcess } from "./task-process.ts";

const id = "rehearsal";
const sigkill = 9;

export interface RehearsalInput {
  readonly vm: RunningVm;
  readonly guest: GuestClient;
  readonly disks: SandboxDisks;
  /** An erofs with `/pause`, which runs until it is killed. */
  readonly image: string;
  /** Made and removed. */
  readonly folder: string;
  /** Who hears the guest from now on. */
  listen(listener: GuestListener): void;
  readonly log: Logger;
}

/** Identity, network and a container. Rejects when the VM cannot be used. */
export async function rehearsePod(
  input: RehearsalInput & { readonly options: ShimOptions },
): Promise<void> {
  const { vm, guest, options } = input;
  const eth0 = { name: "eth0", mac: bootMac, mtu: 1500, addresses: [], routes: [] };
  await identifyGuest(
    vm,
    guest,
    {
      ...{ hostname: id, machineId: "0".repeat(32), sysctls: {}, sharedMemoryBytes: undefined },
      network: Promise.resolve(eth0),
    },
    { options },
  );
  await rehearseContainer(input);
}

/** Rejects when the VM cannot be used. */
export async function rehearseContainer(input: RehearsalInput): Promise<void> {
  const { vm, guest, disks, folder, image, log } = input;
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const volumes = createSandboxVolumes({
    ...{ vm, guest, annotations: {}, sharedMemory: false, cgroup: undefined, log },
    ...{ folder: join(folder, "shared"), socket: join(folder, "fs") },
  });
  try {
    const hosts = join(folder, "hosts");
    writeFileSync(hosts, "127.0.0.1 localhost\n");
    const process = createTaskProcess("", { stdin: "", stdout: "", stderr: "", terminal: false });
    input.listen({
      exited: ({ exitCode }) => void process.end(exitCode),
      oom: () => {},
    });
    const roots = createRootfsCache({ folder: join(folder, "rootfs"), maxBytes: 1 });
    const container = await createContainer({
      ...{ id, bundle: folder, spec: specWith(hosts), process, log },
      sandbox: { guest, volumes, roots, ...disks },
      rootfs: [create(MountSchema, { type: "erofs", source: image, options: ["ro"] })],
    });
    await container.start();
    await container.signal("", sigkill, true);
    await process.exited;
    await container.remove();
    await disks.removeDisk(diskSerial("image", image));
  } finally {
    await volumes.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** What a pod's container has, as far as it costs. */
function specWith(hosts: string) {
  const plain = ["nosuid", "noexec", "nodev"];
  const capabilities = [
    "CAP_CHOWN",
    "CAP_KILL",
    "CAP_NET_BIND_SERVICE",
    "CAP_SETGID",
    "CAP_SETUID",
  ];
  return SpecSchema.parse({
    process: {
      ...{ args: ["/pause"], cwd: "/", env: ["PATH=/"], user: { uid: 0, gid: 0 } },
      capabilities: {
        ...{ bounding: capabilities, effective: capabilities, permitted: capabilities },
      },
      oomScoreAdj: 1000,
    },
    root: { path: "rootfs" },
    hostname: id,
    mounts: [
      { destination: "/proc", type: "proc", source: "proc", options: plain },
      { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "mode=755"] },
      {
        destination: "/dev/pts",
        type: "devpts",
        source: "devpts",
        options: ["nosuid", "newinstance"],
      },
      { destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: plain },
      { destination: "/sys", type: "sysfs", source: "sysfs", options: [...plain, "ro"] },
      {
        destination: "/sys/fs/cgroup",
        type: "cgroup",
        source: "cgroup",
        options: [...plain, "ro"],
      },
      { destination: "/etc/hosts", type: "bind", source: hosts, options: ["rbind"] },
    ],
    linux: {
      maskedPaths: ["/proc/kcore", "/proc/keys", "/sys/firmware"],
      readonlyPaths: ["/proc/bus", "/proc/sys"],
      resources: { cpu: { shares: 2 } },
    },
  });
}
