/** All a sandbox's containers bind, brought into its guest: one answer for each kind of source. */
import type { RunningVm } from "../hypervisors/hypervisor.ts";
import type { GuestSource } from "../oci/mounts.ts";
import { copyIn, makeFolder } from "./copy-in.ts";
import { createEmptyDirs } from "./empty-dirs.ts";
import { sandboxOwner } from "./guest-owner.ts";
import { createLiveVolumes } from "./live-volumes.ts";
import { createSharedFolder, type SharedFolderInput } from "./shared-folder.ts";
import { fetchMessage } from "./termination-messages.ts";
import { emptyDirSizes, sharedFoldersAnnotation } from "./volume-annotations.ts";

export interface SandboxVolumes {
  /** Rejects with MOUNT_NOT_SHARED or DISK naming the host's path. */
  add(containerId: string, sources: readonly GuestSource[]): Promise<void>;
  /** The container has ended: what it left for the host is fetched. Never rejects. */
  collect(sources: readonly GuestSource[]): Promise<void>;
  /** The container is gone; what others use stays. */
  release(containerId: string): void;
  /** Resolves with the reason when the guest cannot go on without what it lost. */
  readonly failed: Promise<string>;
  /** Follows the host no longer; after the VM's end nothing of the shared folder is left. Idempotent. */
  close(): Promise<void>;
}

export interface VolumesInput
  extends Pick<SharedFolderInput, "guest" | "folder" | "socket" | "cgroup" | "log"> {
  readonly vm: Pick<RunningVm, "attachDisk" | "detachDisk" | "attachFolder">;
  readonly annotations: Readonly<Record<string, string>>;
  readonly sharedMemory: boolean;
}

export function createSandboxVolumes(input: VolumesInput): SandboxVolumes {
  const { vm, guest, log } = input;
  const into = { guest, ownerOf: sandboxOwner(input.annotations) };
  const live = createLiveVolumes(into, log);
  const emptyDirs = createEmptyDirs(vm, into, emptyDirSizes(input.annotations));
  let fail: (reason: string) => void = () => {};
  const failed = new Promise<string>((resolve) => {
    fail = resolve;
  });
  const shared = createSharedFolder({
    ...input,
    obstacle: input.sharedMemory
      ? undefined
      : `the sandbox was started without shared folders (${sharedFoldersAnnotation})`,
    failed: fail,
  });
  const addOne = (containerId: string, source: GuestSource): Promise<void> => {
    const { kind, hostPath, guestPath } = source;
    switch (kind) {
      case "copy":
      case "message":
        return copyIn(into, hostPath, guestPath);
      case "live":
        return live.add(containerId, hostPath, guestPath);
      case "volume":
        return emptyDirs.add(hostPath, guestPath);
      case "folder":
        return makeFolder(into, hostPath, guestPath);
      case "share":
        return shared.add(hostPath, guestPath, source.readOnly === true);
    }
  };
  return {
    async add(containerId, sources) {
      // In order: folders of a volume come behind it.
      for (const source of sources) await addOne(containerId, source);
    },
    async collect(sources) {
      const messages = sources.filter(({ kind }) => kind === "message");
      for (const message of messages) await fetchMessage(guest, message, log);
    },
    release: (containerId) => live.release(containerId),
    failed,
    close() {
      live.close();
      return shared.close();
    },
  };
}
