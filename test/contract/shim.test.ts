/** Our shim as containerd drives it, with a real VM: command line, ttrpc, FIFOs, events. Needs root. */
import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
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
import { Status } from "../../proto/containerd/gen/task_types_pb.js";
import { GrpcCode } from "../../runtime-shim/errors.ts";
import { readVmRecord } from "../../runtime-shim/service/bundle-files.ts";
import { grpcCodeOf } from "../../runtime-shim/ttrpc/client.ts";
import { guestFolder, vmTestObstacle } from "../support/guest-image.ts";
import { containerSpec, sandboxSpec } from "../support/oci-specs.ts";
import { type ShimDriver, task } from "../support/shim-driver.ts";
import { waitUntil } from "../support/wait-until.ts";
import { baseImage, createShimScene, shim } from "./shim-scene.ts";

const obstacle = vmTestObstacle();
if (obstacle !== undefined) console.warn(`skipped: ${obstacle}`);

describe.skipIf(obstacle !== undefined)("containerd-shim-katasim-v2", () => {
  const folder = mkdtempSync("/tmp/kshim-");
  const netns = `shim-test-${process.pid}`;
  const peerNetns = `${netns}-peer`;
  let driver: ShimDriver;

  const { openDriver, newSandbox, newContainer, finish, expectNothingLeft } =
    createShimScene(folder);

  beforeAll(async () => {
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
    await newSandbox(
      driver,
      "pod",
      sandboxSpec("pod", {
        netnsPath: `/run/netns/${netns}`,
        sysctl: { "net.ipv4.conf.eth0.forwarding": "1", "kernel.msgmax": "16384" },
        mounts: [{ destination: "/dev/shm", type: "tmpfs", options: ["size=32m"] }],
      }),
    );
  });

  afterAll(async () => {
    await driver?.close();
    for (const name of [netns, peerNetns]) execFileSync("ip", ["netns", "del", name]);
    expectNothingLeft();
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

  it("gives containers the sandbox's sysctls, hostname and shared memory, and their own filter", async () => {
    const script =
      "cat /proc/sys/net/ipv4/conf/eth0/forwarding /proc/sys/kernel/msgmax; hostname; df --output=size /dev/shm | tail -n 1; grep ^Seccomp: /proc/self/status; mkdir /tmp/x";
    const syscalls = [{ names: ["mkdir", "mkdirat"], action: "SCMP_ACT_ERRNO", errnoRet: 28 }];
    const seccomp = { defaultAction: "SCMP_ACT_ALLOW", syscalls };
    const streams = await newContainer(driver, "pod", "set", ["sh", "-c", script], { seccomp });
    expect(await finish(driver, "set")).not.toBe(0);
    await streams.ended;
    expect(streams.text().replace(/ +/g, "")).toBe("1\n16384\npod\n32768\nSeccomp:\t2\n");
    expect(streams.errors()).toContain("No space left on device");
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
      rootfs: [{ type: "erofs", source: baseImage(folder), options: ["ro"] }],
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
