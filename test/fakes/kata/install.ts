/**
 * Puts a program in the place of containerd-shim-kata-v2, with a configuration and what that names, so
 * that the adapter can be tried where the real one cannot run. It is played after the Go shim's source
 * (kata-containers src/runtime at 4.1): its `--version`, its configuration, its refusals, its words,
 * its mount namespace, one VMM process a sandbox. The "guest" is this machine: the genuine
 * containerd-shim-runc-v2 runs the containers, so that output, exits and execs are real.
 */
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";

export interface FakeKata {
  /** To be the first on PATH. */
  readonly folder: string;
  readonly configuration: string;
  /** Writes the configuration anew: lines for [hypervisor.clh] and for [runtime]. */
  configure(hypervisor: readonly string[], runtime: readonly string[]): void;
}

export async function installFakeKata(folder: string): Promise<FakeKata> {
  mkdirSync(folder, { recursive: true });
  const program = join(folder, "containerd-shim-kata-v2");
  await build({
    entryPoints: [join(import.meta.dirname, "main.ts")],
    bundle: true,
    platform: "node",
    format: "esm",
    outfile: `${program}.mjs`,
    logLevel: "error",
    banner: {
      js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);',
    },
  });
  writeFileSync(program, `#!/bin/sh\nexec '${process.execPath}' '${program}.mjs' "$@"\n`);
  // A VMM in name: it waits, in one process that SIGKILL ends, with its arguments to be read.
  const hypervisor = join(folder, "cloud-hypervisor");
  execFileSync("mkfifo", [`${hypervisor}.wait`]);
  writeFileSync(hypervisor, `#!/bin/sh\nread -r line < '${hypervisor}.wait'\n`);
  for (const file of [program, hypervisor]) chmodSync(file, 0o755);
  for (const file of ["vmlinux.container", "kata-containers.img"]) {
    writeFileSync(join(folder, file), "not empty\n");
  }
  const configuration = join(folder, "configuration.toml");
  const configure = (lines: readonly string[], runtime: readonly string[]) => {
    const text = [
      "[hypervisor.clh]",
      `path = "${hypervisor}"`,
      `kernel = "${join(folder, "vmlinux.container")}"`,
      `image = "${join(folder, "kata-containers.img")}"`,
      ...lines,
      "[agent.kata]",
      "dial_timeout = 45",
      "[runtime]",
      ...runtime,
    ];
    writeFileSync(configuration, `${text.join("\n")}\n`);
  };
  configure(
    ["default_vcpus = 1", "default_memory = 2048"],
    ["static_sandbox_resource_mgmt = true"],
  );
  return { folder, configuration, configure };
}
