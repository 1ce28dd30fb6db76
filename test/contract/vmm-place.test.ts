/** What a VMM that a guest has taken over finds on the host: played by programs that run as its user. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { lentFolder } from "../../runtime-shim/confinement/vmm-place.ts";
import type { VmRecord } from "../../runtime-shim/shim-options.ts";
import { guestFolder, vmTestObstacle } from "../support/guest-image.ts";
import type { ShimDriver } from "../support/shim-driver.ts";
import { exitCodeAsVmm } from "./as-vmm.ts";
import { createShimScene } from "./shim-scene.ts";

const why = vmTestObstacle();

describe.skipIf(why !== undefined)(`the place of a VMM${why ? ` (skipped: ${why})` : ""}`, () => {
  const folder = mkdtempSync("/tmp/kplace-");
  const scene = createShimScene(folder);
  let drivers: readonly ShimDriver[] = [];
  let one: VmRecord;
  let two: VmRecord;

  beforeAll(async () => {
    const names = ["one", "two"] as const;
    drivers = await Promise.all(names.map((name) => scene.openDriver(name)));
    const [first, second] = drivers as [ShimDriver, ShimDriver];
    one = (await scene.newSandbox(first, "one")) as VmRecord;
    two = (await scene.newSandbox(second, "two")) as VmRecord;
    await scene.newContainer(first, "one", "in-one", ["sleep", "1000"]);
  });
  afterAll(async () => {
    for (const driver of drivers) await driver.close();
    scene.expectNothingLeft();
  });

  const lent = (record: VmRecord) => readdirSync(`/proc/${record.vmmPid}/root${lentFolder}`).sort();

  it("has what the VMM was lent, and what it was lent alone", () => {
    expect(lent(two)).toEqual(["initrd", "kernel", "s"]);
    const disks = lent(one).filter((name) => !lent(two).includes(name));
    expect(disks.map((name) => name[0])).toEqual(["i", "w"]);
    for (const name of lent(one)) {
      expect([name, exitCodeAsVmm(one, "test", "-r", join(lentFolder, name))]).toEqual([name, 0]);
    }
    const [image, writable] = disks.map((name) => join(lentFolder, name));
    expect(exitCodeAsVmm(one, "test", "-w", writable as string)).toBe(0);
    expect(exitCodeAsVmm(one, "test", "-w", image as string)).toBe(1);
    expect(exitCodeAsVmm(one, "test", "-w", join(lentFolder, "kernel"))).toBe(1);
    // On the host the folder is empty.
    expect(readdirSync(lentFolder)).toEqual([]);
  });

  it("opens no folder that is closed to others", () => {
    expect(exitCodeAsVmm(one, "ls", folder)).not.toBe(0);
    expect(exitCodeAsVmm(one, "ls", (drivers[0] as ShimDriver).bundleOf("one"))).not.toBe(0);
    expect(exitCodeAsVmm(one, "cat", "/etc/shadow")).not.toBe(0);
    expect(exitCodeAsVmm(one, "ls", `/proc/${one.shimPid}/fd`)).not.toBe(0);
  });

  it("gives one sandbox's VMM nothing of another's", () => {
    expect(one.vmmUid).not.toBe(two.vmmUid);
    const entries = readdirSync(join(folder, "s")).filter((entry) => entry.endsWith(".vmm"));
    const groups = entries.map((entry) => {
      const { uid, gid, mode } = statSync(join(folder, "s", entry));
      expect([uid, mode & 0o7777]).toEqual([0, 0o1770]);
      return gid;
    });
    expect(groups.sort()).toEqual([one.vmmUid, two.vmmUid].sort());
    expect(exitCodeAsVmm(two, "kill", "-0", String(one.vmmPid))).not.toBe(0);
    expect(exitCodeAsVmm(two, "ls", `/proc/${one.vmmPid}/root${lentFolder}/s`)).not.toBe(0);
  });

  it("can make files nowhere but beside its own sockets", () => {
    expect(exitCodeAsVmm(two, "touch", join(lentFolder, "more"))).not.toBe(0);
    expect(exitCodeAsVmm(two, "touch", join(lentFolder, "s", "more"))).toBe(0);
  });

  it("goes with the VMM: the kernel file is busy no more", () => {
    const kernel = join(guestFolder(), "vmlinux");
    expect(readFileSync(`/proc/${two.vmmPid}/mountinfo`, "utf8")).toContain(`${lentFolder}/kernel`);
    expect(readFileSync("/proc/self/mountinfo", "utf8")).not.toContain(lentFolder);
    expect(statSync(kernel).uid).toBe(0);
  });

  it("keeps the shim's own descriptors to itself", () => {
    const targets = readdirSync(`/proc/${one.shimPid}/fd`).map((fd) => {
      try {
        return readlinkSync(`/proc/${one.shimPid}/fd/${fd}`);
      } catch {
        return "";
      }
    });
    const own = [
      ...[/^$/, /^(socket|pipe):\[/, /^anon_inode:/, /^\/dev\/(null|urandom|random)$/],
      new RegExp(`^${folder}/`),
    ];
    expect(targets.filter((target) => !own.some((pattern) => pattern.test(target)))).toEqual([]);
    const modes = execFileSync("find", [join(folder, "s"), "-type", "s", "-printf", "%m\n"]);
    expect([...new Set(modes.toString().trim().split("\n"))]).toEqual(["600"]);
    expect(statSync(join(folder, "s")).mode & 0o777).toBe(0o700);
  });
});
