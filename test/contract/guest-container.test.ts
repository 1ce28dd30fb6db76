/** How the guest sets containers up, in a real VM: what the OCI runtime spec and Kubernetes ask of it. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { FieldList } from "../../runtime-shim/guest-client/fields.ts";
import { SeccompSchema, seccompFields } from "../../runtime-shim/oci/seccomp.ts";
import { defaultSeccomp } from "../../simulator/runtime/default-seccomp.ts";
import { bootGuestVm, type GuestVm, type ProcessOptions, whyNoVm } from "./guest-vm.ts";

const reason = whyNoVm();
if (reason !== undefined) console.warn(`skipped: guest VM tests (${reason})`);

describe.skipIf(reason !== undefined)("a container in the guest", () => {
  let vm: GuestVm;
  beforeAll(async () => {
    vm = await bootGuestVm();
    await vm.client.request("sandbox", [
      [1, "net.ipv4.ip_local_port_range=20000 30000"],
      [1, "kernel.shm_rmid_forced=1"],
      [2, 96 << 20],
    ]);
    await vm.run("main", ["sleep", "100000"]);
  });
  afterAll(() => vm?.stop());

  const sh = async (id: string, script: string, options: ProcessOptions = {}) =>
    (await vm.exec(id, ["bash", "-c", script], options)).outcome;
  const remove = (id: string) => vm.client.request("removeContainer", [[1, id]]);
  const once = async (id: string, script: string, more: FieldList = []) => {
    const { outcome } = await vm.run(id, ["bash", "-c", script], { more });
    const ended = await outcome;
    await remove(id);
    return ended;
  };

  it("has the pod's sysctls and the size of its /dev/shm", async () => {
    const { stdout } = await sh(
      "main",
      "cat /proc/sys/net/ipv4/ip_local_port_range /proc/sys/kernel/shm_rmid_forced; df -k --output=size,fstype /dev/shm | tail -n 1",
    );
    expect(stdout.split("\n").map((line) => line.trim().replace(/\s+/g, " "))).toEqual([
      "20000 30000",
      "1",
      `${96 << 10} tmpfs`,
      "",
    ]);
  });

  it("refuses a sysctl that does not exist, by its name", async () => {
    await expect(vm.client.request("sandbox", [[1, "net.ipv4.nothing=1"]])).rejects.toThrow(
      "sysctl net.ipv4.nothing=1: No such file or directory",
    );
  });

  it("shares hostname, System V IPC, message queues and /dev/shm with the pod's others", async () => {
    await sh(
      "main",
      "echo from main >/dev/shm/note; ipcmk -Q >/dev/null; ipcmk -M 4096 >/dev/null",
    );
    const seen = "readlink /proc/self/ns/uts /proc/self/ns/ipc /proc/self/ns/net";
    const { stdout: mine } = await sh("main", `${seen}; hostname`);
    const other = await once(
      "other",
      `${seen}; hostname; cat /dev/shm/note; ipcs -q | grep -c 0x; ipcs -m | grep -c 0x`,
    );
    expect(other.stdout).toBe(`${mine}from main\n1\n0\n`);
    // shm_rmid_forced: a segment nobody is attached to goes with its maker.
    const pid = await once("pids", "readlink /proc/self/ns/pid");
    expect(pid.stdout).not.toBe((await sh("main", "readlink /proc/self/ns/pid")).stdout);
  });

  it("reaps what a shared process namespace leaves behind", async () => {
    const share: FieldList = [[7, 1]];
    await vm.run("first", ["sleep", "1000"], { more: share });
    // The middle shell ends at once: its child is an orphan, ends too, and is pause's to reap.
    await once("orphans", "for i in 1 2 3; do (sh -c 'sleep 0.01 &' &); done; sleep 0.3", share);
    const { stdout } = await sh(
      "first",
      "cat /proc/1/comm; ps -eo stat,comm | grep -c '^Z' || true",
    );
    expect(stdout).toBe("pause\n0\n");
    await remove("first");
  });

  it("gives an exec its own limits, groups, capabilities and working directory", async () => {
    const more: FieldList = [
      [35, 100],
      [35, 2000],
      [42, 1 << 10],
      [44, 1 << 10],
      [45, 1 << 10],
      [46, 1 << 10],
      [47, true],
      [48, "nofile 100 200"],
      [48, "core 0 18446744073709551615"],
      [50, 0o77],
    ];
    const { stdout } = await sh(
      "main",
      "id -G; grep -E '^Cap(Inh|Prm|Eff|Bnd|Amb)|^NoNew' /proc/self/status | tr -s '\\t\\n' ' '; echo; ulimit -Sn; ulimit -Hn; ulimit -c; ulimit -Hc; umask; pwd",
      { uid: 1234, cwd: "/var", more: [...more] },
    );
    expect(stdout.split("\n")).toEqual([
      "1234 100 2000",
      // Ambient capabilities reach a program of another user without file capabilities.
      "CapInh: 0000000000000400 CapPrm: 0000000000000400 CapEff: 0000000000000400 CapBnd: 0000000000000400 CapAmb: 0000000000000400 NoNewPrivs: 1 ",
      ...["100", "200", "0", "unlimited", "0077", "/var", ""],
    ]);
  });

  it("masks files and folders, and keeps programs of a read-only path runnable", async () => {
    const { stdout, stderr } = await once(
      "masked",
      "wc -c </proc/timer_list; ls -A /proc/scsi /etc/default | wc -w; touch /etc/default/x; touch /usr/x; /usr/bin/env echo runs; echo 1 >/proc/sysrq-trigger",
      [
        [13, "/proc/timer_list"],
        [13, "/etc/default"],
        [13, "/no/such/path"],
        [14, "/usr"],
        [14, "/proc/sysrq-trigger"],
        [14, "/no/such/path"],
      ],
    );
    expect(stdout).toMatch(/^0\n\d+\nruns\n$/);
    expect(stdout.split("\n")[1]).toBe("1"); // the heading of /etc/default:, where ls found /proc/scsi missing
    expect(stderr.match(/Read-only file system/g)).toHaveLength(3);
  });

  it("keeps a container that may make device nodes from the machine's disks", async () => {
    const script =
      "mknod /tmp/disk b 254 0 && echo made; head -c 1 /tmp/disk; mknod /tmp/zero c 1 5; head -c 2 /tmp/zero | wc -c; head -c 1 /dev/urandom | wc -c";
    const caps: FieldList = [42, 43, 44].map((tag) => [tag, (1 << 27) | (1 << 1)] as const);
    const { stdout, stderr } = await once("nodes", script, [[15, "deny a -1 -1 rwm"], ...caps]);
    expect(stdout).toBe("made\n2\n1\n");
    expect(stderr).toMatch(/'\/tmp\/disk' for reading: Operation not permitted/);
  });

  it("follows the device rules of the spec: a disk that is allowed, and all for the privileged", async () => {
    const script =
      "mknod /tmp/disk b $(tr : ' ' </sys/block/vda/dev); head -c 1 /tmp/disk | wc -c; : >/tmp/disk";
    const one = await once("reads", script, [
      [15, "deny a -1 -1 rwm"],
      [15, "allow b -1 -1 r"],
    ]);
    expect([one.stdout, one.stderr]).toEqual(["1\n", expect.stringContaining("not permitted")]);
    const all = await once("privileged", script, [[15, "allow a -1 -1 rwm"]]);
    // The image's disk is read-only by itself.
    expect([all.stdout, all.stderr]).toEqual(["1\n", expect.not.stringContaining("head:")]);
    await expect(vm.create("odd", ["true"], { more: [[15, "allow q 1 1 rwm"]] })).rejects.toThrow(
      "device rules: Invalid argument",
    );
  });

  it("filters system calls, of a container and of its execs", async () => {
    const filter = seccompFields(
      SeccompSchema.parse({
        defaultAction: "SCMP_ACT_ALLOW",
        architectures: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
        syscalls: [
          { names: ["mkdir", "mkdirat"], action: "SCMP_ACT_ERRNO", errnoRet: 28 },
          { names: ["sethostname"], action: "SCMP_ACT_KILL_PROCESS" },
          {
            names: ["kill"],
            action: "SCMP_ACT_ERRNO",
            args: [{ index: 1, value: 12, op: "SCMP_CMP_EQ" }],
          },
        ],
      }),
    );
    const script =
      "grep ^Seccomp: /proc/self/status; mkdir /tmp/x; kill -USR2 $$ || echo no; kill -0 $$ && echo yes; hostname other; echo $?";
    const expected = {
      stdout: "Seccomp:\t2\nno\nyes\n159\n",
      stderr: expect.stringMatching(/mkdir: .*No space left on device/),
    };
    // With and without no_new_privs it is installed at different moments.
    for (const strict of [0, 1]) {
      expect(await once("filtered", script, [[47, strict], ...filter])).toMatchObject(expected);
    }
    expect(await sh("main", script, { more: filter })).toMatchObject(expected);
    await expect(
      vm.create("odd", ["true"], { more: [[51, Buffer.from("no filter")]] }),
    ).rejects.toThrow("the system call filter is no filter");
  });

  it("runs everyday programs under the default profile, and makes no namespaces", async () => {
    const filter = seccompFields(SeccompSchema.parse(defaultSeccomp([])));
    const script =
      "ls / >/dev/null && date >/dev/null && (sleep 0.01 & wait) && echo works | cat; unshare -U true; setarch i386 uname -m; ping -c 1 -W 1 127.0.0.1 >/dev/null; echo $?";
    const { stdout, stderr } = await once("default", script, [[47, 1], ...filter]);
    expect(stdout).toMatch(/^works\n/);
    expect(stderr).toMatch(/unshare: unshare failed: Operation not permitted/);
    const admin = seccompFields(SeccompSchema.parse(defaultSeccomp(["CAP_SYS_ADMIN"])));
    expect((await once("admin", "unshare -U echo made", admin)).stdout).toBe("made\n");
  });

  it("limits the number of processes", async () => {
    const script =
      "for i in 1 2 3 4 5 6 7 8; do sleep 5 & done 2>&1 | head -n 1; cat /sys/fs/cgroup/pids.max";
    const { stdout, stderr } = await once("few", script, [[16, 6]]);
    expect(stderr + stdout).toMatch(/fork: (retry: )?Resource temporarily unavailable/);
  });

  it("sends a signal to one process, or to all of the container", async () => {
    const script =
      "trap 'echo one' USR1; trap 'echo parent' USR2; sh -c 'trap \"echo child\" USR2; echo up; while :; do sleep 0.05; done' & while :; do sleep 0.05; done";
    const { stdout } = await vm.run("signals", ["bash", "-c", script]);
    let seen = "";
    stdout.on("data", (chunk: Buffer) => {
      seen += chunk.toString();
    });
    const lines = () => seen.trim().split("\n").sort();
    await expect.poll(lines, { timeout: 20_000 }).toEqual(["up"]);
    const signal = (...more: FieldList) => vm.client.request("signal", [[1, "signals"], ...more]);
    await signal([3, 10]);
    await expect.poll(lines, { timeout: 20_000 }).toEqual(["one", "up"]);
    // The helpers called sleep have no handler and die of it, which the loops take in their stride.
    await signal([3, 12], [4, 1]);
    await expect.poll(lines, { timeout: 20_000 }).toEqual(["child", "one", "parent", "up"]);
    // Process 1 of a namespace ignores what it has no handler for, as on any Linux.
    await signal([3, 15]);
    await signal([3, 9], [4, 1]);
    await remove("signals");
  });

  it("has a controlling terminal with job control and a word of each new size", async () => {
    const shell = await vm.exec("main", ["bash", "--norc", "-i"], {
      ...{ tty: true, stdin: Buffer.alloc(0), env: ["PS1=> "] },
      more: [
        [37, 80],
        [38, 24],
      ],
    });
    let seen = "";
    shell.stdout.on("data", (chunk: Buffer) => {
      seen += chunk.toString();
    });
    const type = async (text: string, answer: RegExp) => {
      seen = "";
      shell.stdin?.write(text);
      await expect.poll(() => seen, { timeout: 20_000 }).toMatch(answer);
    };
    await type(
      "ps -o tty=,sid=,pid= $$ | awk '{print $1, $2 == $3}'; test -c /dev/tty && : </dev/tty && echo owned\n",
      /pts\/\d+ 1[\s\S]*owned/,
    );
    await type("sleep 500\n", /sleep 500\r\n/);
    await type("\x1a", /Stopped\s+sleep 500/);
    await type("bg\n", /sleep 500 &/);
    await type("kill %1; wait %1; echo status $?\n", /status 143/);
    await type("trap 'echo resized $(stty size)' WINCH; echo trap $?\n", /trap 0/);
    await vm.client.request("resize", [
      ...([
        [1, "main"],
        [2, shell.execId],
        [3, 100],
        [4, 30],
      ] as const),
    ]);
    await type("\n", /resized 30 100/);
    shell.stdin?.write("exit\n");
    expect((await shell.outcome).exitCode).toBe(0);
  });
});
