/** What the shim's contract tests share: a folder with an image, drivers in it, sandboxes, containers. */
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { readVmRecord } from "../../runtime-shim/service/bundle-files.ts";
import { guestFolder, makeBaseImage } from "../support/guest-image.ts";
import { processes } from "../support/leaks.ts";
import { containerSpec, sandboxSpec } from "../support/oci-specs.ts";
import { createShimDriver, type ShimDriver, task } from "../support/shim-driver.ts";

export const shim =
  process.env.KATASIM_TEST_SHIM ??
  join(import.meta.dirname, "../../bin/containerd-shim-katasim-v2");

/** Made at the first call. */
export function baseImage(folder: string): string {
  const path = join(folder, "base.erofs");
  return existsSync(path) ? path : makeBaseImage(folder);
}

export function shimOptions(folder: string) {
  return {
    guestDir: guestFolder(),
    socketDir: join(folder, "s"),
    logFile: join(folder, "shim.log"),
    accel: "tcg",
    rootfsCacheDir: join(folder, "rootfs"),
  };
}

export function createShimScene(folder: string) {
  return {
    openDriver: (name: string, more: object = {}) =>
      createShimDriver({
        shim,
        folder: join(folder, name),
        shimOptions: { ...shimOptions(folder), ...more },
      }),
    async newSandbox(target: ShimDriver, id: string, spec = sandboxSpec(id)) {
      await target.start(id, spec);
      const bundle = target.bundleOf(id);
      await target.client.call(task.create, { id, bundle, options: target.options() });
      await target.client.call(task.start, { id });
      return readVmRecord(bundle);
    },
    /** Creates and starts a container with collected output. */
    async newContainer(
      target: ShimDriver,
      sandbox: string,
      id: string,
      args: readonly string[],
      extra: object = {},
      input: { readonly stdin?: boolean } = {},
    ) {
      await target.start(id, containerSpec(sandbox, args, extra));
      const streams = target.streams(id, input);
      const { stdin, stdout, stderr } = streams;
      await target.client.call(task.create, {
        ...{ id, bundle: target.bundleOf(id), stdin, stdout, stderr },
        rootfs: [{ type: "erofs", source: baseImage(folder), options: ["ro"] }],
      });
      await target.client.call(task.start, { id });
      return streams;
    },
    async finish(target: ShimDriver, id: string) {
      const { exitStatus } = await target.client.call(task.wait, { id });
      await target.client.call(task.delete, { id });
      return exitStatus;
    },
    /** Nothing of the shims may be left; removes the folder. */
    expectNothingLeft() {
      const sockets = join(folder, "s");
      expect(existsSync(sockets) ? readdirSync(sockets) : []).toEqual([]);
      expect(readFileSync("/proc/self/mountinfo", "utf8")).not.toContain(folder);
      expect(processes({ home: folder, instance: "-" })).toEqual([]);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Whether the process runs; one that waits to be reaped does not. */
export function isRunning(pid: number): boolean {
  const stat = `/proc/${pid}/stat`;
  return existsSync(stat) && !/\) [ZX] /.test(readFileSync(stat, "utf8"));
}
