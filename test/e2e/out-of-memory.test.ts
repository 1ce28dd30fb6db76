// Three things can be out of memory, and a pod's status tells which: a container, its VM, this machine.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  deletePods,
  gaClass,
  idle,
  pod,
  previewClass,
  waitFor,
  waitReady,
} from "../support/pods.ts";
import { type Simulator, startSimulator } from "../support/start-simulator.ts";

interface Terminated {
  readonly exitCode: number;
  readonly reason: string;
  readonly message: string;
}

const hog = ["tail", "/dev/zero"];

/** The memory files of a VMM's cgroup, of either version. */
function memoryFiles(path: string) {
  const unified = existsSync("/sys/fs/cgroup/cgroup.controllers");
  const folder = join("/sys/fs/cgroup", unified ? "" : "memory", path);
  return unified
    ? { usage: join(folder, "memory.current"), limit: join(folder, "memory.max") }
    : {
        usage: join(folder, "memory.usage_in_bytes"),
        limit: join(folder, "memory.limit_in_bytes"),
      };
}

describe("a pod out of memory", () => {
  let simulator: Simulator;
  beforeAll(async () => {
    simulator = await startSimulator();
  });
  afterAll(async () => {
    await simulator?.[Symbol.asyncDispose]();
  });

  const never = (name: string, container: object, runtimeClassName = gaClass) =>
    pod(name, {
      runtimeClassName,
      containers: [container],
      spec: { restartPolicy: "Never" },
    });
  const end = async (name: string): Promise<Terminated> => {
    await waitFor(simulator.kubectl, name, "jsonpath={.status.phase}=Failed");
    const path = "jsonpath={.status.containerStatuses[0].state.terminated}";
    return JSON.parse(await simulator.kubectl.ok(["get", "pod", name, "-o", path]));
  };

  it("over its container's own limit says so", async () => {
    const resources = { limits: { memory: "256Mi" } };
    // The preview's VM is larger than the limit.
    await simulator.kubectl.apply(
      never("container-oom", { command: hog, resources }, previewClass),
    );
    expect(await end("container-oom")).toMatchObject({
      exitCode: 137,
      reason: "OOMKilled",
      message: expect.stringContaining("the container was over its memory limit"),
    });
    await deletePods(simulator.kubectl, "container-oom");
  });

  it("in a VM too small for a container without a limit names the VM and its size", async () => {
    // The second one's limit is as large as its VM, whose kernel takes a share of it.
    const limited = { resources: { limits: { memory: "256Mi" } } };
    await simulator.kubectl.apply(never("guest-oom", { command: hog }));
    await simulator.kubectl.apply(never("tight-oom", { command: hog, ...limited }));
    for (const [name, mib] of [
      ["guest-oom", 512],
      ["tight-oom", 256],
    ] as const) {
      expect(await end(name)).toMatchObject({
        exitCode: 137,
        reason: "OOMKilled",
        message: expect.stringContaining(`VM ran out of memory (${mib} MiB): its kernel killed`),
      });
    }
    await deletePods(simulator.kubectl, "guest-oom", "tight-oom");
  });

  it("on a machine that grants its VM too little names the machine monitor", async () => {
    const { kubectl } = simulator;
    await kubectl.apply(never("vmm-oom", { command: idle }));
    await waitReady(kubectl, "vmm-oom");
    const { items } = JSON.parse(await simulator.katasimOk(["sandbox", "list", "-o", "json"]));
    const { vm } = items.find((one: { pod: string }) => one.pod === "vmm-oom");
    const { usage, limit } = memoryFiles(vm.cgroup.path);
    writeFileSync(limit, String(Number(readFileSync(usage, "utf8")) + (32 << 20)));
    await kubectl(["exec", "vmm-oom", "--", ...hog]);
    expect(await end("vmm-oom")).toMatchObject({
      exitCode: 137,
      reason: "Error",
      message: expect.stringMatching(
        /virtual machine monitor .*killed by SIGKILL, because it needed more than .* this machine allows/,
      ),
    });
    await deletePods(kubectl, "vmm-oom");
  });
});
