/** Trusted pods on genuine runc: by containerd's shim without containerd, and by Docker Engine. Needs root. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { sweepEngine } from "../../simulator/docker/index.ts";
import type {
  ContainerSpec,
  ContainerStatus,
  SandboxStatus,
} from "../../simulator/runtime-port.ts";
import { runtimeTwins } from "./node-support/runtime-twins.ts";
import { containerSpec, sandboxSpec, type TestNode } from "./node-support/test-node.ts";

describe.each(runtimeTwins)("container runtime: $name", (twin) => {
  if (twin.why !== undefined) {
    it.skip(`keeps the contract (skipped: ${twin.why})`);
    return;
  }
  const home = mkdtempSync("/tmp/rt-");
  const name = `rt${process.pid}`;
  let node: TestNode;
  let pod: SandboxStatus;

  beforeAll(async () => {
    await twin.start();
    node = await twin.open(home, name);
    pod = await node.runtime.runSandbox("", sandboxSpec());
  });
  afterAll(async () => {
    for (const sandbox of (await node?.runtime.listSandboxes()) ?? []) {
      await node.runtime.removeSandbox(sandbox.id);
    }
    await node?.network.destroy();
    await node?.close();
    if (node !== undefined) await sweepEngine(node.paths);
    expect(await twin.traces(home, name)).toEqual([]);
    await twin.stop();
    rmSync(home, { recursive: true, force: true });
  });

  const logOf = (status: ContainerStatus) => readFileSync(status.logPath, "utf8");
  /** Text of the log without times: "stdout F hello". */
  const entries = (status: ContainerStatus) =>
    logOf(status)
      .trimEnd()
      .split("\n")
      .map((line) => line.slice(line.indexOf(" ") + 1));

  async function start(
    script: string,
    change: Partial<ContainerSpec> = {},
    sandbox = pod,
  ): Promise<ContainerStatus> {
    const unique = `c${Math.random().toString(36).slice(2)}`;
    const spec = containerSpec(node, script, { name: unique, ...change });
    const { id } = await node.runtime.createContainer(sandbox.id, spec);
    return node.runtime.startContainer(id);
  }

  async function ended(id: string): Promise<ContainerStatus> {
    for (;;) {
      let changed: () => void = () => undefined;
      const change = new Promise<void>((resolve) => {
        changed = resolve;
      });
      const off = node.runtime.onEvent(() => changed());
      const status = await node.runtime.containerStatus(id);
      if (status?.state === "exited") {
        off();
        return status;
      }
      await change;
      off();
    }
  }

  const run = async (script: string, change: Partial<ContainerSpec> = {}) =>
    ended((await start(script, change)).id);

  const exec = async (id: string, command: string[], input?: string) => {
    const session = await node.runtime.exec(id, {
      command,
      tty: false,
      stdin: input !== undefined,
    });
    session.stdin?.end(input);
    const [stdout, stderr] = await Promise.all([
      text(session.stdout),
      session.stderr === undefined ? "" : text(session.stderr),
    ]);
    return { stdout, stderr, code: await session.exitCode };
  };

  it("gives the sandbox an address and makes it ready", () => {
    expect(pod).toMatchObject({ state: "ready", handler: "runc" });
    expect(pod.ip).toMatch(twin.podIp);
    expect(pod.vm).toBeUndefined();
  });

  it("reports exit codes and keeps output in the CRI log", async () => {
    const status = await run("echo out; echo err >&2; printf unfinished; exit 7");
    expect(status).toMatchObject({ state: "exited", exitCode: 7, reason: "Error" });
    expect(entries(status)).toContain("stdout F out");
    expect(entries(status)).toContain("stderr F err");
    expect(entries(status)).toContainEqual(expect.stringMatching(/^stdout [FP] unfinished$/));
    expect(logOf(status)).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z stdout F out$/m);
    expect((await run("true")).reason).toBe("Completed");
  });

  it("loses no byte of a large output", async () => {
    const status = await run("dd if=/dev/zero bs=1M count=4 2>/dev/null; echo; echo end");
    const bytes = entries(status).reduce(
      (sum, line) => sum + line.replace(/^\S+ \S /, "").length,
      0,
    );
    expect(bytes).toBe(4 * 1024 * 1024 + 3);
    expect(entries(status).at(-1)).toBe("stdout F end");
  });

  it("composes environment, host name, user and name server", async () => {
    const status = await run(
      "env; hostname; id -u; id -g; id -G; cat /etc/resolv.conf /etc/hostname",
      {
        env: [{ name: "FROM_SPEC", value: "1" }],
        security: {
          ...containerSpec(node, "").security,
          runAsUser: 1234,
          supplementalGroups: [99],
        },
      },
    );
    const lines = entries(status).map((line) => line.replace("stdout F ", ""));
    expect(lines).toEqual(
      expect.arrayContaining([
        "FROM_IMAGE=yes",
        "FROM_SPEC=1",
        "HOSTNAME=pod-host",
        "pod-host",
        "1234",
        "5678",
        "5678 99 4321",
        "nameserver 10.0.0.10",
        "search default.svc.cluster.local",
      ]),
    );
  });

  it("keeps a read-only root read-only and drops capabilities", async () => {
    const security = {
      ...containerSpec(node, "").security,
      readOnlyRootFilesystem: true,
      capabilitiesDrop: ["ALL"],
      allowPrivilegeEscalation: false,
    };
    const status = await run("echo x >/file; cat /proc/self/status", { security });
    expect(logOf(status)).toMatch(/Read-only file system/);
    expect(logOf(status)).toMatch(/CapBnd:\s+0000000000000000/);
    expect(logOf(status)).toMatch(/NoNewPrivs:\s+1/);
  });

  it("refuses root where runAsNonRoot forbids it", async () => {
    const security = { ...containerSpec(node, "").security, runAsNonRoot: true };
    await expect(start("true", { security })).rejects.toMatchObject({ code: "CONTAINER_CONFIG" });
  });

  it("execs with separate streams, input and exit code", async () => {
    const { id } = await start("exec sleep 1000");
    expect(await exec(id, ["sh", "-c", "echo a; echo b >&2; exit 3"])).toEqual({
      stdout: "a\n",
      stderr: "b\n",
      code: 3,
    });
    const big = "x".repeat(300_000);
    expect(await exec(id, ["cat"], big)).toMatchObject({ stdout: big, code: 0 });
    await node.runtime.stopContainer(id, 0);
  });

  it("execs in a terminal that follows the window's size", async () => {
    const { id } = await start("exec sleep 1000");
    const session = await node.runtime.exec(id, { command: ["sh"], tty: true, stdin: true });
    expect(session.stderr).toBeUndefined();
    const shown = text(session.stdout);
    await session.resize(123, 45);
    session.stdin?.write("stty size; echo term=$TERM; exit 9\n");
    expect(await session.exitCode).toBe(9);
    expect(await shown).toMatch(/45 123[\s\S]*term=xterm/);
    await node.runtime.stopContainer(id, 0);
  });

  it("answers a missing exec command with 127 and runc's words", async () => {
    const { id } = await start("exec sleep 1000");
    await expect(exec(id, ["no-such-program"])).rejects.toMatchObject({
      code: "EXEC_FAILED",
      message: expect.stringMatching(
        /exec: "no-such-program": executable file not found in \$PATH/,
      ),
      details: { exitCode: 127 },
    });
    await node.runtime.stopContainer(id, 0);
  });

  it("ends an exec whose client has gone", async () => {
    const { id } = await start("exec sleep 1000");
    const session = await node.runtime.exec(id, {
      command: ["sleep", "500"],
      tty: false,
      stdin: false,
    });
    await session.close();
    expect(await session.exitCode).toBe(137);
    await node.runtime.stopContainer(id, 0);
  });

  it("fails a missing command at once as StartError 128", async () => {
    const spec = containerSpec(node, "", { name: "missing", command: ["/no/such"] });
    const { id } = await node.runtime.createContainer(pod.id, spec);
    await expect(node.runtime.startContainer(id)).rejects.toThrow(twin.missingCommand);
    expect(await node.runtime.containerStatus(id)).toMatchObject({
      state: "exited",
      exitCode: 128,
      reason: "StartError",
    });
    await node.runtime.removeContainer(id);
    expect(await node.runtime.containerStatus(id)).toBeUndefined();
  });

  it("stops by SIGTERM within the grace period, else by SIGKILL", async () => {
    const polite = await start("trap 'exit 3' TERM; echo up; while :; do sleep 0.05; done");
    const stubborn = await start("trap '' TERM; echo up; while :; do sleep 0.05; done");
    await Promise.all([polite, stubborn].map((status) => logged(status, "up")));
    await node.runtime.stopContainer(polite.id, 10_000);
    await node.runtime.stopContainer(stubborn.id, 200);
    expect(await node.runtime.containerStatus(polite.id)).toMatchObject({ exitCode: 3 });
    expect(await node.runtime.containerStatus(stubborn.id)).toMatchObject({ exitCode: 137 });
    await node.runtime.stopContainer(stubborn.id, 200);
  });

  it("attaches: output to client and log, stdinOnce ends the input", async () => {
    const { id, logPath } = await start("cat; echo done", { stdin: true, stdinOnce: true });
    const session = await node.runtime.attach(id, { stdin: true });
    const seen = text(session.stdout);
    session.stdin?.end("hello\n");
    expect(await seen).toBe("hello\ndone\n");
    await session.done;
    expect(await ended(id)).toMatchObject({ exitCode: 0 });
    expect(readFileSync(logPath, "utf8")).toMatch(/stdout F hello\n.*stdout F done/);
  });

  it("tells an OOM kill from other deaths", async () => {
    const events: string[] = [];
    const off = node.runtime.onEvent((event) => events.push(event.type));
    const status = await run("dd if=/dev/zero of=/dev/null bs=200M count=1", {
      command: ["/bin/dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1"],
      resources: { memoryBytes: 32 * 1024 * 1024 },
    });
    off();
    expect(status).toMatchObject({ exitCode: 137, reason: "OOMKilled" });
  });

  it("forwards ports to servers in the pod and names a refused one", async () => {
    const { id } = await start("", {
      command: ["socat", "TCP-LISTEN:8080,fork,reuseaddr,bind=127.0.0.1", "EXEC:cat"],
    });
    await untilListening(id, ":1F90 ");
    const stream = await node.runtime.portForward(pod.id, 8080);
    stream.write("ping");
    const answer = await new Promise<Buffer>((resolve) => stream.once("data", resolve));
    expect(answer.toString()).toBe("ping");
    stream.destroy();
    await expect(node.runtime.portForward(pod.id, 8081)).rejects.toThrow(/connection refused/);
    await node.runtime.stopContainer(id, 0);
  });

  it("lets pods reach each other and the node's address", async () => {
    const other = await node.runtime.runSandbox("runc", sandboxSpec({ podUid: "other-uid" }));
    const server = await start("", { command: ["socat", "TCP-LISTEN:9000,fork", "EXEC:cat"] });
    await untilListening(server.id, ":2328 ");
    const client = await start("exec sleep 1000", {}, other);
    const reply = await exec(client.id, ["sh", "-c", `echo hi | socat - TCP4:${pod.ip}:9000`]);
    expect(reply.stdout).toBe("hi\n");
    const gateway = await exec(client.id, [
      "sh",
      "-c",
      "set -- $(ip route show default); socat - TCP4:$3:1; true",
    ]);
    expect(gateway.stderr).toMatch(/Connection refused/);
    await node.runtime.removeSandbox(other.id);
    await node.runtime.stopContainer(server.id, 0);
    expect(await node.runtime.sandboxStatus(other.id)).toBeUndefined();
  });

  it("measures what running containers use", async () => {
    const { id } = await start("while :; do :; done");
    const usage = await usageAbove(id, 10_000_000);
    expect(usage?.memoryWorkingSetBytes).toBeGreaterThan(10_000);
    await node.runtime.stopContainer(id, 0);
  });

  it("knows no other handler, in containerd's words", async () => {
    await expect(node.runtime.runSandbox("gvisor", sandboxSpec())).rejects.toThrow(
      'failed to get sandbox runtime: no runtime for "gvisor" is configured',
    );
  });

  it("says what serves trusted pods", async () => {
    const handlers = await node.runtime.handlers();
    expect(handlers.find(({ name }) => name === "runc")).toMatchObject({
      usable: true,
      engine: expect.stringMatching(twin.engine),
    });
  });

  it("clears a sandbox away whose start failed", async () => {
    const before = (await node.runtime.listSandboxes()).length;
    const bad = sandboxSpec({ podUid: "bad", sysctls: { "no.such.sysctl": "1" } });
    await expect(node.runtime.runSandbox("runc", bad)).rejects.toThrow(twin.badSysctl);
    expect((await node.runtime.listSandboxes()).length).toBe(before);
  });

  it("stops and removes as often as it is asked", async () => {
    const short = await node.runtime.runSandbox("runc", sandboxSpec({ podUid: "short" }));
    await node.runtime.stopSandbox(short.id);
    await node.runtime.stopSandbox(short.id);
    expect(await node.runtime.sandboxStatus(short.id)).toMatchObject({ state: "notready" });
    await node.runtime.removeSandbox(short.id);
    await node.runtime.removeSandbox(short.id);
  });

  async function logged(status: ContainerStatus, words: string): Promise<void> {
    while (!existsSync(status.logPath) || !logOf(status).includes(words)) await tick();
  }

  async function untilListening(id: string, hexPort: string): Promise<void> {
    while (!(await exec(id, ["cat", "/proc/net/tcp"])).stdout.includes(hexPort)) await tick();
  }

  async function usageAbove(id: string, cpuNs: number) {
    for (;;) {
      const usage = (await node.runtime.usage(pod.id)).find((entry) => entry.containerId === id);
      if ((usage?.cpuUsageNs ?? 0) > cpuNs) return usage;
      await tick();
    }
  }
});

const tick = () => new Promise((resolve) => setTimeout(resolve, 20));
