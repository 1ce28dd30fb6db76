// Trusted pods in a genuine Docker Engine, beside a sandboxed one: genuine kubectl sees no difference.
import { readFileSync, writeFileSync } from "node:fs";
import { release } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Dockerd, dockerdObstacle, startDockerd } from "../support/dockerd.ts";
import { applyReady, deletePods, idle, pod, previewClass, waitReady } from "../support/pods.ts";
import { throughPortForward } from "../support/port-forward.ts";
import { type Simulator, startSimulator } from "../support/start-simulator.ts";
import { waitUntil } from "../support/wait-until.ts";

const why = dockerdObstacle();
const hostBootId = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
const serving = `while :; do echo served | busybox nc -l -p 8080 -w 5; done & ${idle[2]}`;
const counting =
  "trap 'exit 0' TERM; i=0; while :; do i=$((i+1)); echo line $i; sleep 0.2 & wait $!; done";

interface PodJson {
  readonly status: {
    readonly podIP: string;
    readonly containerStatuses: ReadonlyArray<{
      readonly containerID: string;
      readonly restartCount: number;
    }>;
  };
}

interface EngineContainer {
  readonly Id: string;
  readonly State: string;
  readonly Labels: Readonly<Record<string, string>>;
}

describe("trusted pods in Docker Engine", () => {
  if (why !== undefined) {
    it.skip(`run beside sandboxed ones (skipped: ${why})`);
    return;
  }
  let dockerd: Dockerd;
  let simulator: Simulator;
  let machineName: string;
  const exec = async (name: string, ...command: readonly string[]) =>
    (await simulator.kubectl.ok(["exec", name, "--", ...command])).trim();
  const statusOf = async (name: string) =>
    (await simulator.kubectl.json<PodJson>(["get", "pod", name])).status;
  const logLines = async (name: string) =>
    (await simulator.kubectl.ok(["logs", name])).trimEnd().split("\n");
  /** What the engine itself says of the pod's containers. */
  const inEngine = async (name: string) =>
    ((await dockerd.get("/containers/json?all=true")) as readonly EngineContainer[]).filter(
      ({ Labels }) => Labels["io.kubernetes.pod.name"] === name,
    );

  beforeAll(async () => {
    dockerd = await startDockerd();
    simulator = await startSimulator({
      up: ["--trusted-runtime", "docker"],
      env: { DOCKER_HOST: `unix://${dockerd.socket}` },
    });
    await applyReady(
      simulator.kubectl,
      pod("trusted", { containers: [{ command: ["/bin/sh", "-c", serving] }] }),
      pod("counting", { containers: [{ command: ["/bin/sh", "-c", counting] }] }),
      pod("untrusted", { runtimeClassName: previewClass }),
    );
    const [first] = await inEngine("trusted");
    machineName = first?.Labels["io.katasim.instance"] ?? "";
  });
  afterAll(async () => {
    try {
      await simulator?.[Symbol.asyncDispose]();
      expect(await dockerd.leftOf(machineName)).toEqual([]);
    } finally {
      await dockerd?.dispose();
    }
  });

  it("share this machine's kernel, and the sandboxed pod does not", async () => {
    const bootId = ["cat", "/proc/sys/kernel/random/boot_id"];
    expect(await exec("trusted", "uname", "-r")).toBe(release());
    expect(await exec("trusted", ...bootId)).toBe(hostBootId);
    expect(await exec("untrusted", "uname", "-r")).not.toBe(release());
    expect(await exec("untrusted", ...bootId)).not.toBe(hostBootId);
    expect((await inEngine("trusted")).map(({ State }) => State)).toEqual(["running", "running"]);
    expect(await inEngine("untrusted")).toEqual([]);
  });

  it("are named as the engine's by `katasim runtime list`", async () => {
    const list = JSON.parse(await simulator.katasimOk(["runtime", "list", "-o", "json"]));
    const trusted = list.items.find(({ name }: { name: string }) => name === "runc");
    const version = dockerd.version.replace(/\+.*$/, "");
    const engine = `Docker Engine ${version} (unix://${dockerd.socket})`;
    expect(trusted).toMatchObject({ engine, usable: true, sandboxed: false });
  });

  it("show the address that they have", async () => {
    const { podIP } = await statusOf("trusted");
    const wide = await simulator.kubectl.ok(["get", "pods", "-o", "wide"]);
    expect(wide).toMatch(new RegExp(`^trusted .* ${podIP.replaceAll(".", "\\.")} `, "m"));
    expect(await exec("trusted", "ip", "-o", "-4", "addr", "show", "eth0")).toContain(` ${podIP}/`);
  });

  it("answer exec with exit code, both outputs and input", async () => {
    const { kubectl } = simulator;
    const script = "cat; echo err >&2; exit 7";
    const outcome = await kubectl(["exec", "-i", "trusted", "--", "sh", "-c", script], {
      stdin: "in\n",
    });
    expect(outcome).toMatchObject({ exitCode: 7, stdout: "in\n" });
    expect(outcome.stderr).toContain("err\n");
  });

  it("take and give files", async () => {
    const { kubectl, home } = simulator;
    const [source, back] = [join(home, "there.txt"), join(home, "back.txt")];
    writeFileSync(source, "copied\n".repeat(1000));
    await kubectl.ok(["cp", source, "trusted:/tmp/file"]);
    await kubectl.ok(["cp", "trusted:/tmp/file", back]);
    expect(readFileSync(back, "utf8")).toBe(readFileSync(source, "utf8"));
  });

  it("are reached through port-forward", async () => {
    expect(await throughPortForward(simulator, { pod: "trusted" })).toBe("served\n");
  });

  it("outlive kill -9 of katasim, and not a line of their log is lost or doubled", async () => {
    const before = await statusOf("counting");
    const pidFile = join(simulator.home, "run", simulator.instance, "katasim.pid");
    process.kill(Number.parseInt(readFileSync(pidFile, "utf8"), 10), "SIGKILL");
    const again = await simulator.up();
    expect(again.exitCode, again.stderr).toBe(0);
    await waitReady(simulator.kubectl, "counting");
    const after = await statusOf("counting");
    expect(after.podIP).toBe(before.podIP);
    expect(after.containerStatuses[0]).toMatchObject({
      containerID: before.containerStatuses[0]?.containerID,
      restartCount: 0,
    });
    const count = (await logLines("counting")).length;
    const lines = await waitUntil(
      async () => {
        const more = await logLines("counting");
        return more.length > count + 3 && more;
      },
      { what: "the pod to go on logging" },
    );
    expect(lines).toEqual(lines.map((_, index) => `line ${index + 1}`));
  });

  it("are gone from the engine when they are deleted", async () => {
    await deletePods(simulator.kubectl, "trusted");
    await waitUntil(async () => (await inEngine("trusted")).length === 0, {
      what: "the engine to have nothing of the pod",
      describe: async () => JSON.stringify(await inEngine("trusted")),
    });
    expect(await inEngine("counting")).toHaveLength(2);
  });

  it("leave nothing in the engine after down --delete", async () => {
    expect(await dockerd.leftOf(machineName)).not.toEqual([]);
    await simulator.katasimOk(["down", "--delete", "--grace", "1s"]);
    expect(await dockerd.leftOf(machineName)).toEqual([]);
  });
});
