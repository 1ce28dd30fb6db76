/**
 * A spare VM's rehearsal: it takes an identity and its NIC, and runs a container, which goes again. In
 * software the emulator translates the guest's code at its first run, and that is most of a pod's start.
 */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import type { Logger } from "../../common/log.ts";
import { MountSchema } from "../../proto/containerd/gen/mount_pb.js";
import { diskSerial } from "../disks/root-disks.ts";
import { createRootfsCache } from "../disks/rootfs-cache.ts";
import type { GuestListener } from "../guest-client/client.ts";
import { SpecSchema } from "../oci/spec.ts";
import type { ShimOptions } from "../shim-options.ts";
import { createSandboxVolumes } from "../volumes/sandbox-volumes.ts";
import { bootMac, identifyGuest } from "./boot-guest.ts";
import { createContainer } from "./container.ts";
import type { PreparedVm } from "./prepare-vm.ts";
import { createSandboxDisks } from "./sandbox-disks.ts";
import { createTaskProcess } from "./task-process.ts";

const id = "rehearsal";
const sigkill = 9;

export interface RehearsalInput {
  readonly prepared: PreparedVm;
  /** An erofs with `/pause`, which runs until it is killed. */
  readonly image: string;
  /** Made and removed. */
  readonly folder: string;
  readonly options: ShimOptions;
  /** Who hears the guest from now on. */
  listen(listener: GuestListener): void;
  readonly log: Logger;
}

/** Rejects when the VM cannot be used. */
export async function rehearse(input: RehearsalInput): Promise<void> {
  const { prepared, folder, options, log } = input;
  const { vm, guest } = prepared;
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const volumes = createSandboxVolumes({
    ...{ vm, guest, annotations: {}, sharedMemory: false, cgroup: undefined, log },
    ...{ folder: join(folder, "shared"), socket: join(folder, "fs") },
  });
  try {
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
    const hosts = join(folder, "hosts");
    writeFileSync(hosts, "127.0.0.1 localhost\n");
    const process = createTaskProcess("", { stdin: "", stdout: "", stderr: "", terminal: false });
    input.listen({
      exited: ({ exitCode }) => void process.end(exitCode),
      oom: () => {},
    });
    const disks = createSandboxDisks(vm, guest);
    const roots = createRootfsCache({ folder: join(folder, "rootfs"), maxBytes: 1 });
    const container = await createContainer({
      ...{ id, bundle: folder, spec: specWith(hosts), process, log },
      sandbox: { guest, volumes, roots, ...disks },
      rootfs: [create(MountSchema, { type: "erofs", source: input.image, options: ["ro"] })],
    });
    await container.start();
    await container.signal("", sigkill, true);
    await process.exited;
    await container.remove();
    await disks.removeDisk(diskSerial("image", input.image));
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
