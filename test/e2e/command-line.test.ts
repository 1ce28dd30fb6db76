// The life of an instance by the command alone: kubeconfig, idempotence, ports, names, stale files.
import { existsSync, readFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ladder, type RungStatus, rungName } from "../../runtime-shim/hypervisors/ladder.ts";
import { createKubectl } from "../support/kubectl.ts";
import { makeSimulator, type Simulator } from "../support/start-simulator.ts";

function contextsOf(file: string): readonly string[] {
  return [...readFileSync(file, "utf8").matchAll(/^ +- name: (\S+)$|^- name: (\S+)$/gm)].map(
    (match) => match[1] ?? match[2] ?? "",
  );
}

const pidFile = (simulator: Simulator) =>
  join(simulator.home, "run", simulator.instance, "katasim.pid");

describe("katasim up and down", () => {
  it("touches no kubeconfig when told so, and hands one out on request", async () => {
    await using simulator = await makeSimulator();
    expect((await simulator.up(["--no-kubeconfig"])).exitCode).toBe(0);
    expect(existsSync(simulator.kubeconfig)).toBe(false);

    const own = join(simulator.home, "own");
    await writeFile(own, await simulator.katasimOk(["kubeconfig", "get"]));
    const kubectl = createKubectl(own, join(simulator.home, "cache"));
    expect(await kubectl.ok(["get", "nodes", "-o", "name"])).toBe(`node/${simulator.nodeName}\n`);

    await writeFile(simulator.kubeconfig, "# mine\ncurrent-context: mine\n");
    await simulator.katasimOk(["kubeconfig", "merge", "--no-switch-context"]);
    const merged = readFileSync(simulator.kubeconfig, "utf8");
    expect(merged).toContain("# mine\ncurrent-context: mine");
    expect(contextsOf(simulator.kubeconfig)).toContain(`katasim-${simulator.instance}`);
    await simulator.katasimOk(["kubeconfig", "remove"]);
    expect(contextsOf(simulator.kubeconfig)).toEqual([]);
    expect(readFileSync(simulator.kubeconfig, "utf8")).toContain("current-context: mine");
  });

  it("starts one node for two callers at once", async () => {
    await using simulator = await makeSimulator();
    const both = await Promise.all([simulator.up(), simulator.up()]);
    expect(both.map(({ exitCode }) => exitCode)).toEqual([0, 0]);
    expect(both.filter(({ stderr }) => stderr.includes("already running"))).toHaveLength(1);
    const [node] = (await simulator.kubectl.json<{ items: object[] }>(["get", "nodes"])).items;
    expect(node).toBeDefined();
  });

  it("runs two instances side by side", async () => {
    await using first = await makeSimulator();
    await using second = await makeSimulator();
    expect((await first.up()).exitCode).toBe(0);
    expect((await second.up()).exitCode).toBe(0);
    await first.kubectl.ok(["create", "configmap", "only-here"]);
    const inSecond = await second.kubectl(["get", "configmap", "only-here"]);
    expect(inSecond.stderr).toContain("not found");
    await first.katasimOk(["down", "--delete"]);
    expect((await second.katasim(["status"])).exitCode).toBe(0);
  });

  it("names who has the port, and leaves nothing of the failed start", async () => {
    await using simulator = await makeSimulator();
    const blocker = createServer();
    await new Promise<void>((resolve) => blocker.listen(0, "127.0.0.1", resolve));
    const { port } = blocker.address() as { port: number };
    const outcome = await simulator.katasim(["up", "-d", "--api-port", String(port)]);
    await new Promise((resolve) => blocker.close(resolve));
    expect(outcome.exitCode).toBe(3);
    expect(outcome.stderr).toContain(`port ${port} on 127.0.0.1 is taken`);
    expect(outcome.stderr).toContain(`(pid ${process.pid}) listens there`);
    expect(outcome.stderr).toContain("code: PORT_TAKEN");
    expect(simulator.leaks()).toEqual([]);
  });

  it("passes a refusal of the daemon on with its exit code, and leaves nothing", async () => {
    await using simulator = await makeSimulator();
    const outcome = await simulator.up(["--vm-size", "Standard_Imaginary"]);
    expect(outcome.exitCode).toBe(2);
    expect(outcome.stderr).toContain("Standard_Imaginary");
    expect(outcome.stderr).not.toMatch(/\n\s+at /);
    expect(simulator.leaks()).toEqual([]);
    expect(existsSync(join(simulator.home, "run"))).toBe(false);
  });

  it("does not take a pid that was given out again for its own", async () => {
    await using simulator = await makeSimulator();
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8");
    await mkdir(join(simulator.home, "run", simulator.instance), { recursive: true });
    await writeFile(pidFile(simulator), `${process.pid}\n1\n${boot}`);
    expect((await simulator.katasim(["status"])).exitCode).toBe(4);
    expect((await simulator.up()).exitCode).toBe(0);
  });

  it("refuses a home that is too deep for unix sockets", async () => {
    await using simulator = await makeSimulator();
    const deep = join(simulator.home, "x".repeat(90));
    const outcome = await simulator.katasim(["up", "-d", "--home", deep]);
    expect(outcome.exitCode).toBe(2);
    expect(outcome.stderr).toContain("too long for unix sockets");
  });

  it("tells its progress as JSON lines with -o json", async () => {
    await using simulator = await makeSimulator();
    const outcome = await simulator.up(["-o", "json"]);
    const steps = outcome.stderr
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(steps).toContainEqual({ step: "api", state: "started" });
    expect(steps).toContainEqual({ step: "ready", state: "done", ms: expect.any(Number) });
    expect(JSON.parse(outcome.stdout)).toMatchObject({
      apiVersion: "katasim/v1",
      kind: "Node",
      nodeName: simulator.nodeName,
      server: expect.stringMatching(/^https:\/\/127\.0\.0\.1:\d+$/),
    });
  });

  it("explains every rung of the ladder before anything runs, with a remedy", async () => {
    await using simulator = await makeSimulator();
    const answer = async (...words: string[]) => (await simulator.katasim(words)).stdout;
    const { checks } = JSON.parse(await answer("doctor", "-o", "json"));
    const handlers = JSON.parse(await answer("runtime", "list", "-o", "json")).items;
    const texts = [await answer("doctor"), await answer("runtime", "list")];
    const { rungs } = handlers.find(({ sandboxed }: { sandboxed: boolean }) => sandboxed);
    expect(rungs.map(rungName)).toEqual(ladder.map(rungName));
    for (const rung of rungs as readonly RungStatus[]) {
      const name = rungName(rung);
      const { usable, explanation, remedy } = rung;
      expect([name, explanation]).toEqual([name, expect.stringMatching(/^\S+( \S+){2,}$/)]);
      expect([name, remedy === undefined]).toEqual([name, usable]);
      expect(checks.find(({ id }: { id: string }) => id === name)).toEqual({
        id: name,
        state: usable ? "ok" : "absent",
        message: explanation,
        ...(usable ? {} : { fix: remedy }),
      });
      for (const text of texts) {
        for (const words of [name, explanation, remedy ?? ""]) expect(text).toContain(words);
      }
    }
  });

  it("logs by component", async () => {
    await using simulator = await makeSimulator();
    expect((await simulator.up()).exitCode).toBe(0);
    const api = await simulator.katasimOk(["logs", "--component", "api"]);
    expect(api).toMatch(/INFO {2}\[api\] API server ready/);
    expect(await simulator.katasimOk(["logs", "--component", "agent"])).not.toContain("[api]");
  });

  it("keeps objects over down and up, and forgets them with --delete", async () => {
    await using simulator = await makeSimulator();
    expect((await simulator.up()).exitCode).toBe(0);
    await simulator.kubectl.ok(["create", "configmap", "kept"]);
    await simulator.katasimOk(["down"]);
    expect((await simulator.katasim(["down"])).stderr).toContain("was not running");
    expect((await simulator.up()).exitCode).toBe(0);
    expect(await simulator.kubectl.ok(["get", "configmap", "kept", "-o", "name"])).toBe(
      "configmap/kept\n",
    );
    await simulator.katasimOk(["down", "--delete"]);
    expect((await simulator.up()).exitCode).toBe(0);
    expect((await simulator.kubectl(["get", "configmap", "kept"])).stderr).toContain("not found");
  });
});
