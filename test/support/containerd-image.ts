/** The built-in base image as `docker save` writes it, under two names: for containers and for pause. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { guestFolder } from "./guest-image.ts";

export const baseImageName = "docker.io/library/katasim-base:1";

/** The same files; containers of runc's pods need a process that waits to be killed. */
export const pauseImageName = "docker.io/library/katasim-pause:1";

/** Makes `<folder>/image.tar` at the first call and answers its path. */
export function baseImageArchive(folder: string): string {
  const archive = join(folder, "image.tar");
  if (existsSync(archive)) return archive;
  const content = join(folder, "image");
  mkdirSync(content);
  const original = join(guestFolder(), "base-image/rootfs.tar");
  const digest = createHash("sha256").update(readFileSync(original)).digest("hex");
  const base = JSON.parse(readFileSync(join(guestFolder(), "base-image/config.json"), "utf8"));
  const rootfs = { type: "layers", diff_ids: [`sha256:${digest}`] };
  const pause = { ...base, config: { ...base.config, Cmd: ["/bin/sleep", "infinity"] } };
  writeFileSync(join(content, "base.json"), JSON.stringify({ ...base, rootfs }));
  writeFileSync(join(content, "pause.json"), JSON.stringify({ ...pause, rootfs }));
  const manifest = [
    { Config: "base.json", RepoTags: [baseImageName], Layers: ["layer.tar"] },
    { Config: "pause.json", RepoTags: [pauseImageName], Layers: ["layer.tar"] },
  ];
  writeFileSync(join(content, "manifest.json"), JSON.stringify(manifest));
  execFileSync("cp", ["--reflink=auto", original, join(content, "layer.tar")]);
  const files = ["base.json", "pause.json", "manifest.json", "layer.tar"];
  execFileSync("tar", ["-cf", archive, "-C", content, ...files]);
  rmSync(content, { recursive: true });
  return archive;
}
