/**
 * Saving and restoring, over all twins with the real guest: a VM that was running anyway, and one that
 * was started to be saved.
 */
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { silentLogger } from "../../common/log.ts";
import type { GuestClient } from "../../runtime-shim/guest-client/client.ts";
import type { Hypervisor, RunningVm } from "../../runtime-shim/hypervisors/hypervisor.ts";
import { greetGuest } from "../../runtime-shim/service/boot-guest.ts";
import { waitUntil } from "../support/wait-until.ts";
import { createHypervisorScene } from "./hypervisor-scene.ts";
import { bootGuest, leftovers } from "./vm-specs.ts";

const { folder, newSpec, eachTwin } = await createHypervisorScene("/tmp/khs-");

eachTwin((twin) => {
  let hypervisor: Hypervisor;
  let vm: RunningVm;
  let guest: GuestClient;
  let bootId: string;

  beforeAll(async () => {
    hypervisor = twin.create();
    vm = await hypervisor.start(newSpec(twin.accelerator));
    ({ guest, bootId } = await bootGuest(vm, { hostname: "contract" }));
  });
  afterAll(async () => {
    await vm.stop();
  });

  it("saves a paused guest, from which others go on with its memory", async () => {
    const snapshot = mkdtempSync(join(folder, "s"));
    await expect(vm.snapshot(snapshot)).rejects.toMatchObject({ code: "VMM_CONTROL" });
    await vm.pause();
    await vm.snapshot(snapshot);
    await vm.resume();
    await guest.request("hello");

    const identity = { hostname: "restored" };
    for (let round = 0; round < 2; round += 1) {
      const own = newSpec(twin.accelerator);
      const restored = await hypervisor.restore(own, snapshot);
      try {
        const booted = await bootGuest(restored, identity);
        // A new boot would have a new one.
        expect(booted.bootId).toBe(bootId);
        booted.guest.close("looked at");
      } finally {
        await restored.stop();
      }
      await waitUntil(() => leftovers(own).every((name) => name.startsWith("c.")), {
        what: "the sockets to go",
      });
    }

    const other = newSpec(twin.accelerator, { memoryMib: 384 });
    await expect(hypervisor.restore(other, snapshot)).rejects.toMatchObject({
      code: "VMM_START_FAILED",
      message: expect.stringMatching(/256 MiB|0x10000000/),
    });
    const none = newSpec(twin.accelerator);
    await expect(hypervisor.restore(none, join(folder, "no-snapshot"))).rejects.toMatchObject({
      code: "VMM_START_FAILED",
      message: expect.stringContaining("cannot be read: ENOENT"),
    });
    expect(leftovers(none)).toEqual([]);
    rmSync(snapshot, { recursive: true });
  });

  it("saves one that was started for it, whose memory others share until they write", async () => {
    const saved = mkdtempSync(join(folder, "t"));
    const original = await hypervisor.start(newSpec(twin.accelerator, { savedTo: saved }));
    try {
      const listener = { exited() {}, oom() {} };
      const greeted = await greetGuest(original, { log: silentLogger, listener });
      await original.pause();
      await original.snapshot(saved);
      greeted.guest.close("saved");
    } finally {
      await original.stop();
    }
    const traces = () =>
      readdirSync(saved).map((name) => {
        const { ino, size, mtimeMs, ctimeMs } = statSync(join(saved, name));
        const digest = createHash("sha256").update(readFileSync(join(saved, name)));
        return { name, ino, size, mtimeMs, ctimeMs, digest: digest.digest("hex") };
      });
    const before = traces();
    const clones: RunningVm[] = [];
    try {
      const bootIds: string[] = [];
      for (const hostname of ["first", "second"]) {
        const clone = await hypervisor.restore(newSpec(twin.accelerator), saved);
        clones.push(clone);
        bootIds.push((await bootGuest(clone, { hostname })).bootId);
      }
      // The original never told one: each makes it of random bytes of its own.
      expect(new Set([...bootIds, bootId]).size).toBe(3);
      expect(traces()).toEqual(before);
      // Cloud Hypervisor copies what it restores.
      if (twin.hypervisor !== "qemu") return;
      const memory = before.find(({ name }) => name === "qemu-memory");
      const mapping = new RegExp(`^\\S+ rw-p \\S+ \\S+ ${memory?.ino} `, "m");
      for (const { pid } of clones)
        expect(readFileSync(`/proc/${pid}/maps`, "utf8")).toMatch(mapping);
      const folderDevice = { tag: "t", socket: join(folder, "none") };
      await expect(clones[0]?.attachFolder(folderDevice)).rejects.toMatchObject({
        code: "VMM_CONTROL",
        message: expect.stringContaining("shares no folders"),
      });
    } finally {
      for (const clone of clones) await clone.stop();
      rmSync(saved, { recursive: true });
    }
  });

  // The file's name is QEMU's.
  const byQemu = twin.hypervisor === "qemu" || twin.played;
  if (byQemu)
    it("outlives a full disk", async () => {
      const full = mkdtempSync(join(folder, "f"));
      symlinkSync("/dev/full", join(full, "qemu-state"));
      await vm.pause();
      await expect(vm.snapshot(full)).rejects.toMatchObject({
        code: "VMM_CONTROL",
        message: expect.stringContaining("ENOSPC"),
      });
      expect(readdirSync(full)).toEqual([]);
      await vm.snapshot(full);
      await vm.resume();
      await guest.request("hello");
      rmSync(full, { recursive: true });
    });
});
