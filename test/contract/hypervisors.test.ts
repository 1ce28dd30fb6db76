/**
 * The hypervisor contract over all twins, with the real guest: QEMU in software, QEMU and Cloud
 * Hypervisor on hardware where there is any, and Cloud Hypervisor's API played in front of QEMU.
 */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, readlinkSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { GuestClient } from "../../runtime-shim/guest-client/client.ts";
import type { Hypervisor, RunningVm, VmSpec } from "../../runtime-shim/hypervisors/hypervisor.ts";
import { userNetwork } from "../../runtime-shim/network/user-network.ts";
import { bootMac } from "../../runtime-shim/service/boot-guest.ts";
import { waitUntil } from "../support/wait-until.ts";
import { createHypervisorScene } from "./hypervisor-scene.ts";
import { bootGuest, leftovers } from "./vm-specs.ts";

const { folder, newSpec, eachTwin } = await createHypervisorScene("/tmp/khv-");

eachTwin((twin) => {
  let hypervisor: Hypervisor;
  let spec: VmSpec;
  let vm: RunningVm;
  let guest: GuestClient;

  async function boot(): Promise<void> {
    spec = newSpec(twin.accelerator);
    vm = await hypervisor.start(spec);
    ({ guest } = await bootGuest(vm, { hostname: "contract" }));
  }

  beforeAll(async () => {
    hypervisor = twin.create();
    await boot();
  });
  afterAll(async () => {
    await vm.stop();
  });

  it("boots a guest of the asked shape", async () => {
    const hello = await guest.request("hello");
    expect(hello.number(4)).toBe(2);
    expect(hello.number(5)).toBeGreaterThan(190 * 1024);
    expect(hello.number(5)).toBeLessThan(256 * 1024);
    expect(vm.version).toMatch(/\d+\.\d+/);
  });

  it("plugs disks that the guest finds by slot or serial, and takes them out again", async () => {
    const disks = ["first", "second", "third"].map((serial) => {
      const path = join(spec.id, `${serial}.ext4`);
      execFileSync("truncate", ["-s", "8M", path]);
      execFileSync("/sbin/mkfs.ext4", ["-q", path]);
      return { serial, path, readOnly: false };
    });
    const slots = new Map<string, string | undefined>();
    for (const disk of disks) {
      const slot = await vm.attachDisk(disk);
      slots.set(disk.serial, slot);
      // Plugged twice is plugged once.
      expect(await vm.attachDisk(disk)).toBe(slot);
      await guest.request("mountDisk", [
        [1, disk.serial],
        [2, "ext4"],
        [3, false],
        [6, slot],
      ]);
    }
    // The third finds none free.
    expect(slots.get("third")).toBeUndefined();
    for (const { serial } of disks) {
      await expect(vm.snapshot(spec.id)).rejects.toThrow("the VM has disks");
      await guest.request("unmountDisk", [[1, serial]]);
      await vm.detachDisk(serial);
      await vm.detachDisk(serial);
    }
    await vm.detachDisk("never-plugged");
    // What was taken out can come again.
    const [again] = disks;
    if (again === undefined) return;
    const slot = await vm.attachDisk(again);
    await guest.request("mountDisk", [
      [1, again.serial],
      [2, "ext4"],
      [3, false],
      [6, slot],
    ]);
    await guest.request("unmountDisk", [[1, again.serial]]);
    await vm.detachDisk(again.serial);
    for (const { path } of disks) rmSync(path);
  });

  it("says which disk cannot be plugged", async () => {
    const disk = { serial: "none", path: join(spec.id, "none"), readOnly: true };
    await expect(vm.attachDisk(disk)).rejects.toThrow(/cannot plug .*none/);
  });

  it("stops the guest while it is paused", async () => {
    await vm.pause();
    let answered = false;
    const answer = guest.request("hello").then(() => {
      answered = true;
    });
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(answered).toBe(false);
    await vm.resume();
    await answer;
  });

  it("gives the guest a network of its own, or says that it cannot", async () => {
    const { pod, ...network } = userNetwork();
    const nic = { kind: "user", mac: bootMac, egress: "none", ...network } as const;
    const start = hypervisor.start(newSpec(twin.accelerator, { nic }));
    if (twin.hypervisor !== "qemu") return expect(start).rejects.toThrow("no user-mode network");
    const { stop, ...started } = await start;
    const identity = { hostname: "n", network: pod };
    // The guest refuses an interface that it does not find by its MAC.
    await bootGuest({ ...started, stop }, identity).finally(stop);
  });

  it("grows while it runs, as far as it was given room", async () => {
    const own = newSpec(twin.accelerator, { most: { vcpus: 4, memoryMib: 512 } });
    const large = await hypervisor.start(own);
    try {
      const identity = { hostname: "large" };
      const booted = await bootGuest(large, identity);
      const shape = async () => {
        const hello = await booted.guest.request("hello");
        return { vcpus: hello.number(4), kib: hello.number(5) ?? 0 };
      };
      const before = await shape();
      await large.resize({ vcpus: 3, memoryMib: 384 });
      const grown = { vcpus: 3, kib: before.kib + 128 * 1024 };
      await waitUntil(async () => isDeepStrictEqual(await shape(), grown), {
        what: "the guest to use what is new",
      });
      // Asked again, it is what it is.
      await large.resize({ vcpus: 3, memoryMib: 384 });
      await large.resize({ vcpus: 4, memoryMib: 512 });
      await waitUntil(async () => (await shape()).vcpus === 4, { what: "the fourth processor" });
      for (const [vcpus, memoryMib, words] of [
        [5, 512, "with room for 4 vCPUs and 512 MiB"],
        [4, 640, "with room for 4 vCPUs and 512 MiB"],
        [4, 384, "a guest gives no memory back"],
        [0, 512, "a guest needs a processor"],
      ] as const) {
        await expect(large.resize({ vcpus, memoryMib })).rejects.toThrow(words);
      }
      const fewer = large.resize({ vcpus: 1, memoryMib: 512 });
      if (twin.hypervisor === "qemu") {
        await expect(fewer).rejects.toThrow("QEMU takes no processor back");
      } else {
        await fewer;
        // QEMU plays the guest of a played one.
        if (!twin.played)
          await waitUntil(async () => (await shape()).vcpus === 1, { what: "the others to go" });
      }
      await expect(large.snapshot(own.id)).rejects.toThrow("has grown");
    } finally {
      await large.stop();
    }
  });

  it("plugs a NIC that the guest finds by its MAC, and takes it out again", async () => {
    const own = newSpec(twin.accelerator);
    const plugged = await hypervisor.start(own);
    // In the namespace that the VMM is alone in.
    const tap = ["dev", "tap9", "mode", "tap", "user", String(own.place?.uid)];
    const inside = [`--net=/proc/${plugged.pid}/ns/net`, "--", "ip", "tuntap", "add", ...tap];
    execFileSync("nsenter", inside);
    try {
      const identity = { hostname: "plugged" };
      const booted = await bootGuest(plugged, identity);
      const nic = { kind: "tap", tap: "tap9", mac: "02:00:00:00:00:09" } as const;
      for (let round = 0; round < 2; round += 1) {
        await plugged.attachNic(nic);
        await plugged.attachNic(nic);
        await booted.guest.request("network", [
          [1, nic.mac],
          [3, "eth0"],
          [4, "10.0.0.2/24"],
        ]);
        await expect(plugged.snapshot(own.id)).rejects.toThrow("has another NIC");
        await plugged.detachNic(nic.mac);
      }
      await plugged.detachNic(nic.mac);
      const missing = { ...nic, tap: "tap10", mac: "02:00:00:00:00:10" };
      await expect(plugged.attachNic(missing)).rejects.toThrow(/cannot plug tap10: ./);
    } finally {
      await plugged.stop();
    }
  });

  it("is nobody on the host: a user without files and powers, in namespaces of its own", () => {
    const status = readFileSync(`/proc/${vm.pid}/status`, "utf8");
    const field = (name: string) => new RegExp(`^${name}:[\\t ]*(.*)$`, "m").exec(status)?.[1];
    const { uid } = spec.place ?? {};
    expect(uid).toBeGreaterThan(1_000_000);
    expect(field("Uid")).toBe([uid, uid, uid, uid].join("\t"));
    expect(field("Gid")).toBe([uid, uid, uid, uid].join("\t"));
    expect(field("Groups")?.trim()).toBe("");
    for (const set of ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]) {
      expect(field(set)).toBe("0000000000000000");
    }
    expect(field("NoNewPrivs")).toBe("1");
    // The fake has no filter of its own; the real one's threads have one each.
    if (!twin.played) {
      for (const thread of readdirSync(`/proc/${vm.pid}/task`)) {
        const text = readFileSync(`/proc/${vm.pid}/task/${thread}/status`, "utf8");
        if (twin.hypervisor === "qemu" || thread !== String(vm.pid)) {
          expect(text).toMatch(/^Seccomp:\s*2$/m);
        }
      }
    }
    const namespace = (pid: number | "self") => readlinkSync(`/proc/${pid}/ns/mnt`);
    expect(namespace(vm.pid)).not.toBe(namespace("self"));
    expect(readlinkSync(`/proc/${vm.pid}/cwd`)).toBe("/");
    const environment = readFileSync(`/proc/${vm.pid}/environ`, "utf8");
    const names = environment.split("\0").map((line) => line.split("=")[0]);
    expect(
      names.filter(
        (name) => !["", "PATH", "LC_ALL", "MALLOC_ARENA_MAX", "PWD", "OLDPWD"].includes(name ?? ""),
      ),
    ).toEqual([]);
  });

  it("has no descriptors but its own", () => {
    const own = [
      ...[/^\/dev\/(null|urandom|kvm|mshv|ptmx|net\/tun)$/, /^anon_inode:/, /^(socket|pipe):\[/],
      ...[/^\/memfd:/, /^\/run\/katasim-vmm\//, /^\/proc\/\d+\/fd$/],
      // The fake's own program.
      ...(twin.played ? [/\/bin\/cloud-hypervisor/, /^\/dev\/random$/] : []),
    ];
    const targets = readdirSync(`/proc/${vm.pid}/fd`).map((fd) =>
      readlinkSync(`/proc/${vm.pid}/fd/${fd}`),
    );
    expect(targets.filter((target) => !own.some((pattern) => pattern.test(target)))).toEqual([]);
  });

  it("has sockets that others cannot connect to, and cannot take the shim's away", () => {
    const { mode, uid } = statSync(join(spec.id, "s"));
    expect([mode & 0o7777, uid]).toEqual([0o1770, 0]);
    for (const name of readdirSync(join(spec.id, "s"))) {
      const socket = statSync(join(spec.id, "s", name));
      if (socket.isSocket()) expect([name, socket.mode & 0o7]).toEqual([name, 0]);
    }
  });

  it("tells a kill from a stop, and leaves nothing", async () => {
    process.kill(vm.pid, "SIGKILL");
    const exit = await vm.exited;
    expect(exit.expected).toBe(false);
    expect(exit.reason).toMatch(/was killed by SIGKILL$/);
    await vm.stop();
    await waitUntil(() => leftovers(spec).every((name) => name.startsWith("c.")), {
      what: "the sockets to go",
    });
    await boot();
    await vm.stop();
    await vm.stop();
    expect((await vm.exited).expected).toBe(true);
  });

  it("shuts down when it is told to, also while it is paused, and leaves nothing", async () => {
    for (const paused of [false, true]) {
      await boot();
      if (paused) await vm.pause();
      await Promise.all([vm.shutdown(), vm.shutdown()]);
      await vm.stop();
      // A VMM that had to be killed would say so.
      expect(await vm.exited).toEqual({
        reason: expect.stringMatching(/was shut down$/),
        expected: true,
      });
      await waitUntil(() => leftovers(spec).every((name) => name.startsWith("c.")), {
        what: "the sockets to go",
      });
    }
  });

  it("says what is wrong with a kernel, and leaves nothing", async () => {
    const bad = newSpec(twin.accelerator, { kernel: join(folder, "no-kernel") });
    await expect(hypervisor.start(bad).then((running) => running.agent)).rejects.toThrow();
    await waitUntil(() => leftovers(bad).every((name) => name.startsWith("c.")), {
      what: "the sockets to go",
    });
  });
});
