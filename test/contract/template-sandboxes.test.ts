/** Sandboxes of the shim that are clones of one template: what their containers see, and what they share. */
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { silentLogger } from "../../common/log.ts";
import { lentFolder } from "../../runtime-shim/confinement/vmm-place.ts";
import type { VmRecord } from "../../runtime-shim/shim-options.ts";
import { writeManifest } from "../../runtime-shim/templates/manifest.ts";
import { createTemplateCatalog } from "../../runtime-shim/templates/template-catalog.ts";
import { vmTestObstacle } from "../support/guest-image.ts";
import { sandboxSpec } from "../support/oci-specs.ts";
import type { ShimDriver } from "../support/shim-driver.ts";
import { waitUntil } from "../support/wait-until.ts";
import { exitCodeAsVmm } from "./as-vmm.ts";
import { createShimScene, shimOptions } from "./shim-scene.ts";

const why = vmTestObstacle();
const noFolders = { "katasim.dev/shared-folders": "false" };
const names = ["one", "two", "three"] as const;
// Longer than any two clocks may differ here.
const agedMs = 5_000;
const toleratedMs = 2_000;

describe.skipIf(why !== undefined)(
  `sandboxes of a template${why ? ` (skipped: ${why})` : ""}`,
  () => {
    const folder = mkdtempSync("/tmp/ktsb-");
    const templates = join(folder, "t");
    const options = { network: "none", templateDir: templates };
    const scene = createShimScene(folder);
    const catalog = createTemplateCatalog({
      options: { ...shimOptions(folder), ...options },
      ...{ folder: templates, socketFolder: join(folder, "m"), log: silentLogger },
    });
    const drivers = new Map<string, ShimDriver>();
    const records = new Map<string, VmRecord>();
    const record = (name: string) => records.get(name) as VmRecord;

    async function open(name: string, annotations: Readonly<Record<string, string>> = noFolders) {
      const driver = await scene.openDriver(name, options);
      drivers.set(name, driver);
      const made = await scene.newSandbox(driver, name, sandboxSpec(name, { annotations }));
      records.set(name, made as VmRecord);
      return record(name);
    }
    async function close(name: string) {
      const driver = drivers.get(name);
      drivers.delete(name);
      await driver?.close();
    }
    /** What a container of the sandbox prints. */
    let containers = 0;
    async function printed(name: string, script: string): Promise<string> {
      const id = `${name}-${containers++}`;
      const driver = drivers.get(name) as ShimDriver;
      const streams = await scene.newContainer(driver, name, id, ["sh", "-c", script]);
      expect([await scene.finish(driver, id), streams.errors()]).toEqual([0, ""]);
      await streams.ended;
      return streams.text().trim();
    }
    const only = () => {
      const [template, ...others] = catalog.list();
      if (template?.manifest === undefined || others.length > 0)
        throw new Error("not one template");
      return { ...template, manifest: template.manifest };
    };
    const traces = () =>
      ["qemu-memory", "qemu-state"].map((name) => {
        const { ino, mode, size, mtimeMs, ctimeMs } = statSync(join(only().folder, name));
        return { name, ino, mode, size, mtimeMs, ctimeMs };
      });

    beforeAll(async () => {
      for (const name of names) await open(name);
    });
    afterAll(async () => {
      for (const driver of drivers.values()) await driver.close();
      scene.expectNothingLeft();
    });

    it("are clones from the first on, of a template that the command would make", async () => {
      expect(names.map((name) => record(name).startKind)).toEqual(names.map(() => "template"));
      expect(names.map((name) => record(name).fellBack)).toEqual(names.map(() => undefined));
      const built = await catalog.build({ limits: {} });
      expect(built).toMatchObject({ isNew: false, manifest: { key: only().key } });
      expect(only().usedBy).toBe(names.length);
      expect(await catalog.stale()).toEqual([]);
    });

    it("give their containers random bytes, names and boot ids of their own", async () => {
      const script =
        "head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \\n'; echo; hostname; cat /proc/sys/kernel/random/boot_id";
      const seen = await Promise.all(names.map((name) => printed(name, script)));
      const rows = seen.map((text) => text.split("\n"));
      for (const [index, name] of names.entries()) {
        expect(rows[index]).toEqual([
          expect.stringMatching(/^[0-9a-f]{64}$/),
          name,
          record(name).bootId,
        ]);
      }
      expect(new Set(rows.flat()).size).toBe(rows.flat().length);
    });

    it("have the host's time, however old the template is", async () => {
      const ageMs = () => Date.now() - only().manifest.madeAtMs;
      await waitUntil(() => ageMs() > agedMs, { what: "the template to be of some age" });
      await open("late");
      const beforeMs = Date.now();
      const guestMs = Number(await printed("late", "date +%s")) * 1_000;
      expect(guestMs).toBeGreaterThan(beforeMs - toleratedMs);
      expect(guestMs).toBeLessThan(Date.now() + toleratedMs);
      expect(record("late").startKind).toBe("template");
      await close("late");
    });

    it("leave the template as it was, whatever they write to their memory", async () => {
      const before = traces();
      const fill = "head -c 48000000 /dev/urandom > /dev/shm/filled && wc -c < /dev/shm/filled";
      const sizes = await Promise.all(names.map((name) => printed(name, fill)));
      expect(sizes).toEqual(names.map(() => "48000000"));
      expect(traces()).toEqual(before);
      expect(await catalog.verify(only().key)).toBeUndefined();
    });

    it("have a VMM that can read the template's memory, and cannot open it for writing", () => {
      const memory = join(lentFolder, "memory");
      const opens = (mode: string) =>
        exitCodeAsVmm(record("one"), "sh", "-c", `: ${mode} ${memory}`);
      expect(opens("<")).toBe(0);
      expect(opens(">>")).not.toBe(0);
      expect(opens("<>")).not.toBe(0);
      const remove = ["rm", "-f", memory];
      expect(exitCodeAsVmm(record("one"), ...remove)).not.toBe(0);
      expect(exitCodeAsVmm(record("one"), "chmod", "666", memory)).not.toBe(0);
      expect(exitCodeAsVmm(record("one"), "ls", templates)).not.toBe(0);
    });

    it("are booted when they may share folders, which is no failure", async () => {
      const { startKind, fellBack } = await open("folders", {});
      expect({ startKind, fellBack }).toEqual({ startKind: "cold", fellBack: undefined });
      await close("folders");
    });

    it("go on when the template is removed, and the next makes another", async () => {
      const { key, manifest } = only();
      catalog.remove(key);
      expect(catalog.list()).toEqual([]);
      expect(await printed("two", "echo still here")).toBe("still here");
      expect((await open("next")).startKind).toBe("template");
      expect(only().key).toBe(key);
      expect(only().manifest.madeAtMs).toBeGreaterThan(manifest.madeAtMs);
      expect(only().usedBy).toBe(1);
      await close("next");
    });

    it("are booted from a template that no VM comes of, say so, and have it replaced", async () => {
      const { folder: path, manifest } = only();
      const { files: _, ...facts } = manifest;
      rmSync(join(path, "template.json"));
      rmSync(join(path, "qemu-state"));
      writeFileSync(join(path, "qemu-state"), "not what QEMU saved");
      // As if it had been made that way: its digest is right.
      await writeManifest(path, facts);
      const fallen = await open("fallen");
      expect(fallen).toMatchObject({ startKind: "cold", fellBack: expect.stringMatching(/\w/) });
      expect(await printed("fallen", "echo works")).toBe("works");
      const log = readFileSync(join(folder, "shim.log"), "utf8").trim().split("\n");
      const told = log
        .map((line) => JSON.parse(line))
        .filter(({ msg }) => msg === "the VM is not cloned from a template, but booted");
      expect(told).toEqual([expect.objectContaining({ shim: "fallen", error: fallen.fellBack })]);
      expect((await open("healed")).startKind).toBe("template");
      expect(only().manifest.madeAtMs).toBeGreaterThan(manifest.madeAtMs);
    });
  },
);
