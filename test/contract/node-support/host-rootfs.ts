/**
 * A small root file system made of this machine's own programs and the libraries they need, so that
 * the tests run genuine containers without any image or network.
 */
import { execFileSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, realpathSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

const programs = [
  "bash",
  "sleep",
  "cat",
  "ls",
  "id",
  "env",
  "stty",
  "head",
  "uname",
  "hostname",
  "ip",
  "socat",
  "dd",
];

/** Fills `folder`; names ending in `sh` are the same shell. */
export function makeHostRootfs(folder: string): void {
  mkdirSync(join(folder, "bin"), { recursive: true });
  mkdirSync(join(folder, "etc"), { recursive: true });
  mkdirSync(join(folder, "tmp"), { recursive: true, mode: 0o1777 });
  const libraries = new Set<string>();
  for (const program of programs) {
    const found = ["/bin", "/usr/bin", "/sbin", "/usr/sbin"]
      .map((place) => join(place, program))
      .find((path) => existsSync(path));
    if (found === undefined) continue;
    copyFileSync(realpathSync(found), join(folder, "bin", program));
    const listed = execFileSync("ldd", [found], { encoding: "utf8" });
    for (const [path] of listed.matchAll(/\/\S+\.so\S*/g)) libraries.add(path);
  }
  copyFileSync(join(folder, "bin/bash"), join(folder, "bin/sh"));
  for (const library of libraries) {
    mkdirSync(join(folder, dirname(library)), { recursive: true });
    copyFileSync(realpathSync(library), join(folder, library));
  }
  writeFileSync(
    join(folder, "etc/passwd"),
    "root:x:0:0:root:/root:/bin/sh\napp:x:1234:5678:app:/home/app:/bin/sh\n",
  );
  writeFileSync(join(folder, "etc/group"), "root:x:0:\napp:x:5678:\nextra:x:4321:app\n");
}

/** Packs it as the set-up packs the built-in base image. */
export function makeBaseImage(guestFolder: string): void {
  const rootfs = join(guestFolder, "test-rootfs");
  makeHostRootfs(rootfs);
  const target = join(guestFolder, "base-image");
  mkdirSync(target, { recursive: true });
  execFileSync("tar", [
    "-C",
    rootfs,
    "--numeric-owner",
    "--owner=0",
    "--group=0",
    "-cf",
    join(target, "rootfs.tar"),
    ".",
  ]);
  writeFileSync(
    join(target, "config.json"),
    JSON.stringify({
      architecture: "amd64",
      os: "linux",
      config: { Env: ["PATH=/bin:/usr/bin", "FROM_IMAGE=yes"], Cmd: ["/bin/sh"], WorkingDir: "/" },
    }),
  );
}
