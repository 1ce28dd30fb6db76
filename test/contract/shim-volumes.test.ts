// What a sandbox's containers bind, in a real VM driven as containerd drives it: the kubelet's volumes
// by their names, folders of the host, termination messages. Needs root.
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { writeAtomically } from "../../simulator/volumes/atomic-writer.ts";
import { vmTestObstacle } from "../support/guest-image.ts";
import { sandboxSpec } from "../support/oci-specs.ts";
import { type ShimDriver, task } from "../support/shim-driver.ts";
import { waitUntil } from "../support/wait-until.ts";
import { createShimScene } from "./shim-scene.ts";

const obstacle = vmTestObstacle();
if (obstacle !== undefined) console.warn(`skipped: ${obstacle}`);

describe.skipIf(obstacle !== undefined)("volumes of a sandbox", () => {
  const folder = mkdtempSync("/tmp/kvol-");
  const pod = join(folder, "pods/u1");
  const { openDriver, newSandbox, newContainer, finish, expectNothingLeft } =
    createShimScene(folder);
  let driver: ShimDriver;

  beforeAll(async () => {
    driver = await openDriver("a");
    await newSandbox(driver, "pod", {
      ...sandboxSpec("pod"),
      annotations: {
        ...(sandboxSpec("pod") as { annotations: object }).annotations,
        "katasim.dev/empty-dir-sizes": JSON.stringify({ small: 32 << 20 }),
      },
    });
  });
  // `delete` is run for each of the two dozen containers.
  afterAll(async () => {
    await driver?.close();
    expectNothingLeft();
  }, 240_000);

  const volume = (plugin: string, name: string) => {
    const path = join(pod, "volumes", `kubernetes.io~${plugin}`, name);
    mkdirSync(path, { recursive: true });
    return path;
  };
  const bind = (source: string, destination: string, mode = "rw") => ({
    ...{ type: "bind", source, destination },
    options: ["rbind", "rprivate", mode],
  });
  const files = (entries: Record<string, string | Buffer>, mode = 0o644) =>
    new Map(
      Object.entries(entries).map(([path, data]) => [path, { data: Buffer.from(data), mode }]),
    );
  /** Runs a script to its end in a container of its own. */
  const script = async (id: string, text: string, mounts: readonly object[]) => {
    const streams = await newContainer(driver, "pod", id, ["sh", "-c", text], { mounts });
    const exitStatus = await finish(driver, id);
    await streams.ended;
    return { exitStatus, text: streams.text().trim(), errors: streams.errors().trim() };
  };
  const ends = async (id: string) => {
    await driver.client.call(task.kill, { id, signal: 9 }).catch(() => {});
    await finish(driver, id);
  };

  it("shows a configMap's update at once and whole, as its atomic writer made it", async () => {
    const path = volume("configmap", "settings");
    await writeAtomically(path, files({ a: "1", b: "1", gone: "x" }));
    // A reader that goes through one folder never sees a mixture: both keys always agree.
    const text = `
      cd /etc/settings
      while :; do
        set=$(readlink ..data); one=$(cat $set/a 2>/dev/null); two=$(cat $set/b 2>/dev/null)
        if [ -n "$one" ] && [ -n "$two" ] && [ "$one" != "$two" ]; then echo MIXED; exit 1; fi
        if [ "$two" != "$last" ]; then last=$two; echo "see $two:" $(ls); fi
        [ "$two" = end ] && exit 0
        sleep 0.02
      done`;
    const streams = await newContainer(driver, "pod", "reader", ["sh", "-c", text], {
      mounts: [bind(path, "/etc/settings", "ro")],
    });
    for (const value of ["2", "3", "4", "end"]) {
      await waitUntil(() => streams.text().includes("see "), { what: "the reader to begin" });
      await writeAtomically(path, files({ a: value, b: value, [`new-${value}`]: "y" }));
      await waitUntil(() => streams.text().includes(`see ${value}:`) || value !== "end", {
        what: `the guest to show ${value}`,
      });
    }
    expect(await finish(driver, "reader")).toBe(0);
    await streams.ended;
    expect(streams.text()).not.toContain("MIXED");
    expect(streams.text()).toContain("see 1: a b gone\n");
    const again = await script("names", "ls -A /etc/settings | tr '\\n' ' '", [
      bind(path, "/etc/settings", "ro"),
    ]);
    expect(again.text).toBe(`${readlinkSync(join(path, "..data"))} ..data a b new-end`);
  });

  it("keeps one copy for two containers, and a sub path as it was", async () => {
    const path = volume("secret", "shared");
    await writeAtomically(path, files({ key: "old" }, 0o400));
    const inside = join(path, readlinkSync(join(path, "..data")), "key");
    const sleeper = ["sh", "-c", "while ! grep -q new /s/key; do sleep 0.05; done; cat /s/key /k"];
    const mounts = [bind(path, "/s", "ro"), bind(inside, "/k", "ro")];
    const first = await newContainer(driver, "pod", "first", sleeper, { mounts });
    const second = await newContainer(driver, "pod", "second", sleeper, { mounts });
    await writeAtomically(path, files({ key: "new" }, 0o400));
    expect([await finish(driver, "first"), await finish(driver, "second")]).toEqual([0, 0]);
    await Promise.all([first.ended, second.ended]);
    expect([first.text(), second.text()]).toEqual(["newold", "newold"]);
  });

  it("carries a thousand keys, a large one, binary data, modes and the pod's group", async () => {
    const path = volume("projected", "large");
    const keys = Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`k${i}`, `${i}`]));
    const binary = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
    const payload = new Map([
      ...files(keys, 0o440),
      ...files({ large: Buffer.alloc(1 << 20, "x") }),
      ["bin", { data: binary, mode: 0o400 }] as const,
    ]);
    await writeAtomically(path, payload, 2000);
    const { text } = await script(
      "large",
      "cd /v; ls | wc -l; wc -c < large; md5sum < bin; stat -L -c '%a %g' k7 bin; cat k999",
      [bind(path, "/v", "ro")],
    );
    const md5 = execFileSync("md5sum", { input: binary, encoding: "utf8" }).trim();
    expect(text.split("\n")).toEqual(["1002", "1048576", md5, "440 2000", "440 2000", "999"]);
  });

  it("shares an emptyDir between containers: files, a socket, a FIFO, sub paths", async () => {
    const path = volume("empty-dir", "work");
    chmodSync(path, 0o777);
    mkdirSync(join(path, "sub"));
    const mounts = [bind(path, "/work")];
    const server =
      "mkfifo /work/pipe; mkdir -p /work/sub; echo deep > /work/sub/file; socat UNIX-LISTEN:/work/sock EXEC:'echo hello' & cat /work/pipe; wait";
    const streams = await newContainer(driver, "pod", "server", ["sh", "-c", server], { mounts });
    const client = await script(
      "client",
      "until [ -p /work/pipe ] && [ -S /work/sock ]; do sleep 0.05; done; socat -u UNIX:/work/sock -; cat /sub/file; echo through > /work/pipe; stat -f -c %T /work",
      [...mounts, bind(join(path, "sub"), "/sub", "ro")],
    );
    expect(client).toMatchObject({ exitStatus: 0, text: "hello\ndeep\next2/ext3" });
    expect(await finish(driver, "server")).toBe(0);
    await streams.ended;
    expect(streams.text()).toBe("through\n");
  });

  it("keeps a disk emptyDir on the host's disk, within its limit", async () => {
    const path = volume("empty-dir", "small");
    const before = await script("meminfo", "awk '/MemAvailable/ {print $2}' /proc/meminfo", []);
    const { text } = await script(
      "fill",
      "dd if=/dev/zero of=/v/full bs=1M count=64 2>&1 | grep -o 'No space left'; sync; ls /v; echo 3 > /proc/sys/vm/drop_caches; awk '/MemAvailable/ {print $2}' /proc/meminfo",
      [bind(path, "/v")],
    );
    const [words, names, after] = text.split("\n");
    expect([words, names]).toEqual(["No space left", "full"]);
    // 32 MiB were written; a tmpfs would have taken them from the guest.
    expect(Number(before.text) - Number(after)).toBeLessThan(24 << 10);
    const { blocks } = statSync(join(path, readdirSync(path)[0] as string));
    expect(blocks * 512).toBeGreaterThan(16 << 20);
  });

  it("makes a memory emptyDir a tmpfs of the host's size", async () => {
    const path = volume("empty-dir", "ram");
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=8m,mode=0777", "tmpfs", path]);
    try {
      const mounts = [bind(path, "/ram")];
      await script("writer", "echo kept > /ram/file", mounts);
      const { text } = await script(
        "ram",
        "cat /ram/file; stat -f -c %T /ram; df -k /ram | awk 'NR==2 {print $2}'; dd if=/dev/zero of=/ram/full bs=1M count=16 2>&1 | grep -o 'No space left'",
        mounts,
      );
      expect(text.split("\n")).toEqual(["kept", "tmpfs", "8192", "No space left"]);
    } finally {
      execFileSync("umount", [path]);
    }
  });

  it("shares a folder of the host, live both ways, with owners kept", async () => {
    const path = join(folder, "host data");
    mkdirSync(path);
    writeFileSync(join(path, "from-host"), "one");
    chownSync(join(path, "from-host"), 1234, 4321);
    const text =
      "cd /h; stat -c '%u:%g' from-host; echo guest > from-guest; chown 7:8 from-guest; until [ -e second ]; do sleep 0.05; done; cat second; mkdir -p d/e; ln -s nowhere link; rm from-host";
    const streams = await newContainer(driver, "pod", "sharer", ["sh", "-c", text], {
      mounts: [bind(path, "/h")],
    });
    await waitUntil(() => existsSync(join(path, "from-guest")), { what: "the guest's file" });
    writeFileSync(join(path, "second"), "two");
    expect(await finish(driver, "sharer")).toBe(0);
    await streams.ended;
    expect(streams.text()).toBe("1234:4321\ntwo");
    const { uid, gid } = statSync(join(path, "from-guest"));
    expect([uid, gid]).toEqual([7, 8]);
    expect(readdirSync(path).sort()).toEqual(["d", "from-guest", "link", "second"]);
    // Nothing of it shows in this machine's own mounts.
    expect(readFileSync("/proc/self/mountinfo", "utf8")).not.toContain("host\\040data");
  });

  it("shares a folder read-only against a guest that remounts it", async () => {
    const path = join(folder, "readonly");
    mkdirSync(path);
    writeFileSync(join(path, "file"), "kept");
    // Another mount of the file system that may write: what the guest believes does not count.
    const { text } = await script(
      "writer2",
      "echo x > /h/file; echo y > /h/new; mount -o remount,rw,bind /h; echo x > /h/file; rm /h/file; cat /h/file",
      [bind(path, "/h", "ro"), bind(join(folder, "host data"), "/other")],
    );
    expect(text).toBe("kept");
    expect(readdirSync(path)).toEqual(["file"]);
  });

  it("keeps what it shares to the folder, whatever links lead out of it", async () => {
    const path = join(folder, "links");
    mkdirSync(path);
    writeFileSync(join(folder, "secret"), "the host's");
    symlinkSync(join(folder, "secret"), join(path, "absolute"));
    symlinkSync("../secret", join(path, "relative"));
    const { exitStatus, text } = await script(
      "escape",
      "cat /h/absolute /h/relative /h/../secret /h/../readonly/file && exit 1; ls /h | tr '\\n' ' '",
      [bind(path, "/h")],
    );
    // Links are followed in the container, where they lead nowhere.
    expect([exitStatus, text]).toEqual([0, "absolute relative"]);
  });

  it("says what cannot be shared", async () => {
    const path = join(folder, "fifo");
    execFileSync("mkfifo", [path]);
    const start = (id: string, source: string) =>
      newContainer(driver, "pod", id, ["true"], { mounts: [bind(source, "/x")] });
    await expect(start("fifo", path)).rejects.toThrow(
      `cannot share ${path}: it is a device, socket or FIFO, which a guest cannot share`,
    );
    await expect(start("none", join(folder, "none"))).rejects.toThrow("no such file");
  });

  it("brings the termination message back before the exit is told", async () => {
    const path = join(pod, "containers/main/0a1b2c3d");
    mkdirSync(join(path, ".."), { recursive: true });
    writeFileSync(path, "");
    const mounts = [bind(path, "/dev/termination-log")];
    await newContainer(
      driver,
      "pod",
      "last",
      ["sh", "-c", "echo bye > /dev/termination-log; exit 3"],
      { mounts },
    );
    await driver.client.call(task.wait, { id: "last" });
    expect(readFileSync(path, "utf8")).toBe("bye\n");
    await ends("last");
    const long = join(pod, "containers/main/0a1b2c3e");
    writeFileSync(long, "");
    await script("long", "seq 1 5000 > /dev/termination-log", [bind(long, "/dev/termination-log")]);
    const all = Array.from({ length: 5000 }, (_, i) => `${i + 1}\n`).join("");
    expect(readFileSync(long, "utf8")).toBe(all.slice(-4096));
  });

  it("keeps an emptyDir for the pod's next sandbox after its VM was killed", {
    timeout: 180_000,
  }, async () => {
    const path = volume("empty-dir", "kept");
    const second = await openDriver("b");
    await newSandbox(second, "pod2");
    const streams = await newContainer(
      second,
      "pod2",
      "w",
      ["sh", "-c", "echo data > /v/file; sync; echo written; sleep 1000"],
      { mounts: [bind(path, "/v")] },
    );
    await waitUntil(() => streams.text() === "written\n", { what: "the file on the disk" });
    const { taskPid } = await second.client.call(task.connect, { id: "pod2" });
    process.kill(taskPid, "SIGKILL");
    await second.client.call(task.wait, { id: "w" });
    await second.close();
    const { text } = await script("r", "cat /v/file", [bind(path, "/v")]);
    expect(text).toBe("data");
    rmSync(path, { recursive: true });
  });
});
