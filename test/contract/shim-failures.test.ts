/** What becomes of sandboxes whose VMM, shim, guest files or options are bad. Needs root. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import { afterAll, describe, expect, it } from "vitest";
import { readPidFile } from "../../common/process/process-identity.ts";
import { DeleteResponseSchema } from "../../proto/containerd/gen/task_pb.js";
import { readExitReason } from "../../runtime-shim/service/bundle-files.ts";
import { connectTtrpc } from "../../runtime-shim/ttrpc/client.ts";
import { guestFolder, vmTestObstacle } from "../support/guest-image.ts";
import { sandboxSpec } from "../support/oci-specs.ts";
import { task } from "../support/shim-driver.ts";
import { waitUntil } from "../support/wait-until.ts";
import { createShimScene, isRunning, shimOptions } from "./shim-scene.ts";

const obstacle = vmTestObstacle();
if (obstacle !== undefined) console.warn(`skipped: ${obstacle}`);

describe.skipIf(obstacle !== undefined)("containerd-shim-katasim-v2 in trouble", () => {
  const folder = mkdtempSync("/tmp/kshim-");
  const { openDriver, newSandbox, newContainer, expectNothingLeft } = createShimScene(folder);
  afterAll(expectNothingLeft);

  it("tells the true cause when its VMM is killed, and ends every wait", async () => {
    const other = await openDriver("b");
    try {
      const record = await newSandbox(other, "dying");
      await newContainer(other, "dying", "victim", ["sleep", "1000"]);
      const waits = ["dying", "victim"].map((id) => other.client.call(task.wait, { id }));
      process.kill(record?.vmmPid ?? 0, "SIGKILL");
      expect((await Promise.all(waits)).map(({ exitStatus }) => exitStatus)).toEqual([137, 137]);
      const reason = `the virtual machine monitor (qemu-system-x86_64, pid ${record?.vmmPid}) was killed by SIGKILL`;
      expect(readExitReason(other.bundleOf("victim"))?.reason).toBe(reason);
      for (const id of ["victim", "dying"]) await other.client.call(task.delete, { id });
      await other.client.call(task.shutdown, { id: "dying" });
      await other.client.closed;
    } finally {
      await other.close();
    }
  });

  it.each([
    ["SIGTERM", 15, /was shut down$/],
    ["SIGKILL", 9, /was killed by SIGKILL$/],
  ])("ends its VM at a %s for the sandbox's task", async (name, signal, how) => {
    const id = name.toLowerCase();
    const other = await openDriver(`e-${id}`);
    try {
      await newSandbox(other, id);
      const ended = other.client.call(task.wait, { id });
      // A signal that a pause container would not notice.
      await other.client.call(task.kill, { id, signal: 28 });
      await other.client.call(task.kill, { id, signal });
      expect((await ended).exitStatus).toBe(137);
      const log = readFileSync(join(folder, "shim.log"), "utf8").trim().split("\n");
      const said = log
        .map((line) => JSON.parse(line))
        .find(({ shim, msg }) => {
          return shim === id && msg === "VMM ended";
        });
      expect(said?.reason).toMatch(how);
      await other.client.call(task.delete, { id });
      await other.client.call(task.shutdown, { id });
      await other.client.closed;
    } finally {
      await other.close();
    }
  });

  it("leaves nothing when the shim itself is killed and delete is called, twice", async () => {
    const other = await openDriver("c");
    try {
      const record = await newSandbox(other, "orphan");
      process.kill(record?.shimPid ?? 0, "SIGKILL");
      for (const _ of [1, 2]) {
        const { code, stdout } = await other.run("orphan", "delete");
        expect(code).toBe(0);
        expect(fromBinary(DeleteResponseSchema, stdout).exitStatus).toBe(137);
      }
      expect(isRunning(record?.vmmPid ?? 0)).toBe(false);
    } finally {
      await other.close();
    }
  });

  it("makes nothing for a caller that is killed before the answer to Create", async () => {
    const other = await openDriver("left");
    try {
      const address = await other.start("left", sandboxSpec("left"));
      const bundle = other.bundleOf("left");
      const caller = await connectTtrpc(address);
      const created = caller.call(task.create, { id: "left", bundle, options: other.options() });
      created.catch(() => {});
      const vmm = await waitUntil(() => readPidFile(join(bundle, "vmm.pid")), { what: "the VMM" });
      caller.close();
      await waitUntil(() => !isRunning(vmm.pid), { what: "the VMM's end" });
      await expect(other.client.call(task.state, { id: "left" })).rejects.toThrow("not found");
      await other.client.call(task.shutdown, { id: "left" });
      await other.client.closed;
    } finally {
      await other.close();
    }
  });

  it("says what is wrong with the guest's files, and with a pod that is too small", async () => {
    const other = await openDriver("d");
    try {
      const create = async (id: string, spec: object, change: object) => {
        await other.start(id, spec);
        const { typeUrl } = other.options();
        const configBody = JSON.stringify({ ...shimOptions(folder), ...change });
        const value = Buffer.concat([
          Buffer.from([0x1a]),
          varint(configBody.length),
          Buffer.from(configBody),
        ]);
        await other.client.call(task.create, {
          id,
          bundle: other.bundleOf(id),
          options: { typeUrl, value },
        });
      };
      await expect(create("x", sandboxSpec("x"), { guestDir: "/nowhere" })).rejects.toThrow(
        "the guest's kernel /nowhere/vmlinux cannot be read",
      );
      const broken = join(folder, "broken-guest");
      mkdirSync(broken);
      for (const file of ["vmlinux", "release.json", "host"])
        symlinkSync(join(guestFolder(), file), join(broken, file));
      writeFileSync(join(broken, "initramfs.cpio"), "no archive");
      await expect(create("x", sandboxSpec("x"), { guestDir: broken })).rejects.toThrow(
        /the guest's kernel stopped: Kernel panic.*the console's last lines/s,
      );
      writeFileSync(join(broken, "kernel"), "no kernel");
      rmSync(join(broken, "vmlinux"));
      symlinkSync("kernel", join(broken, "vmlinux"));
      await expect(create("x", sandboxSpec("x"), { guestDir: broken })).rejects.toThrow(
        "is neither an ELF file nor a bzImage",
      );
      const small = sandboxSpec("x", { memoryBytes: 100 << 20 });
      await expect(create("x", small, { sizingProfile: "aks-ga" })).rejects.toThrow(
        "pod memory limit too low: minimum 128MiB, got 100MiB",
      );
      const huge = sandboxSpec("x", { memoryBytes: 2 ** 50 });
      await expect(create("x", huge, {})).rejects.toThrow(
        /may take \d+ MiB and this machine has \d+ MiB/,
      );
      await expect(create("x", sandboxSpec("x"), { accel: "warp" })).rejects.toThrow("accel");
      await expect(
        create("x", sandboxSpec("x", { netnsPath: "/proc/self/ns/net" }), {}),
      ).rejects.toThrow("Host networking requested, not supported by runtime");
      await other.client.call(task.shutdown, { id: "x" });
      await other.client.closed;
    } finally {
      await other.close();
    }
  });
});

function varint(value: number): Buffer {
  return value < 128 ? Buffer.from([value]) : Buffer.from([(value & 127) | 128, value >> 7]);
}
