/** The pod's fsGroup on files that the agent makes: kubernetes pkg/volume/volume_linux.go SetVolumeOwnership. */
import { lchown } from "node:fs/promises";

/** Another user than root can give nothing away: its VMs' shim does so inside the guest. */
export async function giveToGroup(path: string, groupId: number | undefined): Promise<void> {
  if (groupId !== undefined && process.getuid?.() === 0) await lchown(path, 0, groupId);
}
