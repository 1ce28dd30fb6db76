/**
 * `ctr task` and `ctr events` with our shim and with containerd's own runc shim in one containerd: a row
 * that both have must end alike. Titles become rows of README.md here. Needs root and containerd.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { baseImageName, containerdObstacle } from "../support/containerd.ts";
import { type CtrScene, runtimes, startCtrScene } from "../support/ctr-scene.ts";
import { waitUntil } from "../support/wait-until.ts";

const why = containerdObstacle();
if (why !== undefined) console.warn(`skipped: ${why}`);

const sh = (script: string) => ["sh", "-c", script];
// Ends at SIGTERM, with a child of its own for `ps` and `kill --all`.
const idle = sh("trap 'exit 7' TERM; sleep 4321 & while :; do sleep 0.2; done");

describe.skipIf(why !== undefined)("ctr task", () => {
  let scene: CtrScene;

  beforeAll(async () => {
    scene = await startCtrScene();
  });
  afterAll(() => scene?.stop());

  describe.each(runtimes)("$name", ({ type }) => {
    const id = "main";
    const exec = (args: readonly string[], stdin = "") =>
      scene.ctr(["task", "exec", ...args], stdin);

    beforeAll(async () => {
      const flags = ["-d", "--memory-limit", String(256 << 20)];
      await scene.run(type, id, flags, idle);
    });
    afterAll(() => scene.remove(id));

    it("ls: id, pid of the host, status", async () => {
      expect(await scene.ok("task", "ls")).toMatch(/^main\s+\d+\s+RUNNING\s*$/m);
      expect(await scene.ok("task", "ls", "-q")).toBe("main\n");
    });

    it("exec: exit code, stdout and stderr apart", async () => {
      const outcome = await exec(["--exec-id", "e1", id, ...sh("echo out; echo err >&2; exit 3")]);
      expect(outcome).toEqual({ exitCode: 3, stdout: "out\n", stderr: "err\n" });
    });

    it("exec --cwd --user", async () => {
      const flags = ["--exec-id", "e2", "--cwd", "/usr", "--user", "1000"];
      const outcome = await exec([...flags, id, ...sh("pwd; id -u")]);
      expect(outcome).toEqual({ exitCode: 0, stdout: "/usr\n1000\n", stderr: "" });
    });

    it("exec of a command that does not exist", async () => {
      const outcome = await exec(["--exec-id", "e3", id, "no-such-command"]);
      expect(outcome).toMatchObject({
        exitCode: 1,
        stderr: expect.stringContaining('exec: "no-such-command": executable file not found'),
      });
    });

    it("exec -t: a terminal of its size, exit code", async () => {
      const terminal = scene.onTerminal(["task", "exec", "-t", "--exec-id", "e4", id, "sh"]);
      try {
        await terminal.shows(/[#$] $/);
        terminal.type("stty size\r");
        await terminal.shows(/24 80\s/);
        terminal.type("exit 6\r");
        expect(await terminal.exitCode).toBe(6);
      } finally {
        terminal.close();
      }
    });

    it("exec -d, kill --exec-id, delete --exec-id: the exit code is kept until then", async () => {
      await exec(["-d", "--exec-id", "e5", id, "sleep", "1000"]);
      const busy = await scene.ctr(["task", "delete", "--exec-id", "e5", id]);
      expect(busy.exitCode).toBe(1);
      await scene.ok("task", "kill", "-s", "SIGKILL", "--exec-id", "e5", id);
      await waitUntil(
        async () => (await scene.ctr(["task", "delete", "--exec-id", "e5", id])).exitCode === 137,
        { what: "the exec's exit code" },
      );
    });

    it("two execs of one id: the second is refused", async () => {
      await exec(["-d", "--exec-id", "e6", id, "sleep", "1000"]);
      const again = await exec(["--exec-id", "e6", id, "true"]);
      expect(again).toMatchObject({
        exitCode: 1,
        stderr: expect.stringContaining("already exists"),
      });
      await scene.ctr(["task", "delete", "--force", "--exec-id", "e6", id]);
    });

    it("pause and resume: PAUSED, no exec meanwhile, RUNNING", async () => {
      await scene.ok("task", "pause", id);
      expect(await scene.statusOf(id)).toBe("PAUSED");
      expect((await exec(["--exec-id", "e7", id, "true"])).exitCode).toBe(1);
      await scene.ok("task", "resume", id);
      expect(await scene.statusOf(id)).toBe("RUNNING");
      expect((await exec(["--exec-id", "e8", id, "true"])).exitCode).toBe(0);
    });

    it("ps lists processes", async () => {
      expect(await scene.ok("task", "ps", id)).toMatch(/^PID\s+INFO\n\d+\s+-\n/);
    });

    it("metrics, as a table and as JSON: memory, its limit, CPU time, processes", async () => {
      const table = await scene.ok("task", "metrics", id);
      expect(table).toMatch(/^ID\s+TIMESTAMP\s*\nmain\s/);
      expect(table).toMatch(/memory\.limit_in_bytes\s+268435456/);
      expect(Number(/memory\.usage_in_bytes\s+(\d+)/.exec(table)?.[1])).toBeGreaterThan(0);
      expect(Number(/cpuacct\.usage\s+(\d+)/.exec(table)?.[1])).toBeGreaterThan(0);
      const json = JSON.parse(await scene.ok("task", "metrics", "--format", "json", id));
      expect(json.memory.usage.limit).toBe(256 << 20);
      expect(json.pids.current).toBeGreaterThan(1);
    });

    it("delete refuses a running task, and says so", async () => {
      const outcome = await scene.ctr(["task", "delete", id]);
      expect(outcome.exitCode).toBe(1);
      expect(outcome.stderr).toMatch(/must be stopped before deletion|failed precondition/);
    });

    it("containerd is restarted: the task goes on, exec and kill work", async () => {
      await scene.containerd.stop("SIGKILL");
      await scene.containerd.start();
      expect(await scene.statusOf(id)).toBe("RUNNING");
      expect((await exec(["--exec-id", "e9", id, ...sh("echo on")])).stdout).toBe("on\n");
    });

    it("kill, by default with SIGTERM; who is attached gets the exit code", async () => {
      const attached = scene.ctr(["task", "attach", id]);
      await scene.ok("task", "kill", id);
      // And removes the task, as ctr does.
      expect((await attached).exitCode).toBe(7);
      expect(await scene.statusOf(id)).toBeUndefined();
    });

    it("kill of a task that has ended says so", async () => {
      await scene.ok("task", "start", "-d", id);
      await scene.ok("task", "kill", "-s", "9", id);
      await scene.hasStatus(id, "STOPPED");
      const outcome = await scene.ctr(["task", "kill", id]);
      expect(outcome.exitCode).toBe(1);
      expect(outcome.stderr).toContain("process already finished: not found");
      await scene.ctr(["task", "delete", id]);
    });

    it("kill --all reaches every process", async () => {
      await scene.ok("task", "start", "-d", id);
      await exec(["-d", "--exec-id", "e10", id, "sleep", "1234"]);
      await scene.ok("task", "kill", "--all", "-s", "SIGKILL", id);
      await scene.hasStatus(id, "STOPPED");
      await scene.ok("task", "delete", id);
    });

    it("delete --force ends a running task", async () => {
      await scene.ok("task", "start", "-d", id);
      await scene.ctr(["task", "delete", "--force", id]);
      expect(await scene.statusOf(id)).toBeUndefined();
      expect(scene.containerd.bundles()).toEqual([]);
    });

    it("container create, task start, container delete", async () => {
      const flags = ["container", "create", "--runtime", type];
      await scene.ok(...flags, baseImageName, "later", "ls", "/no/such");
      expect(await scene.statusOf("later")).toBeUndefined();
      expect(await scene.ctr(["task", "start", "later"])).toEqual({
        exitCode: 2,
        stdout: "",
        stderr: "ls: cannot access '/no/such': No such file or directory\n",
      });
      await scene.ok("container", "delete", "later");
      expect(await scene.ok("container", "ls", "-q")).not.toContain("later");
    });

    it("events in order: create, start, exec-added, exec-started, paused, resumed, exits, delete", async () => {
      const events = spawn("ctr", ["-a", scene.containerd.socket, "events"]);
      try {
        const topics = topicsOf(events, "watched");
        // The subscription is there once it shows an event of another container.
        await waitUntil(
          async () => {
            await scene.ctr(["container", "create", baseImageName, "watched-first"]);
            await scene.ctr(["container", "delete", "watched-first"]);
            return topics().length > 0;
          },
          { what: "the subscription" },
        );
        await scene.run(type, "watched", ["-d"], ["sleep", "1000"]);
        await exec(["--exec-id", "x", "watched", "true"]);
        await scene.ok("task", "pause", "watched");
        await scene.ok("task", "resume", "watched");
        await scene.ok("task", "kill", "-s", "SIGKILL", "watched");
        await scene.hasStatus("watched", "STOPPED");
        await scene.ctr(["task", "delete", "watched"]);
        const seen = () => topics().filter((topic) => topic.startsWith("/tasks/"));
        await waitUntil(() => seen().includes("/tasks/delete"), { what: "the last event" });
        expect(seen()).toEqual(
          [
            ...["create", "start", "exec-added", "exec-started", "exit", "paused", "resumed"],
            ...["exit", "delete"],
          ].map((topic) => `/tasks/${topic}`),
        );
      } finally {
        events.kill();
        await scene.remove("watched");
      }
    });
  });
});

/** Topics of the events about a container whose name begins with `id`, as they have come so far. */
function topicsOf(events: ChildProcess, id: string): () => readonly string[] {
  let text = "";
  events.stdout?.on("data", (chunk) => {
    text += chunk;
  });
  return () =>
    text
      .split("\n")
      .filter((line) => line.includes(`"${id}`))
      .flatMap((line) => / (\/\w[\w/-]*) \{/.exec(line)?.[1] ?? []);
}
