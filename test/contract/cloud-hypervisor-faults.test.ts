/** The driver with a Cloud Hypervisor that crashes, hangs, answers late or talks nonsense. */
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { silentLogger } from "../../common/log.ts";
import { createCloudHypervisor } from "../../runtime-shim/hypervisors/cloud-hypervisor.ts";
import type { RunningVm, VmSpec } from "../../runtime-shim/hypervisors/hypervisor.ts";
import {
  type FakeCloudHypervisor,
  fakeObstacle,
  installFakeCloudHypervisor,
} from "../fakes/cloud-hypervisor/install.ts";
import { waitUntil } from "../support/wait-until.ts";
import { leftovers, vmSpecsIn } from "./vm-specs.ts";

const skipped = fakeObstacle === undefined ? "" : ` (skipped: ${fakeObstacle})`;

describe.skipIf(fakeObstacle !== undefined)(`Cloud Hypervisor that misbehaves${skipped}`, () => {
  const folder = mkdtempSync("/tmp/khf-");
  // The VMM's own user starts the program in it.
  chmodSync(folder, 0o711);
  const newSpec = vmSpecsIn(folder);
  const path = process.env.PATH;
  let fake: FakeCloudHypervisor;
  beforeAll(async () => {
    fake = await installFakeCloudHypervisor(join(folder, "bin"));
    process.env.PATH = `${fake.folder}:${path}`;
  });
  afterEach(() => fake.behave(undefined));
  afterAll(() => {
    process.env.PATH = path;
    rmSync(folder, { recursive: true, force: true });
  });
  const start = (spec: VmSpec) => createCloudHypervisor({ log: silentLogger }).start(spec);

  it.each(["vmm.ping", "vm.create", "vm.boot"])("crashes at %s", async (verb) => {
    fake.behave(`crash ${verb}`);
    const spec = newSpec("kvm");
    await expect(start(spec)).rejects.toMatchObject({
      code: "VMM_START_FAILED",
      message: expect.stringMatching(/killed by SIGABRT|did not answer/),
    });
    expect(leftovers(spec)).toEqual([]);
  });

  it("hangs", { timeout: 30_000 }, async () => {
    fake.behave("hang vm.create");
    const spec = newSpec("kvm");
    await expect(start(spec)).rejects.toThrow("did not answer vm.create");
    expect(leftovers(spec)).toEqual([]);
  });

  it("answers late, and is waited for", async () => {
    fake.behave("late vm.create");
    const spec = newSpec("kvm");
    const vm = await start(spec);
    await vm.stop();
  });

  /** What each verb of a running VM asks for. */
  const asked: Readonly<Record<string, (vm: RunningVm, spec: VmSpec) => Promise<unknown>>> = {
    "vm.add-disk": (vm, spec) =>
      vm.attachDisk({ serial: "disk", path: spec.kernel, readOnly: true }),
    "vm.resize": (vm) => vm.resize({ vcpus: 3, memoryMib: 256 }),
    "vm.pause": (vm) => vm.pause(),
    "vm.snapshot": async (vm, spec) => {
      await vm.pause();
      await vm.snapshot(spec.id);
    },
  };
  async function withEach(
    misdeed: string,
    look: (answer: Promise<unknown>, verb: string) => Promise<void>,
  ): Promise<void> {
    const vms: Array<{ verb: string; vm: RunningVm; spec: VmSpec }> = [];
    try {
      for (const verb of Object.keys(asked)) {
        // It reads its orders when it starts.
        fake.behave(`${misdeed} ${verb}`);
        const spec = newSpec("kvm", { most: { vcpus: 3, memoryMib: 256 } });
        vms.push({ verb, vm: await start(spec), spec });
      }
      await Promise.all(
        vms.map(({ verb, vm, spec }) => look(asked[verb]?.(vm, spec) ?? Promise.resolve(), verb)),
      );
    } finally {
      for (const { vm } of vms) await vm.stop();
    }
  }

  it("hangs at a verb of a running VM, which fails alone", { timeout: 60_000 }, async () => {
    await withEach("hang", async (answer, verb) => {
      await expect(answer).rejects.toThrow(`did not answer ${verb}`);
    });
  });

  it("answers a verb of a running VM late, and is waited for", { timeout: 60_000 }, async () => {
    await withEach("late", async (answer) => {
      await expect(answer).resolves.toBeUndefined();
    });
  });

  it("crashes at a verb of a running VM, which says so", { timeout: 60_000 }, async () => {
    await withEach("crash", async (answer, verb) => {
      await expect(answer).rejects.toThrow(verb);
    });
  });

  it.each(["vm.shutdown", "vmm.shutdown"])("hangs at %s, and is killed", async (verb) => {
    fake.behave(`hang ${verb}`);
    const spec = newSpec("kvm");
    const vm = await start(spec);
    await vm.shutdown();
    expect(await vm.exited).toEqual({
      reason: expect.stringMatching(/was killed by SIGKILL$/),
      expected: true,
    });
    await waitUntil(() => leftovers(spec).every((name) => name.startsWith("c.")), {
      what: "the sockets to go",
    });
  });

  it("is killed at once when that is asked for during a shutdown", async () => {
    fake.behave("hang vm.shutdown");
    const vm = await start(newSpec("kvm"));
    const shutdown = vm.shutdown();
    await vm.stop();
    await shutdown;
    expect(await vm.exited).toMatchObject({ expected: true });
  });

  it("answers garbage", async () => {
    fake.behave("garbage vmm.ping");
    const spec = newSpec("kvm");
    await expect(start(spec)).rejects.toMatchObject({ code: "VMM_START_FAILED" });
    expect(leftovers(spec)).toEqual([]);
  });

  it("is not installed", async () => {
    process.env.PATH = path;
    try {
      await expect(start(newSpec("kvm"))).rejects.toMatchObject({ code: "VMM_MISSING" });
    } finally {
      process.env.PATH = `${fake.folder}:${path}`;
    }
  });

  it("is asked for nothing outside its description", async () => {
    expect(fake.refused()).toBe("");
  });
});
