/**
 * Guests that mean harm, in real VMs: each costs its own pod only. test/fakes/hostile-guest.c is their
 * /init; a healthy pod of another shim beside them keeps answering.
 */
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readExitReason } from "../../runtime-shim/service/bundle-files.ts";
import { guestFolder, vmTestObstacle } from "../support/guest-image.ts";
import { findLeaks } from "../support/leaks.ts";
import { sandboxSpec } from "../support/oci-specs.ts";
import { type ShimDriver, task } from "../support/shim-driver.ts";
import { waitUntil } from "../support/wait-until.ts";
import { createShimScene } from "./shim-scene.ts";

const obstacle = vmTestObstacle();
if (obstacle !== undefined) console.warn(`skipped: ${obstacle}`);

// A shim holds 110 MiB at most for a guest that behaves; none of these may make it hold much more.
const maxShimMib = 220;
const deadlines = { bootTimeoutSeconds: 25, guestTimeoutSeconds: 4 };
const instance = `hostile-${process.pid}`;

describe.skipIf(obstacle !== undefined)("a hostile guest", () => {
  const folder = mkdtempSync("/tmp/khg-");
  const { openDriver, newSandbox, newContainer, expectNothingLeft } = createShimScene(folder);
  let healthy: ShimDriver;
  let execs = 0;
  let mute: ReturnType<typeof createRefused>[];

  beforeAll(async () => {
    const source = join(import.meta.dirname, "../fakes/hostile-guest.c");
    const flags = ["-static", "-O2", "-Wall", "-Wextra", "-Werror", "-s"];
    execFileSync("musl-gcc", [...flags, "-o", join(folder, "init"), source]);
    healthy = await openDriver("healthy");
    await newSandbox(healthy, "healthy");
    await newContainer(healthy, "healthy", "main", ["sleep", "100000"]);
    // They only wait: the others are played meanwhile.
    mute = ["silent", "half-frame"].map(createRefused);
  });
  afterAll(async () => {
    await Promise.all(mute ?? []);
    await healthy?.close();
    expect(findLeaks({ home: folder, instance })).toEqual([]);
    expectNothingLeft();
  });

  /** The genuine kernel and modules with our /init. */
  const guestDir = (mode: string) => {
    const guest = join(folder, `guest-${mode}`);
    const root = join(guest, "root");
    mkdirSync(root, { recursive: true });
    cpSync(join(guestFolder(), "kernel/modules"), join(root, "modules"), { recursive: true });
    cpSync(join(folder, "init"), join(root, "init"));
    writeFileSync(join(root, "mode"), mode);
    const pack = "find . | cpio --quiet -o -H newc >../initramfs.cpio";
    execFileSync("sh", ["-c", pack], { cwd: root });
    for (const file of ["vmlinux", "release.json", "host"]) {
      symlinkSync(join(guestFolder(), file), join(guest, file));
    }
    return guest;
  };
  const open = (mode: string) =>
    openDriver(mode, { ...deadlines, guestDir: guestDir(mode), probeCacheDir: guestFolder() });
  const spec = (mode: string) =>
    sandboxSpec(mode, { cgroupsPath: `/katasim-${instance}-${mode}/pod` });

  const expectBounded = (driver: ShimDriver, mode: string) => {
    const pid = readFileSync(join(driver.bundleOf(mode), "shim.pid"), "utf8")
      .split(" ")[0]
      ?.trim();
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    const peakMib = Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1]) / 1024;
    expect(peakMib).toBeLessThan(maxShimMib);
    return peakMib;
  };
  const expectHealthy = async () => {
    execs += 1;
    const execId = `e${execs}`;
    const { stdout, stderr, text, ended } = healthy.streams(execId);
    const value = Buffer.from(JSON.stringify({ args: ["/bin/echo", execId], cwd: "/", env: [] }));
    const typeUrl = "types.containerd.io/opencontainers/runtime-spec/1/Process";
    const process = { id: "main", execId };
    await healthy.client.call(task.exec, { ...process, stdout, stderr, spec: { typeUrl, value } });
    await healthy.client.call(task.start, process);
    const { exitStatus } = await healthy.client.call(task.wait, process);
    await ended;
    expect([exitStatus, text()]).toEqual([0, `${execId}\n`]);
    await healthy.client.call(task.delete, process);
  };

  /** The error of its Create. */
  async function createRefused(mode: string): Promise<string> {
    const driver = await open(mode);
    try {
      const message = await newSandbox(driver, mode, spec(mode)).then(
        () => `${mode} was let in`,
        (error: Error) => error.message,
      );
      expectBounded(driver, mode);
      await driver.client.call(task.shutdown, { id: mode });
      return message;
    } finally {
      await driver.close();
    }
  }

  it.each([
    ["garbage", "the guest sent a frame of 229923586 bytes"],
    ["giant-length", "the guest sent a frame of 4294967295 bytes"],
    ["stranger", "the guest used stream 7777, which it was not given"],
    ["closes-port", "the guest did not answer identity in 4 s"],
    ["protocol", "the guest speaks protocol 9, not 1"],
    ["words", "]0;owned"],
  ])("that plays %s gets no sandbox, and the reason is told in plain text", async (mode, words) => {
    const message = await createRefused(mode);
    expect(message).toContain("the sandbox's VM did not start: ");
    expect(message).toContain(words);
    expect(message).toContain(`hostile guest plays ${mode}`);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
    expect(message).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
    expect(message.length).toBeLessThan(10_000);
    await expectHealthy();
  });

  it.each([
    ["silent-later", "the guest did not answer clock in 4 s"],
    ["events", "the guest sent more than 1000 events a second"],
    ["replies", "the guest answered request 1, which waits for no answer"],
  ])("that plays %s after its boot ends with the reason", async (mode, words) => {
    const driver = await open(mode);
    try {
      await newSandbox(driver, mode, spec(mode));
      await expectHealthy();
      expect((await driver.client.call(task.wait, { id: mode })).exitStatus).toBe(137);
      expect(readExitReason(driver.bundleOf(mode))?.reason).toBe(
        `the sandbox's guest failed: ${words}`,
      );
      expectBounded(driver, mode);
    } finally {
      await driver.close();
    }
  });

  it("that never reads is not given more than fits into its connection, and ends", async () => {
    const driver = await open("deaf");
    try {
      await newSandbox(driver, "deaf", spec("deaf"));
      const streams = await newContainer(driver, "deaf", "c", ["none"], {}, { stdin: true });
      streams.write("x".repeat(200 << 20));
      await expectHealthy();
      expect((await driver.client.call(task.wait, { id: "c" })).exitStatus).toBe(137);
      expect(readExitReason(driver.bundleOf("c"))?.reason).toBe(
        "the sandbox's guest failed: the guest did not answer clock in 4 s",
      );
      expectBounded(driver, "deaf");
    } finally {
      await driver.close();
    }
  });

  it("that sends its output in single bytes is read, and holds nobody up", async () => {
    const driver = await open("drip");
    try {
      await newSandbox(driver, "drip", spec("drip"));
      const streams = await newContainer(driver, "drip", "c", ["none"]);
      await expectHealthy();
      // More than one window: its bytes were taken, and the window returned.
      await waitUntil(() => streams.text().length > 300 << 10, { what: "the bytes" });
      await driver.client.call(task.state, { id: "c" });
      expectBounded(driver, "drip");
    } finally {
      await driver.close();
    }
  });

  it("that floods its console fills two files of a megabyte at most", async () => {
    const driver = await open("console");
    try {
      await newSandbox(driver, "console", spec("console"));
      const log = join(driver.bundleOf("console"), "console.log");
      const hostile = () => readFileSync(log).includes("hhhh");
      await waitUntil(hostile, { what: "the flood" });
      await expectHealthy();
      expect(readFileSync(log).length).toBeLessThanOrEqual(1 << 20);
      await driver.client.call(task.state, { id: "console" });
      expectBounded(driver, "console");
    } finally {
      await driver.close();
    }
  });

  it("that says nothing, or half a frame, gets no sandbox once the boot's deadline has passed", async () => {
    for (const message of await Promise.all(mute)) {
      expect(message).toContain("the guest's agent did not answer in 25 s");
      expect(message).toMatch(/hostile guest plays (silent|half-frame)/);
    }
    await expectHealthy();
  });
});
