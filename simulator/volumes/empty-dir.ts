/**
 * emptyDir volumes: kubernetes pkg/volume/emptydir. Medium Memory is a tmpfs on the host; a VM shim
 * sees that by the path and the mount and makes one inside the guest instead.
 */
import { chmod, mkdir } from "node:fs/promises";
import { toUnits } from "../../common/quantity.ts";
import { runCommand } from "../command.ts";
import { agentError } from "../errors.ts";
import { giveToGroup } from "./group.ts";
import { mountPointsBelow } from "./mounts.ts";
import type { VolumeKind } from "./volume-kind.ts";

// Everyone may write: containers of one pod run as different users.
const emptyDirMode = 0o777;

export const emptyDirVolume: VolumeKind = {
  plugin: "kubernetes.io~empty-dir",
  refreshable: false,
  async setUp(volume, context) {
    const { folder } = context;
    const { medium, sizeLimit } = volume.emptyDir ?? {};
    await mkdir(folder, { recursive: true, mode: 0o750 });
    // Without root there are VMs only, and nobody to mount one: theirs is a disk then, as without a medium.
    const mounts = medium === "Memory" && process.getuid?.() === 0;
    if (mounts && (await mountPointsBelow(folder)).length === 0) {
      const size = sizeLimit === undefined ? [] : [`size=${toUnits(sizeLimit)}`];
      const options = ["mode=0777", "nosuid", "nodev", ...size].join(",");
      const result = await runCommand("mount", ["-t", "tmpfs", "-o", options, "tmpfs", folder]);
      if (!result.ok) throw agentError("VOLUME_SETUP", `mounting a tmpfs failed: ${result.stderr}`);
    }
    const { fsGroup } = context.pod.spec.securityContext ?? {};
    await giveToGroup(folder, fsGroup);
    await chmod(folder, fsGroup === undefined ? emptyDirMode : 0o2000 | emptyDirMode);
    return folder;
  },
};
