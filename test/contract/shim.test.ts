/** Our shim as containerd drives it, with a real VM: command line, ttrpc, FIFOs, events. Needs root. */
import { execFileSync, spawn } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { MetricsSchema } from "../../proto/containerd/gen/cgroups_v1_pb.js";
import {
  RuntimeInfoSchema,
  RuntimeRequestSchema,
} from "../../proto/containerd/gen/introspection_pb.js";
import { DeleteResponseSchema } from "../../proto/containerd/gen/task_pb.js";
import { Status } from "../../proto/containerd/gen/task_types_pb.js";
import { GrpcCode } from "../../runtime-shim/errors.ts";
import { readExitReason, readVmRecord } from "../../runtime-shim/service/bundle-files.ts";
import { grpcCodeOf } from "../../runtime-shim/ttrpc/client.ts";
import { guestFolder, makeBaseImage, vmTestObstacle } from "../support/guest-image.ts";
import { processes } from "../support/leaks.ts";
import { containerSpec, sandboxSpec } from "../support/oci-specs.ts";
import { createShimDriver, type ShimDriver, task } from "../support/shim-driver.ts";
import { waitUntil } from "../support/wait-until.ts";

const shim =
  process.env.KATASIM_TEST_SHIM ??
  join(import.meta.dirname, "../../bin/containerd-shim-katasim-v2");
const obstacle = vmTestObstacle();
if (obstacle !== undefined) console.warn(`skipped: ${obstacle}`);

describe.skipIf(obstacle !== undefined)("containerd-shim-katasim-v2", () => {
  const folder = mkdtempSync("/tmp/kshim-");
  const netns = `shim-test-${process.pid}`;
  const peerNetns = `${netns}-peer`;
  let image: string;
  let driver: ShimDriver;

  const shimOptions = () => ({
    guestDir: guestFolder(),
    socketDir: join(folder, "s"),
    logFile: join(folder, "shim.log"),
    accel: "tcg",
  });
  const openDriver = (name: string) =>
    createShimDriver({ shim, folder: join(folder, name), shimOptions: shimOptions() });
  const newSandbox = async (target: ShimDriver, id: string, spec = sandboxSpec(id)) => {
    await target.start(id, spec);
    const bundle = target.bundleOf(id);
    await target.client.call(task.create, { id, bundle, options: target.options() });
    await target.client.call(task.start, { id });
    return readVmRecord(bundle);
  };
  /** Creates and starts a container with collected output. */
  const newContainer = async (
    target: ShimDriver,
    sandbox: string,
    id: string,
    args: readonly string[],
    extra: object = {},
  ) => {
    await target.start(id, containerSpec(sandbox, args, extra));
    const streams = target.streams(id);
    const { stdout, stderr } = streams;
    await target.client.call(task.create, {
      ...{ id, bundle: target.bundleOf(id), stdout, stderr },
      rootfs: [{ type: "erofs", source: image, options: ["ro"] }],
    });
    await target.client.call(task.start, { id });
    return streams;
  };
  const finish = async (target: ShimDriver, id: string) => {
    const { exitStatus } = await target.client.call(task.wait, { id });
    await target.client.call(task.delete, { id });
    return exitStatus;
  };
  const vmmAlive = (pid: number) =>
    existsSync(`/proc/${pid}/stat`) && !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));

  beforeAll(async () => {
    image = makeBaseImage(folder);
    execFileSync("ip", ["netns", "add", netns]);
    const inNetns = (...args: string[]) => execFileSync("ip", ["-n", netns, ...args]);
    execFileSync("ip", ["netns", "add", peerNetns]);
    inNetns("link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", peerNetns);
    inNetns("addr", "add", "10.99.0.5/24", "dev", "eth0");
    inNetns("link", "set", "eth0", "up");
    execFileSync("ip", ["-n", peerNetns, "addr", "add", "10.99.0.1/24", "dev", "eth0"]);
    execFileSync("ip", ["-n", peerNetns, "link", "set", "eth0", "up"]);
    inNetns("route", "add", "default", "via", "10.99.0.1");
    driver = await openDriver("a");
    await newSandbox(driver, "pod", sandboxSpec("pod", { netnsPath: `/run/netns/${netns}` }));
  });

  afterAll(async () => {
    await driver?.close();
    for (const name of [netns, peerNetns]) execFileSync("ip", ["netns", "del", name]);
    expect(readdirSync(join(folder, "s"))).toEqual([]);
    expect(readFileSync("/proc/self/mountinfo", "utf8")).not.toContain(folder);
    expect(processes({ home: folder, instance: "-" })).toEqual([]);
    rmSync(folder, { recursive: true, force: true });
  });

  it("boots a kernel of its own with the size of the profile", () => {
    const record = readVmRecord(driver.bundleOf("pod"));
    const release = JSON.parse(readFileSync(join(guestFolder(), "release.json"), "utf8"));
    const hostBootId = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    expect(record).toMatchObject({
      vcpus: 1,
      memoryMib: 2048,
      accelerator: "tcg",
      hypervisor: "qemu",
    });
    expect(record?.kernelRelease).toBe(release.kernelRelease);
    expect(record?.bootId).not.toBe(hostBootId);
  });

  it("runs a container and passes its output and exit code on", async () => {
    const script = "uname -r; cat /proc/sys/kernel/random/boot_id; echo problem >&2; exit 7";
    const streams = await newContainer(driver, "pod", "hello", ["/bin/sh", "-c", script]);
    expect(await finish(driver, "hello")).toBe(7);
    await streams.ended;
    const record = readVmRecord(driver.bundleOf("pod"));
    expect(streams.text()).toBe(`${record?.kernelRelease}\n${record?.bootId}\n`);
    expect(streams.errors()).toBe("problem\n");
  });

  it("loses no byte of a long output", async () => {
    const streams = await newContainer(driver, "pod", "long", ["seq", "1", "300000"]);
    expect(await finish(driver, "long")).toBe(0);
    await streams.ended;
    expect(streams.text().length).toBe(1_988_895);
    expect(streams.text().endsWith("299999\n300000\n")).toBe(true);
  });

  it("answers a missing command at once and lets the task be deleted", async () => {
    await expect(newContainer(driver, "pod", "missing", ["no-such-command"])).rejects.toThrow(
      'exec: "no-such-command": executable file not found in $PATH (ENOENT)',
    );
    expect(await finish(driver, "missing")).toBe(127);
  });

  it("runs commands in a container, with stdin and with a terminal", async () => {
    await newContainer(driver, "pod", "host", ["sleep", "1000"]);
    const exec = async (
      execId: string,
      args: readonly string[],
      input?: string,
      terminal = false,
    ) => {
      const streams = driver.streams(execId, { stdin: input !== undefined, terminal });
      const { stdin, stdout, stderr } = streams;
      const spec = { args, cwd: "/", env: ["PATH=/usr/bin:/bin"], terminal };
      await driver.client.call(task.exec, {
        ...{ id: "host", execId, stdin, stdout, stderr, terminal },
        spec: {
          typeUrl: "types.containerd.io/opencontainers/runtime-spec/1/Process",
          value: Buffer.from(JSON.stringify(spec)),
        },
      });
      await driver.client.call(task.start, { id: "host", execId });
      if (terminal)
        await driver.client.call(task.resizePty, { id: "host", execId, width: 91, height: 17 });
      if (input !== undefined) {
        streams.write(input);
        if (!terminal) streams.endInput();
      }
      const { exitStatus } = await driver.client.call(task.wait, { id: "host", execId });
      await driver.client.call(task.delete, { id: "host", execId });
      await streams.ended;
      return { exitStatus, text: streams.text() };
    };
    expect(await exec("e1", ["cat"], "line\n")).toEqual({ exitStatus: 0, text: "line\n" });
    const terminal = await exec("e2", ["sh", "-c", "read _; stty size; exit 3"], "\n", true);
    expect(terminal.exitStatus).toBe(3);
    expect(terminal.text).toContain("17 91");
    await expect(exec("e3", ["no-such"])).rejects.toThrow("(ENOENT)");
    await driver.client.call(task.kill, { id: "host", signal: 9 });
    expect(await finish(driver, "host")).toBe(137);
  });

  it("reports figures, pauses, resumes and kills", async () => {
    const script = "trap 'exit 42' TERM; echo ready; while :; do sleep 0.1; done";
    const streams = await newContainer(driver, "pod", "busy", ["sh", "-c", script]);
    // Before the trap, process 1 of a pid namespace ignores SIGTERM.
    await waitUntil(() => streams.text() === "ready\n", { what: "the trap" });
    const { client } = driver;
    const { stats } = await client.call(task.stats, { id: "busy" });
    expect(stats?.typeUrl).toMatch(/^io\.containerd\.cgroups\.v[12]\.Metrics$/);
    if (stats?.typeUrl.includes("v1")) {
      expect(fromBinary(MetricsSchema, stats.value).memory?.usage?.usage).toBeGreaterThan(0n);
    }
    await client.call(task.pause, { id: "busy" });
    expect((await client.call(task.state, { id: "busy" })).status).toBe(Status.PAUSED);
    await client.call(task.resume, { id: "busy" });
    const value = Buffer.from(JSON.stringify({ memory: { limit: 128 << 20 } }));
    await client.call(task.update, {
      id: "busy",
      resources: {
        typeUrl: "types.containerd.io/opencontainers/runtime-spec/1/LinuxResources",
        value,
      },
    });
    await client.call(task.kill, { id: "busy", signal: 15 });
    expect(await finish(driver, "busy")).toBe(42);
    const gone = await client.call(task.kill, { id: "busy", signal: 9 }).catch(grpcCodeOf);
    expect(gone).toBe(GrpcCode.notFound);
  });

  it("ends a container that was killed before its start", async () => {
    const id = "early";
    await driver.start(id, containerSpec("pod", ["sleep", "1000"]));
    await driver.client.call(task.create, {
      ...{ id, bundle: driver.bundleOf(id) },
      rootfs: [{ type: "erofs", source: image, options: ["ro"] }],
    });
    await driver.client.call(task.kill, { id, signal: 9 });
    expect(await finish(driver, id)).toBe(137);
  });

  it("refuses what a task's state does not allow, in words", async () => {
    await newContainer(driver, "pod", "states", ["sleep", "1000"]);
    const { client } = driver;
    await expect(client.call(task.start, { id: "states" })).rejects.toThrow(
      "cannot start a task that is running",
    );
    await expect(client.call(task.delete, { id: "states" })).rejects.toThrow(
      "cannot delete a task that is running",
    );
    await expect(client.call(task.checkpoint, { id: "states" })).rejects.toThrow("not simulated");
    await client.call(task.shutdown, { id: "states" });
    expect((await client.call(task.state, { id: "states" })).status).toBe(Status.RUNNING);
    await client.call(task.kill, { id: "states", signal: 9, all: true });
    await finish(driver, "states");
  });

  it("copies bound files in and shares an emptyDir between containers", async () => {
    const config = join(folder, "config");
    const emptyDir = join(folder, "volumes/kubernetes.io~empty-dir/cache");
    mkdirSync(join(config, "..2026"), { recursive: true });
    mkdirSync(emptyDir, { recursive: true });
    writeFileSync(join(config, "..2026/key"), "value", { mode: 0o640 });
    symlinkSync("..2026", join(config, "..data"));
    symlinkSync("..data/key", join(config, "key"));
    const mounts = [
      { destination: "/config", type: "bind", source: config, options: ["rbind", "ro"] },
      { destination: "/cache", type: "bind", source: emptyDir, options: ["rbind", "rw"] },
    ];
    const first = await newContainer(
      driver,
      "pod",
      "writer",
      [
        "sh",
        "-c",
        "cat /config/key; stat -Lc %a /config/key; readlink /config/..data; echo shared >/cache/f; touch /config/x",
      ],
      { mounts },
    );
    expect(await finish(driver, "writer")).not.toBe(0);
    await first.ended;
    expect(first.text()).toBe("value640\n..2026\n");
    expect(first.errors()).toContain("Read-only file system");
    const second = await newContainer(driver, "pod", "reader", ["cat", "/cache/f"], { mounts });
    expect(await finish(driver, "reader")).toBe(0);
    await second.ended;
    expect(second.text()).toBe("shared\n");
  });

  it("gives the guest the pod's network and lets others in through the dial socket", async () => {
    const script = "cat /sys/class/net/eth0/address; ip -4 -o addr show eth0; ip route; sleep 1000";
    const streams = await newContainer(driver, "pod", "server", ["sh", "-c", script]);
    const record = readVmRecord(driver.bundleOf("pod"));
    await waitUntil(() => streams.text().includes("default via 10.99.0.1"), { what: "the routes" });
    const mac = execFileSync("ip", ["netns", "exec", netns, "cat", "/sys/class/net/eth0/address"])
      .toString()
      .trim();
    expect(streams.text()).toContain(mac);
    expect(streams.text()).toContain("10.99.0.5/24");
    const socket = connect(record?.dialSocket ?? "");
    socket.write("CONNECT 9\n");
    expect(await text(socket)).toMatch(/^ERROR .*refused/i);
    await driver.client.call(task.kill, { id: "server", signal: 9 });
    await finish(driver, "server");
  });

  it("carries the container's TCP connections to the pod's neighbours and back", async () => {
    // Sends 3 MB, then counts what it is sent.
    const program = `require("node:net").createServer((s) => {
      let n = 0; s.write(Buffer.alloc(3e6)); s.on("data", (c) => { n += c.length; if (n === 2e6) s.end(String(n)); });
    }).listen(7777, "10.99.0.1", () => console.log("listening"))`;
    const args = ["netns", "exec", peerNetns, process.execPath, "-e", program];
    const peer = spawn("ip", args, { stdio: ["ignore", "pipe", "inherit"] });
    try {
      await new Promise((resolve) => peer.stdout.once("data", resolve));
      const script =
        "exec 3<>/dev/tcp/10.99.0.1/7777; head -c 3000000 <&3 | wc -c; head -c 2000000 /dev/zero >&3; cat <&3";
      const streams = await newContainer(driver, "pod", "client", ["bash", "-c", script]);
      expect(await finish(driver, "client")).toBe(0);
      await streams.ended;
      expect(streams.text()).toBe("3000000\n2000000");
      expect(streams.errors()).toBe("");
    } finally {
      peer.kill("SIGKILL");
    }
  });

  it("publishes events in order: create, start, exit, delete", async () => {
    const before = driver.events.length;
    await newContainer(driver, "pod", "events", ["true"]);
    await finish(driver, "events");
    const topics = () => driver.events.slice(before).map(({ topic }) => topic);
    await waitUntil(() => topics().length >= 4, { what: "four events" });
    expect(topics()).toEqual(["/tasks/create", "/tasks/start", "/tasks/exit", "/tasks/delete"]);
  });

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
      expect(vmmAlive(record?.vmmPid ?? 0)).toBe(false);
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
        const configBody = JSON.stringify({ ...shimOptions(), ...change });
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
        "the guest kernel /nowhere/vmlinux cannot be read",
      );
      const broken = join(folder, "broken-guest");
      mkdirSync(broken);
      for (const file of ["vmlinux", "release.json"])
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
        /needs \d+ MiB and this machine has \d+ MiB/,
      );
      await expect(create("x", sandboxSpec("x"), { accel: "warp" })).rejects.toThrow("accel");
      await expect(
        create("x", sandboxSpec("x", { netnsPath: "/proc/self/ns/net" }), {}),
      ).rejects.toThrow("Host networking requested, not supported by runtime");
      await other.client.call(task.shutdown, { id: "x" });
    } finally {
      await other.close();
    }
  });

  it("prints its version and its RuntimeInfo", () => {
    expect(execFileSync(shim, ["-v"]).toString()).toContain("Version:");
    const input = toBinary(RuntimeRequestSchema, create(RuntimeRequestSchema, {}));
    const info = fromBinary(
      RuntimeInfoSchema,
      execFileSync(shim, ["-info"], { input: Buffer.from(input) }),
    );
    expect(info.name).toBe("io.containerd.katasim.v2");
  });
});

function varint(value: number): Buffer {
  return value < 128 ? Buffer.from([value]) : Buffer.from([(value & 127) | 128, value >> 7]);
}
