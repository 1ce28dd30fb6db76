/** The probe with genuine QEMU, and with programs in Cloud Hypervisor's place that fail as it may. */
import { chmodSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Rung } from "../../runtime-shim/hypervisors/ladder.ts";
import { probeRung } from "../../runtime-shim/hypervisors/probe/probe.ts";

const folder = mkdtempSync("/tmp/kprobe-");
const program = join(folder, "cloud-hypervisor");
const tcg: Rung = { hypervisor: "qemu", accelerator: "tcg" };
const clh: Rung = { hypervisor: "cloud-hypervisor", accelerator: "kvm" };
let cache: string;

/** Takes Cloud Hypervisor's arguments, so that what it is given really boots. */
const emulator = `while [ $# -gt 0 ]; do case $1 in
  --kernel) kernel=$2; shift 2;; --serial) [ "$2" = tty ]; shift 2;; *) shift;; esac; done
exec qemu-system-x86_64 -nodefaults -display none -M q35 -m 64M -accel tcg -kernel "$kernel" -serial stdio`;

function install(script: string): void {
  writeFileSync(program, `#!/bin/sh\nset -e\n${script}\n`);
  chmodSync(program, 0o755);
}

beforeEach(() => {
  cache = mkdtempSync(join(folder, "cache-"));
  vi.stubEnv("PATH", `${folder}:${process.env.PATH}`);
});
afterEach(() => rmSync(program, { force: true }));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("software emulation", () => {
  it("is proved by running the test program", async () => {
    const status = await probeRung(tcg, cache);
    expect(status.usable).toBe(true);
    expect(status.explanation).toMatch(
      /^qemu\/tcg ran 200000 ring-0 loop turns in (less than 1|[\d.]+) ms$/,
    );
  });

  it("is measured once per host boot and hypervisor build", async () => {
    await probeRung(tcg, cache);
    const file = join(cache, "probe-qemu-tcg.json");
    const known = JSON.parse(readFileSync(file, "utf8"));
    writeFileSync(file, JSON.stringify({ ...known, explanation: "as remembered" }));
    expect((await probeRung(tcg, cache)).explanation).toBe("as remembered");
    const key = { ...known.key, hostBootId: "another boot" };
    writeFileSync(file, JSON.stringify({ ...known, explanation: "as remembered", key }));
    expect((await probeRung(tcg, cache)).explanation).not.toBe("as remembered");
  });

  it("is measured again when the notes are spoilt, and where nothing can be written", async () => {
    writeFileSync(join(cache, "probe-qemu-tcg.json"), '{"usable": tr');
    expect((await probeRung(tcg, cache)).usable).toBe(true);
    // A file in the folder's place.
    install("true");
    expect((await probeRung(tcg, program)).usable).toBe(true);
  });
});

// The device must open: what is behind it is not looked at by these programs.
const why = canOpenKvm() ? "" : " (skipped: /dev/kvm does not open)";
describe.skipIf(why !== "")(`a program in Cloud Hypervisor's place${why}`, () => {
  it("is taken when it runs the test program", async () => {
    install(emulator);
    const status = await probeRung(clh, cache);
    expect(status.usable).toBe(true);
    expect(status.remedy).toBeUndefined();
  });

  it("is measured again when it was exchanged", async () => {
    install(emulator);
    await probeRung(clh, cache);
    install("echo broken >&2; exit 3");
    utimesSync(program, 1, 1);
    expect((await probeRung(clh, cache)).usable).toBe(false);
  });

  it.each([
    ["crashes", "echo 'no such device' >&2; exit 3", "ended with code 3: no such device"],
    ["hangs", "exec sleep 60", "it was not done in 2 s"],
    ["prints something else", "echo ABBA", "ended with code 0"],
  ])("is refused when it %s", async (_, script, words) => {
    install(script);
    const status = await probeRung(clh, cache);
    expect(status).toMatchObject({
      usable: false,
      remedy: expect.stringMatching(/virtualization/),
    });
    expect(status.explanation).toContain(words);
  });

  it("is not there", async () => {
    expect(await probeRung(clh, cache)).toMatchObject({
      usable: false,
      explanation: "cloud-hypervisor is not installed",
      remedy: expect.stringContaining("PATH"),
    });
  });
});

function canOpenKvm(): boolean {
  try {
    readFileSync("/dev/kvm", { flag: "r+" });
    return true;
  } catch (error) {
    // A character device is no file to read: any error after opening it means that it opens.
    return !["ENOENT", "EACCES", "EPERM"].includes((error as NodeJS.ErrnoException).code ?? "");
  }
}
