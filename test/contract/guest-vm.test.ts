/** The guest alone, in a real VM: every verb of PROTOCOL.md, driven by the shim's own client. */
import { readFileSync } from "node:fs";
import { release } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { errnoOf } from "../../runtime-shim/guest-client/client.ts";
import type { FieldList } from "../../runtime-shim/guest-client/fields.ts";
import { bootGuestVm, type GuestVm, guestFolder, guestMac, slotOf, whyNoVm } from "./guest-vm.ts";

const reason = whyNoVm();
if (reason !== undefined) console.warn(`skipped: guest VM tests (${reason})`);

async function refusal(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => {
      throw new Error("was not refused");
    },
    (cause: unknown) => cause,
  );
  return `${errnoOf(error)}: ${(error as Error).message}`;
}

describe.skipIf(reason !== undefined)("the guest in a VM", () => {
  let vm: GuestVm;
  beforeAll(async () => {
    vm = await bootGuestVm();
    await vm.run("main", ["sleep", "100000"]);
  });
  afterAll(() => vm?.stop());

  const sh = async (script: string, options = {}) =>
    (await vm.exec("main", ["sh", "-c", script], options)).outcome;
  const remove = (id: string) => vm.client.request("removeContainer", [[1, id]]);

  it("runs the kernel that release.json names, which is not this machine's", () => {
    const { kernelRelease } = JSON.parse(readFileSync(join(guestFolder, "release.json"), "utf8"));
    expect(vm.hello.text(2)).toBe(kernelRelease);
    expect(kernelRelease).not.toBe(release());
    expect(vm.hello.number(4)).toBe(1);
  });

  it("gives containers the boot id, hostname and clock of IDENTITY", async () => {
    const { stdout } = await sh("cat /proc/sys/kernel/random/boot_id; hostname; date +%s");
    const [bootId, hostname, seconds] = stdout.split("\n");
    expect(bootId).toBe(vm.bootId);
    expect(bootId).not.toBe(readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim());
    expect(hostname).toBe("sandbox");
    expect(Math.abs(Number(seconds) - Date.now() / 1000)).toBeLessThan(60);
  });

  it("isolates processes and gives the container its own cgroup", async () => {
    const { stdout } = await sh("cat /proc/1/cmdline | tr '\\0' ' '; echo; cat /proc/self/cgroup");
    expect(stdout).toBe("sleep 100000 \n0::/\n");
  });

  it("sets user, groups, capabilities, no_new_privs, rlimits and umask", async () => {
    const more: FieldList = [
      [35, 4242],
      [47, true],
      [48, "nofile 512 1024"],
      [49, 500],
      [50, 0o27],
    ];
    const script =
      "id -u; id -G; grep -E 'CapEff|NoNewPrivs' /proc/self/status; ulimit -Sn; ulimit -Hn; umask; cat /proc/self/oom_score_adj; echo $HOME";
    const { stdout } = await sh(script, { uid: 33, more });
    expect(stdout.split("\n")).toEqual([
      "33",
      "33 4242",
      "CapEff:\t0000000000000000",
      "NoNewPrivs:\t1",
      "512",
      "1024",
      "0027",
      "500",
      "/var/www",
      "",
    ]);
  });

  it("answers execs of missing commands at once, in runc's words", async () => {
    expect(await refusal(vm.exec("main", ["nosuch"]))).toBe(
      'ENOENT: exec: "nosuch": executable file not found in $PATH',
    );
    expect(await refusal(vm.exec("main", ["/nosuch"]))).toBe(
      'ENOENT: exec: "/nosuch": stat /nosuch: no such file or directory',
    );
    expect(await refusal(vm.exec("main", ["/etc/passwd"]))).toBe(
      'EACCES: exec: "/etc/passwd": permission denied',
    );
  });

  it("reports exit codes, and 128 plus the signal", async () => {
    expect((await sh("exit 42")).exitCode).toBe(42);
    expect((await sh("kill -TERM $$")).exitCode).toBe(143);
  });

  it("gives a terminal that resizes and passes Ctrl-C", async () => {
    const more: FieldList = [
      [37, 80],
      [38, 24],
    ];
    const shell = await vm.exec("main", ["bash", "--norc"], {
      tty: true,
      stdin: Buffer.alloc(0),
      more,
    });
    let seen = "";
    shell.stdout.on("data", (chunk: Buffer) => {
      seen += chunk.toString();
    });
    const type = async (text: string, answer: RegExp) => {
      shell.stdin?.write(text);
      await expect.poll(() => seen, { timeout: 20_000 }).toMatch(answer);
    };
    await type("stty size; tty\n", /24 80\r\n\/dev\/pts\/\d+/);
    await vm.client.request("resize", [
      [1, "main"],
      [2, shell.execId],
      [3, 132],
      [4, 50],
    ]);
    await type("stty size\n", /50 132/);
    await type("sleep 1000\n", /sleep 1000\r\n/);
    await type("\x03", /\^C/);
    await type("echo status $?\n", /status 130/);
    shell.stdin?.write("exit 7\n");
    expect((await shell.outcome).exitCode).toBe(7);
  });

  it("enforces a container's memory limit and names the out-of-memory kill", async () => {
    const more: FieldList = [[11, 48 << 20]];
    const { outcome } = await vm.run("greedy", ["tail", "/dev/zero"], { more });
    expect(await outcome).toMatchObject({ exitCode: 137, outOfMemory: "container" });
    expect(vm.oom).toContainEqual({ id: "greedy", who: "container" });
    await remove("greedy");
  });

  it("sets and updates CPU and memory limits", async () => {
    const more: FieldList = [
      [8, 50_000],
      [9, 100_000],
      [10, 512],
      [11, 64 << 20],
    ];
    await vm.run("limited", ["sleep", "1000"], { more });
    const read = async () => {
      const script = "cd /sys/fs/cgroup; cat cpu.max cpu.weight memory.max";
      const { stdout } = await (await vm.exec("limited", ["sh", "-c", script])).outcome;
      return stdout.trim().split("\n");
    };
    expect(await read()).toEqual(["50000 100000", "20", `${64 << 20}`]);
    await vm.client.request("update", [
      [1, "limited"],
      [8, 20_000],
      [11, 80 << 20],
    ]);
    expect(await read()).toEqual(["20000 100000", "20", `${80 << 20}`]);
    const stats = await vm.client.request("stats", [[1, "limited"]]);
    expect(stats.number(7)).toBe(80 << 20);
    expect(stats.number(2)).toBeGreaterThan(0);
    expect(stats.number(22)).toBe((vm.hello.number(5) ?? 0) * 1024);
    await remove("limited");
  });

  it("pauses and resumes", async () => {
    const { stdout } = await vm.run("ticker", [
      "sh",
      "-c",
      "while :; do echo tick; sleep 0.05; done",
    ]);
    let ticks = 0;
    stdout.on("data", () => {
      ticks += 1;
    });
    await expect.poll(() => ticks, { timeout: 20_000 }).toBeGreaterThan(0);
    await vm.client.request("pause", [[1, "ticker"]]);
    expect(await refusal(vm.exec("ticker", ["true"]))).toMatch(/^EINVAL: cannot exec in a paused/);
    await vm.client.request("resume", [[1, "ticker"]]);
    const before = ticks;
    await expect.poll(() => ticks, { timeout: 20_000 }).toBeGreaterThan(before);
    await remove("ticker");
  });

  it("shows a read-only root, a masked path and a read-only path", async () => {
    const more: FieldList = [
      [4, 1],
      [13, "/proc/keys"],
      [14, "/proc/sys"],
    ];
    const script =
      "touch /x; wc -c </proc/keys; echo 1 > /proc/sys/vm/swappiness; touch /dev/shm/ok && echo shm";
    const { stdout, stderr } = await (await vm.run("locked", ["sh", "-c", script], { more }))
      .outcome;
    expect(stdout).toBe("0\nshm\n");
    expect(stderr.match(/Read-only file system/g)).toHaveLength(2);
    await remove("locked");
  });

  it("binds files that were written, follows updates, and refuses paths that lead out", async () => {
    const write = (path: string, mode: number, data: string | undefined) =>
      vm.client.request("writeFile", [
        [1, `/run/katasim/shared/${path}`],
        [2, mode],
        [3, 7],
        [4, 8],
        [6, data === undefined ? undefined : Buffer.from(data)],
        [7, 1],
      ]);
    await write("config/..1/key", 0o100640, "one");
    await write("config/..data", 0o120777, "..1");
    await write("config/key", 0o120777, "..data/key");
    const more: FieldList = [
      [5, Buffer.from("/run/katasim/shared/config\0/var/run/config\0bind\0ro")],
    ];
    await vm.run("reader", ["sleep", "1000"], { more });
    const read = async () =>
      (
        await (
          await vm.exec("reader", [
            "sh",
            "-c",
            "cat /run/config/key; stat -Lc ' %u %g %a' /run/config/key",
          ])
        ).outcome
      ).stdout;
    expect(await read()).toBe("one 7 8 640\n");
    await write("config/..2/key", 0o100600, "two");
    await write("config/..data", 0o120777, "..2");
    expect(await read()).toBe("two 7 8 600\n");
    expect(await refusal(write("../escape", 0o100644, "x"))).toMatch(/^EINVAL/);
    await remove("reader");
    await vm.client.request("removePath", [[1, "/run/katasim/shared/config"]]);
    await vm.client.request("removePath", [[1, "/run/katasim/shared/config"]]);
  });

  it("keeps a container's writes on its disk apart from others', and unmounts it after removal", async () => {
    const disk: FieldList = [
      [1, "upper"],
      [2, "ext4"],
      [3, 0],
      [6, slotOf("upper")],
    ];
    await vm.client.request("mountDisk", disk);
    await vm.client.request("mountDisk", disk);
    const more: FieldList = [[3, "upper"]];
    await (await vm.run("writer", ["sh", "-c", "echo kept > /file"], { more })).outcome;
    await remove("writer");
    const again = await vm.run("writer", ["cat", "/file"], { more });
    expect((await again.outcome).stdout).toBe("kept\n");
    await remove("writer");
    const other = await vm.run("other", ["cat", "/file"], { more });
    expect((await other.outcome).stdout).toBe("");
    await remove("other");
    const gone: FieldList = [[1, "upper"]];
    await vm.client.request("unmountDisk", gone);
    await vm.client.request("unmountDisk", gone);
  });

  it("lets containers share the process namespace when asked", async () => {
    const more: FieldList = [[7, 1]];
    await vm.run("one", ["sleep", "1234"], { more });
    const { stdout } = await (await vm.run("two", ["ps", "-eo", "args"], { more })).outcome;
    expect(stdout).toContain("sleep 1234");
    expect(stdout).toMatch(/^pause/m);
    await remove("one");
    await remove("two");
  });

  it("sets the network up and connects to a port of the pod", async () => {
    await vm.client.request("network", [
      [1, guestMac],
      [2, "02:00:00:00:00:09"],
      [3, "eth0"],
      [4, "10.0.2.15/24"],
      [5, 1400],
      [6, "0.0.0.0/0 via 10.0.2.2"],
      [7, "net.ipv4.ip_default_ttl=63"],
    ]);
    const { stdout } = await sh(
      "ip -o -4 addr show eth0; ip route; cat /sys/class/net/eth0/address /sys/class/net/eth0/mtu",
    );
    expect(stdout).toMatch(/10\.0\.2\.15\/24/);
    expect(stdout).toMatch(/default via 10\.0\.2\.2 dev eth0/);
    expect(stdout).toMatch(/02:00:00:00:00:09\n1400\n/);
    const listen = "TCP4-LISTEN:8080,reuseaddr";
    const server = await vm.exec("main", ["socat", listen, "EXEC:cat"]);
    const stream = vm.client.openStream();
    const dial = () =>
      vm.client.request("dial", [
        [1, stream.streamId],
        [2, 8080],
      ]);
    const dialled = () => dial().then(() => "connected", errnoOf);
    await expect.poll(dialled, { timeout: 20_000 }).toBe("connected");
    stream.end("there and back");
    let got = "";
    for await (const chunk of stream) got += String(chunk);
    expect(got).toBe("there and back");
    expect((await server.outcome).exitCode).toBe(0);
    const closed = vm.client.openStream();
    const refused = vm.client.request("dial", [
      [1, closed.streamId],
      [2, 81],
    ]);
    expect(await refusal(refused)).toBe("ECONNREFUSED: connecting to port 81: Connection refused");
  });

  it("leaves nothing of a container that could not be made, and lets its name be used again", async () => {
    const more: FieldList = [[5, Buffer.from("/run/katasim/shared/missing\0/data\0bind\0ro")]];
    expect(await refusal(vm.create("broken", ["true"], { more }))).toBe(
      "ENOENT: bind mount source /run/katasim/shared/missing: No such file or directory",
    );
    const { outcome } = await vm.run("broken", ["echo", "fine"]);
    expect((await outcome).stdout).toBe("fine\n");
    await remove("broken");
    await remove("broken");
    expect(await refusal(vm.client.request("start", [[1, "broken"]]))).toBe(
      "ESRCH: no container broken",
    );
  });

  it("tells of a container killed before its start", async () => {
    const { outcome } = await vm.create("unstarted", ["true"]);
    await vm.client.request("signal", [
      [1, "unstarted"],
      [3, 9],
    ]);
    expect((await outcome).exitCode).toBe(137);
    await remove("unstarted");
  });

  it("refuses requests that make no sense", async () => {
    expect(await refusal(vm.client.request("start", [[99, 1]]))).toBe(
      "EINVAL: unknown or misplaced field 99",
    );
    expect(await refusal(vm.client.request("createContainer", [[1, "../x"]]))).toMatch(/^EINVAL: /);
    expect(
      await refusal(
        vm.client.request("mountDisk", [
          [1, "root"],
          [2, "vfat"],
        ]),
      ),
    ).toMatch(/^EINVAL: /);
  });

  it("powers off when told to", async () => {
    await vm.client.request("shutdown");
    await vm.gone;
    expect(vm.console()).not.toMatch(/panic/i);
  });
});

describe.skipIf(reason !== undefined)("a guest that is sent garbage", () => {
  let vm: GuestVm;
  beforeAll(async () => {
    vm = await bootGuestVm();
  });
  afterAll(() => vm?.stop());

  it("gives up the connection, keeps its programs, and serves the next one", async () => {
    await vm.run("survivor", ["sleep", "100000"]);
    vm.sendRaw(Buffer.from([0, 0, 0, 1, 9, 9, 9, 9, 9, 9]));
    expect(await vm.client.closed).toBe("the guest agent gave up: malformed frame");
    const again = await vm.reconnect();
    expect(again.bootId).toBe(vm.bootId);
    const { stdout } = await (await again.exec("survivor", ["cat", "/proc/1/comm"])).outcome;
    expect(stdout).toBe("sleep\n");
    expect(again.console()).not.toMatch(/panic/i);
  });
});
