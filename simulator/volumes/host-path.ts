/** hostPath volumes: kubernetes pkg/volume/hostpath. A VM shim shares them with its guest. */
import { mkdir, open, stat } from "node:fs/promises";
import { agentError } from "../errors.ts";
import type { VolumeKind } from "./volume-kind.ts";

export const hostPathVolume: VolumeKind = {
  plugin: "kubernetes.io~host-path",
  refreshable: false,
  async setUp(volume) {
    const { path = "", type = "" } = volume.hostPath ?? {};
    if (type === "DirectoryOrCreate") await mkdir(path, { recursive: true, mode: 0o755 });
    if (type === "FileOrCreate") await (await open(path, "a", 0o644)).close();
    const stats = await stat(path).catch(() => undefined);
    const ok =
      type === "" ||
      (type.startsWith("Directory") && stats?.isDirectory()) ||
      (type.startsWith("File") && stats?.isFile()) ||
      (type === "Socket" && stats?.isSocket()) ||
      (type === "CharDevice" && stats?.isCharacterDevice()) ||
      (type === "BlockDevice" && stats?.isBlockDevice());
    if (!ok) {
      throw agentError(
        "VOLUME_SETUP",
        `hostPath type check failed: ${path} is not a ${words[type]}`,
      );
    }
    // As container engines do for a bind source: no type means "whatever it is, or a new folder".
    if (stats === undefined) await mkdir(path, { recursive: true, mode: 0o755 });
    return path;
  },
};

const words: Readonly<Record<string, string>> = {
  Directory: "directory",
  DirectoryOrCreate: "directory",
  File: "file",
  FileOrCreate: "file",
  Socket: "socket file",
  CharDevice: "character device",
  BlockDevice: "block device",
};
