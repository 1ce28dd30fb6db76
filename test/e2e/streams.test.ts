// exec, cp, port-forward, logs and attach with genuine kubectl, into a sandbox and into a trusted pod.
import { type ChildProcess, spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { kubectlBinary } from "../support/kubectl.ts";
import { applyReady, idle, pod, previewClass, waitFor } from "../support/pods.ts";
import { throughPortForward } from "../support/port-forward.ts";
import { type Simulator, startSimulator } from "../support/start-simulator.ts";
import { openTerminal } from "../support/terminal.ts";
import { waitUntil } from "../support/wait-until.ts";

const megabyte = 1024 * 1024;

describe.each([
  { kind: "sandboxed", options: { runtimeClassName: previewClass } },
  { kind: "trusted", options: {} },
])("streams of a $kind pod", ({ kind, options }) => {
  let simulator: Simulator;
  const started: ChildProcess[] = [];
  beforeAll(async () => {
    simulator = await startSimulator();
    await applyReady(
      simulator.kubectl,
      pod("box", {
        ...options,
        containers: [{ command: ["/bin/sh", "-c", `echo started; ${idle[2]}`] }],
      }),
    );
  });
  afterAll(async () => {
    for (const child of started) child.kill("SIGKILL");
    await simulator?.[Symbol.asyncDispose]();
  });
  const background = (args: readonly string[]) => {
    const child = spawn(kubectlBinary(), [`--kubeconfig=${simulator.kubeconfig}`, ...args], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    started.push(child);
    let output = "";
    child.stdout.on("data", (chunk: Buffer) => {
      output += chunk.toString("utf8");
    });
    child.stderr.on("data", (chunk: Buffer) => {
      output += chunk.toString("utf8");
    });
    return { child, output: () => output };
  };

  it("passes exit codes, both output streams and standard input", async () => {
    const { kubectl } = simulator;
    const failed = await kubectl([
      "exec",
      "box",
      "--",
      "sh",
      "-c",
      "echo out; echo err >&2; exit 7",
    ]);
    expect(failed.exitCode).toBe(7);
    expect(failed.stdout).toBe("out\n");
    expect(failed.stderr).toContain("err\n");
    expect(failed.stderr).toContain("command terminated with exit code 7");
    const echoed = await kubectl(["exec", "-i", "box", "--", "sha256sum"], { stdin: "hello" });
    expect(echoed.stdout).toContain(createHash("sha256").update("hello").digest("hex"));
    const missing = await kubectl(["exec", "box", "--", "no-such-program"]);
    expect(missing.exitCode).not.toBe(0);
    expect(missing.stderr).toMatch(/no-such-program.*not found|no such file/);
  });

  it("gives a working terminal: resize, Ctrl-C, exit code", async () => {
    const command = `${kubectlBinary()} --kubeconfig=${simulator.kubeconfig} exec -it box -- /bin/bash --norc`;
    const terminal = openTerminal(command, simulator.home);
    terminal.type("PS1='ready> '\n");
    // Not the echo of what was typed, which has a quote before it.
    await terminal.shows(/[^']ready> /);
    terminal.type("stty size\n");
    await terminal.shows(/24 80\r?\n/);
    await terminal.resize(120, 40);
    await waitUntil(
      async () => {
        terminal.type("stty size\n");
        await terminal.shows(/\d+ \d+\r?\n/);
        return terminal.screen().includes("40 120");
      },
      { what: "the new size inside the container", describe: () => terminal.screen() },
    );
    terminal.type("sleep 1000\n");
    await terminal.shows(/sleep 1000\r?\n/);
    terminal.type("\x03");
    terminal.type("echo status=$?\n");
    await terminal.shows(/status=130/);
    terminal.type("exit 42\n");
    expect(await terminal.exitCode).toBe(42);
  });

  it("copies files both ways", async () => {
    const { kubectl, home } = simulator;
    const source = join(home, "source.bin");
    const back = join(home, "back.bin");
    writeFileSync(source, randomBytes(20 * megabyte));
    await kubectl.ok(["cp", source, "box:/tmp/copied.bin"]);
    await kubectl.ok(["cp", "box:/tmp/copied.bin", back]);
    expect(readFileSync(back).equals(readFileSync(source))).toBe(true);
  });

  it.each(["true", "false"])("streams over WebSocket=%s without loss", async (websockets) => {
    const { kubectl } = simulator;
    const env = { ...process.env, KUBECTL_REMOTE_COMMAND_WEBSOCKETS: websockets };
    const input = randomBytes(3 * megabyte);
    const outcome = await kubectl(["exec", "-i", "box", "--", "sh", "-c", "cat | sha256sum"], {
      stdin: input,
      env,
    });
    expect(outcome.stdout).toContain(createHash("sha256").update(input).digest("hex"));
  });

  it.each(["true", "false"])("forwards a port to a server in the pod, WebSocket=%s", async (ws) => {
    const { kubectl } = simulator;
    // A server made of what the built-in image has: one answer per connection.
    await kubectl.ok([
      "exec",
      "box",
      "--",
      "sh",
      "-c",
      "(while :; do echo served | nc -l -N 127.0.0.1 8080 || sleep 0.2; done) >/dev/null 2>&1 &",
    ]);
    const env = { KUBECTL_PORT_FORWARD_WEBSOCKETS: ws };
    expect(await throughPortForward(simulator, { pod: "box", env })).toBe("served\n");
  });

  it("follows logs and shows those of an ended container", async () => {
    const { kubectl } = simulator;
    await kubectl.apply(
      pod("counter", {
        ...options,
        containers: [
          { command: ["sh", "-c", "for i in 1 2 3 4 5; do echo line $i; sleep 0.3; done"] },
        ],
        spec: { restartPolicy: "Never" },
      }),
    );
    await waitFor(kubectl, "counter", "jsonpath={.status.containerStatuses[0].started}=true").catch(
      // It may have ended before kubectl looked.
      () => undefined,
    );
    const followed = await kubectl(["logs", "-f", "counter"], { timeoutMs: 60_000 });
    expect(followed.stdout).toBe([1, 2, 3, 4, 5].map((i) => `line ${i}\n`).join(""));
    expect(await kubectl.ok(["logs", "counter", "--tail=2"])).toBe("line 4\nline 5\n");
    expect(await kubectl.ok(["logs", "counter", "--timestamps", "--tail=1"])).toMatch(
      /^\d{4}-\d\d-\d\dT[\d:.]+Z line 5\n$/,
    );
  });

  it("attaches to a running container", async () => {
    const { kubectl } = simulator;
    await applyReady(
      kubectl,
      pod("ticker", {
        ...options,
        containers: [{ command: ["sh", "-c", "while :; do echo tick; sleep 0.5; done"] }],
      }),
    );
    const attached = background(["attach", "ticker"]);
    await waitUntil(() => attached.output().includes("tick\n"), { what: "output by attach" });
    attached.child.kill("SIGINT");
  });

  it(`runs a one-off ${kind} pod with kubectl run --rm -i`, async () => {
    const { kubectl } = simulator;
    const overrides = JSON.stringify({ apiVersion: "v1", spec: options });
    const outcome = await kubectl(
      [
        "run",
        "once",
        "--rm",
        "-i",
        "--restart=Never",
        "--image=mcr.microsoft.com/aks/fundamental/base-ubuntu:v0.0.11",
        `--overrides=${overrides}`,
        "--",
        "sh",
        "-c",
        "cat; exit 0",
      ],
      { stdin: "through stdin\n", timeoutMs: 90_000 },
    );
    expect(outcome.stdout).toContain("through stdin\n");
    expect(outcome.exitCode).toBe(0);
  });
});
