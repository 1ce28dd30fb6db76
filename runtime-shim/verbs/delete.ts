/**
 * `delete`: removes what a task left behind, from its bundle alone: the daemon may be dead. Always
 * called, also after a clean end, so every step is idempotent.
 */

import { rmSync } from "node:fs";
import { join } from "node:path";
import { create, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { killByPidFile, readPidFile } from "../../common/process/process-identity.ts";
import { DeleteResponseSchema } from "../../proto/containerd/gen/task_pb.js";
import type { ShimArguments } from "../arguments.ts";
import { removeVmmCgroup } from "../confinement/vmm-cgroup.ts";
import { removeRootFiles } from "../disks/root-disks.ts";
import { disconnectTap } from "../network/tcfilter.ts";
import {
  readShimState,
  removeSockets,
  shimPidFile,
  vmmPidFile,
  writableDiskFile,
} from "../service/state-file.ts";

// As containerd-shim-runc-v2: 128 + SIGKILL.
const killedStatus = 137;

/** The DeleteResponse to print. */
export async function deleteTask({ id, bundle }: ShimArguments): Promise<Uint8Array> {
  let pid = 0;
  // Only the sandbox's own bundle has a state file: a container's delete never touches the VM.
  if (readShimState(bundle)?.groupId === id) {
    pid = readPidFile(join(bundle, vmmPidFile))?.pid ?? 0;
    // The daemon first, or it would report the VM's end as an accident.
    await killByPidFile(join(bundle, shimPidFile));
    await killByPidFile(join(bundle, vmmPidFile));
  }
  // Read again: until it was killed, the daemon may have made more and written it down.
  const state = readShimState(bundle);
  if (state?.groupId === id) {
    if (state.netnsPath !== undefined && state.podInterface !== undefined) {
      await disconnectTap(state.netnsPath, state.podInterface);
    }
    await removeVmmCgroup(state.cgroupFolders ?? []);
    removeSockets(state);
  }
  for (const folder of [bundle, join(bundle, "work")]) {
    rmSync(join(folder, writableDiskFile), { force: true });
    removeRootFiles(folder);
  }
  return toBinary(
    DeleteResponseSchema,
    create(DeleteResponseSchema, {
      pid,
      exitStatus: killedStatus,
      exitedAt: timestampFromMs(Date.now()),
    }),
  );
}
