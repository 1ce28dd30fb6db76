/**
 * `ctr run` with our shim and with containerd's own runc shim in one containerd: a row that both have
 * must end alike. Titles become rows of README.md here. Needs root and containerd.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { baseImageName, containerdObstacle } from "../support/containerd.ts";
import { type CtrScene, runtimes, shimProgram, startCtrScene } from "../support/ctr-scene.ts";
import { guestFolder } from "../support/guest-image.ts";
import type { CommandOutcome } from "../support/kubectl.ts";
import { waitUntil } from "../support/wait-until.ts";

const why = containerdObstacle();
if (why !== undefined) console.warn(`skipped: ${why}`);

const sh = (script: string) => ["sh", "-c", script];
/** What the host gives by --mount and --env-file. */
const given = `/tmp/kgiven-${process.pid}`;

interface Flag {
  readonly title: string;
  readonly flags: readonly string[];
  /** Run in the container; the row's part of the output is what it prints. */
  readonly script: string;
  readonly prints: string;
}

// One run has all of them at once: a VM for each would take minutes.
const flags: readonly Flag[] = [
  { title: "--env", flags: ["--env", "A=b c"], script: "echo $A", prints: "b c\n" },
  {
    title: "--env-file",
    flags: ["--env-file", join(given, "env")],
    script: "echo $FROM_FILE",
    prints: "yes\n",
  },
  {
    title: "--cwd, made where it is missing",
    flags: ["--cwd", "/no/such"],
    script: "pwd",
    prints: "/no/such\n",
  },
  {
    title: "--mount of a folder, read-only",
    flags: ["--mount", `type=bind,src=${given},dst=/given,options=rbind:ro`],
    script: "cat /given/note; touch /given/x 2>/dev/null || echo refused",
    prints: "from the host\nrefused\n",
  },
  {
    title: "--mount of a tmpfs with a size",
    flags: ["--mount", "type=tmpfs,src=tmpfs,dst=/fast,options=size=1048576"],
    script: "stat -f -c %T /fast; df -k --output=size /fast | tail -n 1 | tr -d ' '",
    prints: "tmpfs\n1024\n",
  },
  {
    title: "--cap-drop",
    flags: ["--cap-drop", "CAP_CHOWN"],
    script: "touch /tmp/x; chown 1:1 /tmp/x 2>/dev/null || echo refused",
    prints: "refused\n",
  },
  {
    title: "--cap-add",
    flags: ["--cap-add", "CAP_SYS_TIME"],
    script: "grep CapEff /proc/self/status | cut -f 2",
    // The default ones, without CAP_CHOWN (0), with CAP_SYS_TIME (25).
    prints: "00000000aa0425fa\n",
  },
  {
    title: "no mount without CAP_SYS_ADMIN",
    flags: [],
    script: "mount -t tmpfs none /mnt 2>/dev/null || echo refused",
    prints: "refused\n",
  },
  {
    title: "no new privileges",
    flags: [],
    script: "grep NoNewPrivs /proc/self/status | cut -f 2",
    prints: "1\n",
  },
  {
    title: "masked and read-only paths of /proc",
    flags: [],
    script: "wc -c </proc/keys; echo 1 2>/dev/null >/proc/sys/kernel/panic || echo refused",
    prints: "0\nrefused\n",
  },
];
const border = "----\n";

describe.skipIf(why !== undefined)("ctr run", () => {
  let scene: CtrScene;

  beforeAll(async () => {
    mkdirSync(given);
    writeFileSync(join(given, "note"), "from the host\n");
    writeFileSync(join(given, "env"), "FROM_FILE=yes\n");
    scene = await startCtrScene();
  });
  afterAll(async () => {
    rmSync(given, { recursive: true, force: true });
    await scene?.stop();
  });

  describe.each(runtimes)("$name", ({ type }) => {
    describe("flags", () => {
      let outcome: CommandOutcome;
      beforeAll(async () => {
        const script = flags.map((flag) => `${flag.script}\necho ${border.trim()}`);
        const all = flags.flatMap((flag) => flag.flags);
        const end = "echo apart >&2; exit 5";
        outcome = await scene.run(type, "flags", ["--rm", ...all], sh([...script, end].join("\n")));
      });

      it("exit code of the program", () => expect(outcome.exitCode).toBe(5));
      it("stdout and stderr apart", () => expect(outcome.stderr).toBe("apart\n"));
      it.each(flags.map((flag, index) => ({ ...flag, index })))("$title", ({ index, prints }) => {
        expect(outcome.stdout.split(border)[index]).toBe(prints);
      });
    });

    it("--privileged --allow-new-privs --snapshotter native; exit code 0", async () => {
      const script = "mount -t tmpfs none /mnt && grep NoNewPrivs /proc/self/status; echo x >/x";
      const all = ["--rm", "--privileged", "--allow-new-privs", "--snapshotter", "native"];
      const outcome = await scene.run(type, "privileged", all, sh(`${script} && cat /x`));
      expect(outcome).toEqual({ exitCode: 0, stdout: "NoNewPrivs:\t0\nx\n", stderr: "" });
    });

    it("--read-only", async () => {
      const outcome = await scene.run(type, "sealed", ["--rm", "--read-only"], ["touch", "/x"]);
      expect(outcome).toEqual({
        exitCode: 1,
        stdout: "",
        stderr: "touch: cannot touch '/x': Read-only file system\n",
      });
    });

    it("a command that does not exist: exit code 1, and which", async () => {
      const outcome = await scene.run(type, "missing", ["--rm"], ["no-such-command"]);
      expect(outcome).toMatchObject({
        exitCode: 1,
        stderr: expect.stringContaining(
          'exec: "no-such-command": executable file not found in $PATH',
        ),
      });
      expect(await scene.statusOf("missing")).toBeUndefined();
    });

    it("--null-io", async () => {
      const outcome = await scene.run(type, "mute", ["--rm", "--null-io"], sh("echo lost; exit 3"));
      expect(outcome).toEqual({ exitCode: 3, stdout: "", stderr: "" });
    });

    it("--detach, --label, --annotation, --pid-file, --log-uri file://", async () => {
      const log = join(scene.containerd.folder, `out-${type}`);
      const pidFile = join(scene.containerd.folder, "pid");
      const all = ["-d", "--label", "a=b", "--annotation", "c=d", "--pid-file", pidFile];
      const script = "echo kept; echo too >&2";
      const started = await scene.run(
        type,
        "log",
        [...all, "--log-uri", `file://${log}`],
        sh(script),
      );
      expect(started).toEqual({ exitCode: 0, stdout: "", stderr: "" });
      await scene.hasStatus("log", "STOPPED");
      const lines = () => readFileSync(log, "utf8").split("\n").sort();
      // runc's shim copies on after the exit is known.
      await waitUntil(() => lines().length === 3, { what: "both lines in the log" });
      expect(lines()).toEqual(["", "kept", "too"]);
      const info = JSON.parse(await scene.ok("container", "info", "log"));
      expect([info.Labels.a, info.Spec.annotations.c, info.Runtime.Name]).toEqual(["b", "d", type]);
      expect(await scene.ok("task", "ls")).toMatch(
        new RegExp(`^log\\s+${readFileSync(pidFile, "utf8")}\\s`, "m"),
      );
      await scene.remove("log");
    });

    it("-t: a terminal that is resized, Ctrl-C, exit code", async () => {
      const terminal = scene.onTerminal([
        ...["run", "--rm", "-t", "--runtime", type, baseImageName, "typed", "sh"],
      ]);
      try {
        await terminal.shows(/[#$] $/);
        terminal.type("tty; stty size\r");
        await terminal.shows(/\/dev\/pts\/\d+\s+24 80\s/);
        await terminal.resize(101, 33);
        await waitUntil(
          () => {
            terminal.type("stty size\r");
            return /33 101\s/.test(terminal.screen());
          },
          { what: "the new size", describe: () => terminal.screen() },
        );
        terminal.type("sleep 1000\r");
        await terminal.shows(/sleep 1000/);
        terminal.type("\x03");
        terminal.type("echo after-$?\r");
        await terminal.shows(/after-130/);
        terminal.type("exit 7\r");
        expect(await terminal.exitCode).toBe(7);
      } finally {
        terminal.close();
        await scene.remove("typed");
      }
    });

    it("task attach: input and output of a detached task, and its exit code", async () => {
      await scene.run(type, "away", ["-d"], sh("read line; echo got $line; exit 4"));
      const attached = await scene.ctr(["task", "attach", "away"], "words\n");
      expect(attached).toMatchObject({ exitCode: 4, stdout: "got words\n" });
      await scene.remove("away");
    });

    it("a signal from outside ends it: 128 and its number", async () => {
      const running = scene.run(type, "killed", ["--rm"], ["sleep", "1000"]);
      await scene.hasStatus("killed", "RUNNING");
      await scene.ok("task", "kill", "-s", "SIGKILL", "killed");
      expect((await running).exitCode).toBe(137);
    });

    it("two at once of one image, each with files of its own", async () => {
      const both = ["a", "b"].map((id) =>
        scene.run(type, id, ["--rm"], sh(`echo ${id} >>/x; cat /x`)),
      );
      expect((await Promise.all(both)).map(({ stdout }) => stdout)).toEqual(["a\n", "b\n"]);
    });
  });

  describe("katasim", () => {
    const { type } = runtimes[0];

    it("the program by its absolute path in a clone; a kernel of its own; stdin to its end", async () => {
      const outcome = await scene.run(
        shimProgram,
        "path",
        ["--rm"],
        sh("cat; uname -r"),
        "given\n",
      );
      const { kernelRelease } = JSON.parse(
        readFileSync(join(guestFolder(), "release.json"), "utf8"),
      );
      expect(outcome).toEqual({ exitCode: 0, stdout: `given\n${kernelRelease}\n`, stderr: "" });
    });

    it("--memory-limit and --cpus: the container's limits in the guest, and the VM's size", async () => {
      const cgroups = "type=cgroup,src=cgroup,dst=/sys/fs/cgroup,options=ro:nosuid";
      const all = [
        "--rm",
        "--memory-limit",
        String(256 << 20),
        "--cpus",
        "1.5",
        "--mount",
        cgroups,
      ];
      const script = "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/cpu.max; nproc";
      const { stdout, stderr } = await scene.run(type, "sized", all, sh(script));
      expect([stdout, stderr]).toEqual([`${256 << 20}\n150000 100000\n3\n`, ""]);
    });

    it("--rootfs: a folder of the host, which is not written to", async () => {
      const root = join(scene.containerd.folder, "plain-root");
      mkdirSync(root);
      const layer = join(guestFolder(), "base-image/rootfs.tar");
      execFileSync("tar", ["-xf", layer, "-C", root]);
      const args = ["run", "--rm", "--rootfs", "--runtime", type, root, "folder"];
      const outcome = await scene.ctr([...args, ...sh("touch /x; ls /x")]);
      expect(outcome).toEqual({ exitCode: 0, stdout: "/x\n", stderr: "" });
      expect(execFileSync("ls", [root]).toString().split("\n")).not.toContain("x");
    });

    it("the VM is killed: ctr ends with 137, and nothing is left", async () => {
      const running = scene.run(type, "doomed", ["--rm"], ["sleep", "1000"]);
      await scene.hasStatus("doomed", "RUNNING");
      const pid = /^doomed\s+(\d+)/m.exec(await scene.ok("task", "ls"))?.[1];
      process.kill(Number(pid), "SIGKILL");
      expect((await running).exitCode).toBe(137);
      await waitUntil(() => scene.containerd.bundles().length === 0, { what: "the bundle to go" });
    });
  });
});
