// Clones of a template in real VMs: each is one of its own, and none can touch what it is a copy of.
import { createHash } from "node:crypto";
import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { silentLogger as log } from "../../common/log.ts";
import { lentFolder } from "../../runtime-shim/confinement/vmm-place.ts";
import { findGuestFiles } from "../../runtime-shim/hypervisors/guest-files.ts";
import { createQemu } from "../../runtime-shim/hypervisors/qemu.ts";
import { greetGuest } from "../../runtime-shim/service/boot-guest.ts";
import { prepareVm } from "../../runtime-shim/service/prepare-vm.ts";
import { ShimOptionsSchema } from "../../runtime-shim/shim-options.ts";
import { contentDigest } from "../../runtime-shim/templates/content-digest.ts";
import { obtainTemplate } from "../../runtime-shim/templates/make-template.ts";
import { readManifest, writeManifest } from "../../runtime-shim/templates/manifest.ts";
import { copyTemplateDisk } from "../../runtime-shim/templates/template-disk.ts";
import { createTemplateStore, type Template } from "../../runtime-shim/templates/template-store.ts";
import { guestFolder, vmTestObstacle } from "../support/guest-image.ts";
import { exitCodeAsVmm } from "./as-vmm.ts";
import { bootGuest, vmSpecsIn } from "./vm-specs.ts";

const why = vmTestObstacle();
// A hundred take some 40 s on two cores.
const clones = Number(process.env.KATASIM_CLONES ?? 100);
const atOnce = 4;

describe.skipIf(why !== undefined)(`clones of a template${why ? ` (skipped: ${why})` : ""}`, () => {
  const folder = mkdtempSync("/tmp/ktpl-");
  const store = createTemplateStore({ folder: join(folder, "t"), maxBytes: 2 ** 32, log });
  const hypervisor = createQemu({ log });
  const options = ShimOptionsSchema.parse({});
  const newSpec = vmSpecsIn(folder);
  const spec = () => newSpec("tcg", { vcpus: 1, memoryMib: 256 });
  const files = findGuestFiles(guestFolder());
  const socketFolder = join(folder, "m");
  let template: Template;

  const obtain = () =>
    obtainTemplate(store, { ...{ hypervisor, spec: spec(), files, socketFolder, options, log } });
  const traces = ({ folder: path }: Template) =>
    ["qemu-memory", "qemu-state"].map((name) => {
      const { mode, mtimeMs, size } = statSync(join(path, name));
      const digest = createHash("sha256")
        .update(readFileSync(join(path, name)))
        .digest("hex");
      return { name, mode: mode & 0o777, mtimeMs, size, digest };
    });

  beforeAll(async () => {
    chmodSync(folder, 0o711);
    template = await obtain();
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it("are made of one that is made once", async () => {
    expect((await obtain()).manifest.madeAtMs).toBe(template.manifest.madeAtMs);
  });

  it("never give the same random bytes, and leave the template as it was", async () => {
    const before = traces(template);
    expect(before.map(({ mode }) => mode)).toEqual([0o444, 0o600]);
    const bootIds: string[] = [];
    const one = async (index: number) => {
      const vm = await hypervisor.restore(spec(), template.folder);
      try {
        const { guest, bootId } = await bootGuest(vm, { hostname: `clone-${index}` });
        bootIds.push(bootId);
        const hello = await guest.request("hello");
        expect(hello.words(3)).toBe(bootId);
        guest.close("looked at");
      } finally {
        await vm.stop();
      }
    };
    for (let begun = 0; begun < clones; begun += atOnce) {
      const count = Math.min(atOnce, clones - begun);
      await Promise.all(Array.from({ length: count }, (_, index) => one(begun + index)));
    }
    // The kernel makes it of its random bytes, at the first reading.
    expect(new Set(bootIds).size).toBe(clones);
    expect(traces(template)).toEqual(before);
  }, 300_000);

  it("go on with a copy of the template's disk, which is as sparse and not the template's", async () => {
    const path = join(folder, "copy.ext4");
    const disk = await copyTemplateDisk(template.folder, path);
    const original = join(template.folder, "writable.ext4");
    expect(await contentDigest(path)).toBe(await contentDigest(original));
    const [copied, saved] = [statSync(path), statSync(original)];
    expect(copied.size).toBe(saved.size);
    expect(copied.blocks).toBeLessThan(2 * saved.blocks);
    const vm = await hypervisor.restore(spec(), template.folder, Promise.resolve(disk));
    try {
      expect(await vm.attachDisk(disk)).toMatch(/^0000:00:/);
      const { guest } = await bootGuest(vm, { hostname: "with-disk" });
      // It is mounted: unmounting writes what is there of it.
      await guest.request("unmountDisk", [[1, disk.serial]]);
      await vm.detachDisk(disk.serial);
      guest.close("looked at");
    } finally {
      await vm.stop();
    }
    expect(await contentDigest(path)).not.toBe(await contentDigest(original));
    const none = copyTemplateDisk(template.folder, join(folder, "no-folder", "copy.ext4"));
    await expect(none).rejects.toMatchObject({ code: "DISK" });
  });

  it("tell no boot id before they have a seed of their own", async () => {
    const listener = { exited: () => {}, oom: () => {} };
    const vm = await hypervisor.restore(spec(), template.folder);
    try {
      const { guest } = await greetGuest(vm, { log, listener, options });
      expect((await guest.request("hello")).words(3)).toBeUndefined();
      guest.close("looked at");
    } finally {
      await vm.stop();
    }
  });

  it("hold the template's memory open for reading, and share no folder", async () => {
    const own = spec();
    const vm = await hypervisor.restore(own, template.folder);
    try {
      const fds = readdirSync(`/proc/${vm.pid}/fd`).filter((fd) =>
        /(memory|qemu-memory)$/.test(readlinkSync(`/proc/${vm.pid}/fd/${fd}`)),
      );
      expect(fds).not.toEqual([]);
      for (const fd of fds) {
        const info = readFileSync(`/proc/${vm.pid}/fdinfo/${fd}`, "utf8");
        const flags = Number.parseInt(/^flags:\s+(\d+)$/m.exec(info)?.[1] ?? "3", 8);
        // O_ACCMODE of fcntl.h; O_RDONLY is 0.
        expect(flags & 3).toBe(0);
      }
      const uid = own.place?.uid ?? -1;
      const asVmm = (test: string) =>
        exitCodeAsVmm({ vmmPid: vm.pid, vmmUid: uid }, "test", test, join(lentFolder, "memory"));
      expect([asVmm("-r"), asVmm("-w")]).toEqual([0, 1]);
      const shared = vm.attachFolder({ tag: "t", socket: join(folder, "none") });
      await expect(shared).rejects.toThrow("shares no folders");
    } finally {
      await vm.stop();
    }
  });

  it("are booted when the template is of no use, which is then made anew", async () => {
    rmSync(join(template.folder, "qemu-state"));
    writeFileSync(join(template.folder, "qemu-state"), "no state of a VM");
    const facts = readManifest(template.folder);
    rmSync(join(template.folder, "template.json"));
    if (facts === undefined) throw new Error("no manifest");
    const { files: _, ...rest } = facts;
    await writeManifest(template.folder, rest);
    const choice = { hypervisor, accelerator: "tcg" as const, explanation: "" };
    const prepare = () =>
      prepareVm({
        ...{ choice, spec: spec(), files, log, templateSocketFolder: socketFolder },
        firstDisk: join(folder, "first.ext4"),
        options: { ...options, templateDir: join(folder, "t") },
        listener: { exited: () => {}, oom: () => {} },
      });
    const first = await prepare();
    await first.vm.stop();
    expect(first).toMatchObject({
      startKind: "cold",
      fellBack: expect.stringContaining("Not a migration stream"),
    });
    const second = await prepare();
    await second.vm.stop();
    expect(second).toMatchObject({ startKind: "template", fellBack: undefined });
  });
});
