/** The guest under strain, in a real VM: out of memory, throttled, standing still; and where its chance comes from. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { silentLogger } from "../../common/log.ts";
import { correctGuestClock, keepGuestClock } from "../../runtime-shim/service/guest-clock.ts";
import { bootGuestVm, type GuestVm, whyNoVm } from "./guest-vm.ts";

const reason = whyNoVm();
if (reason !== undefined) console.warn(`skipped: guest VM tests (${reason})`);

describe.skipIf(reason !== undefined)("a guest under strain", () => {
  let vm: GuestVm;
  beforeAll(async () => {
    vm = await bootGuestVm({ memoryMib: 256 });
    await vm.run("main", ["sleep", "100000"], { more: [[49, -500]] });
  });
  afterAll(() => vm?.stop());

  const sh = async (id: string, script: string) =>
    (await vm.exec(id, ["bash", "-c", script])).outcome;
  const remove = (id: string) => vm.client.request("removeContainer", [[1, id]]);

  it("tells a guest out of memory from a container over its limit, and lives on", async () => {
    const hog = { more: [[49, 1000] as const] };
    const { outcome } = await vm.run("hog", ["tail", "/dev/zero"], hog);
    expect(await outcome).toMatchObject({ exitCode: 137, outOfMemory: "guest" });
    expect(vm.oom).toContainEqual({ id: "hog", who: "guest" });
    const small = { more: [[11, 32 << 20] as const] };
    const limited = await vm.run("limited", ["tail", "/dev/zero"], small);
    expect(await limited.outcome).toMatchObject({ exitCode: 137, outOfMemory: "container" });
    expect(vm.oom).toContainEqual({ id: "limited", who: "container" });
    // The agent and the container with the better score are still there.
    expect((await sh("main", "cat /proc/1/comm")).stdout).toBe("sleep\n");
    expect(vm.oom.map(({ id }) => id)).not.toContain("main");
    await remove("hog");
    await remove("limited");
  });

  it("counts what a container uses, was refused and waited for", async () => {
    const more = [
      [8, 10_000] as const,
      [9, 100_000] as const,
      [11, 64 << 20] as const,
      [16, 50] as const,
    ];
    const script = "cat /etc/* >/tmp/copy 2>/dev/null; while :; do :; done";
    await vm.run("worker", ["bash", "-c", script], { more });
    const read = async () => (await vm.client.request("stats", [[1, "worker"]])).groups(1)[0];
    await expect
      .poll(async () => (await read())?.number(11), { timeout: 60_000 })
      .toBeGreaterThan(2);
    const stats = await read();
    const number = (tag: number) => stats?.number(tag) ?? -1;
    expect(number(10)).toBeGreaterThanOrEqual(number(11));
    expect(number(12)).toBeGreaterThan(0);
    expect(Math.abs(number(2) - number(8) - number(9))).toBeLessThan(2_000_000);
    expect([number(5), number(7), number(13)]).toEqual([1, 64 << 20, 50]);
    expect(number(3)).toBeGreaterThan(number(14));
    expect(number(4)).toBe(number(3) - number(16));
    for (const tag of [14, 15, 18, 39]) expect(number(tag)).toBeGreaterThanOrEqual(0);
    expect(number(18)).toBeGreaterThan(0);
    expect(number(36)).toBe(0);
    await remove("worker");
  });

  it("gets its time back after its VM stood still", async () => {
    const ahead = async () => {
      const before = Date.now();
      const guest = ((await vm.client.request("clock")).number(1) ?? 0) / 1000;
      return guest - (before + Date.now()) / 2;
    };
    const stillSince = Date.now();
    await vm.stand();
    await expect.poll(() => Date.now() - stillSince, { timeout: 20_000 }).toBeGreaterThan(3_000);
    await vm.goOn();
    expect(await ahead()).toBeLessThan(-1_500);
    keepGuestClock(vm.client, { log: silentLogger, intervalMs: 50 });
    await expect.poll(async () => Math.abs(await ahead()), { timeout: 20_000 }).toBeLessThan(500);
    // What a container sees is the same clock.
    const seconds = Number((await sh("main", "date +%s.%N")).stdout);
    expect(Math.abs(seconds - Date.now() / 1000)).toBeLessThan(5);
    await expect(vm.client.request("clock", [[1, 1n << 62n]])).rejects.toThrow("no clock is wrong");
    expect(Math.abs(await correctGuestClock(vm.client))).toBeLessThan(500);
  });

  it("gives no two sandboxes the same random bytes", async () => {
    const draw =
      "cat /proc/sys/kernel/random/boot_id /proc/sys/kernel/random/uuid; head -c 32 /dev/urandom | base64; head -c 32 /dev/random | base64";
    const other = await bootGuestVm();
    try {
      await other.run("main", ["sleep", "100000"]);
      const theirs = await (await other.exec("main", ["bash", "-c", draw])).outcome;
      const drawn = [
        ...(await sh("main", draw)).stdout.trim().split("\n"),
        ...(await sh("main", draw)).stdout.trim().split("\n").slice(1),
        ...theirs.stdout.trim().split("\n"),
      ];
      expect(drawn).toHaveLength(11);
      expect(new Set(drawn).size).toBe(11);
    } finally {
      await other.stop();
    }
  });
});
