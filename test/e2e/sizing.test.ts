// Inside the sandbox, nproc and MemTotal agree with the rule of the pod's RuntimeClass.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  applyReady,
  deletePods,
  gaClass,
  idle,
  pageImage,
  pod,
  previewClass,
} from "../support/pods.ts";
import { type Simulator, startSimulator } from "../support/start-simulator.ts";

// What the kernel keeps for itself before it counts MemTotal: page tables, its own image, the
// initramfs. It grows with the VM; measured 60–110 MiB for 0.5–3 GiB.
const kernelShareMib = 160;

const limits = (cpu?: string, memory?: string) => ({
  resources: { limits: { ...(cpu && { cpu }), ...(memory && { memory }) } },
});

const cases = [
  { name: "none", runtimeClassName: previewClass, containers: [{}], vcpus: 1, memoryMib: 2048 },
  {
    name: "half",
    runtimeClassName: previewClass,
    containers: [limits("500m", "256Mi")],
    vcpus: 2,
    memoryMib: 2304,
  },
  {
    name: "two",
    runtimeClassName: previewClass,
    containers: [limits("500m", "128Mi"), limits("500m", "256Mi")],
    vcpus: 2,
    memoryMib: 2432,
  },
  {
    name: "cpu-only",
    runtimeClassName: previewClass,
    containers: [limits("2")],
    vcpus: 3,
    memoryMib: 2048,
  },
  {
    name: "memory-only",
    runtimeClassName: previewClass,
    containers: [limits(undefined, "512Mi")],
    vcpus: 1,
    memoryMib: 2560,
  },
  {
    name: "large-init",
    runtimeClassName: previewClass,
    containers: [limits("500m", "128Mi")],
    spec: {
      initContainers: [
        { name: "init", image: pageImage, command: ["true"], ...limits("2", "512Mi") },
      ],
    },
    vcpus: 3,
    memoryMib: 2560,
  },
  { name: "ga-none", runtimeClassName: gaClass, containers: [{}], vcpus: 1, memoryMib: 512 },
  {
    name: "ga-half",
    runtimeClassName: gaClass,
    containers: [limits("1500m", "768Mi")],
    vcpus: 2,
    memoryMib: 768,
  },
];

describe("sandbox size", () => {
  let simulator: Simulator;
  beforeAll(async () => {
    simulator = await startSimulator();
  });
  afterAll(async () => {
    await simulator?.[Symbol.asyncDispose]();
  });

  it.each(cases)("$name: $vcpus vCPUs and $memoryMib MiB under $runtimeClassName", async (c) => {
    const { kubectl } = simulator;
    const manifest = pod(c.name, {
      runtimeClassName: c.runtimeClassName,
      containers: c.containers,
      ...(c.spec && { spec: c.spec }),
    });
    await applyReady(kubectl, manifest);
    const script = "cat /sys/devices/system/cpu/online; grep MemTotal /proc/meminfo";
    const seen = await kubectl.ok(["exec", c.name, "-c", c.name, "--", "sh", "-c", script]);
    const [online = "", memory = ""] = seen.trim().split("\n");
    expect(online).toBe(c.vcpus === 1 ? "0" : `0-${c.vcpus - 1}`);
    const totalMib = Number(memory.replace(/\D/g, "")) / 1024;
    expect(totalMib).toBeLessThanOrEqual(c.memoryMib);
    expect(totalMib).toBeGreaterThan(c.memoryMib - kernelShareMib);
    const planned = JSON.parse(
      await simulator.katasimOk(["size", "-", "-o", "json"], { stdin: JSON.stringify(manifest) }),
    );
    expect(planned).toMatchObject({ vcpus: c.vcpus, memoryMib: c.memoryMib });
    await deletePods(kubectl, c.name);
  });

  it("gives each container its own limits as a cgroup inside the guest", async () => {
    const { kubectl } = simulator;
    await applyReady(
      kubectl,
      pod("limited", { runtimeClassName: previewClass, containers: [limits("500m", "256Mi"), {}] }),
    );
    const read = (container: string, file: string) =>
      kubectl.ok(["exec", "limited", "-c", container, "--", "cat", `/sys/fs/cgroup/${file}`]);
    expect((await read("limited", "cpu.max")).trim()).toBe("50000 100000");
    expect((await read("limited", "memory.max")).trim()).toBe(String(256 * 1024 * 1024));
    expect((await read("limited-1", "memory.max")).trim()).toBe("max");
    await deletePods(kubectl, "limited");
  });

  it("stops a container that exceeds its memory limit and says OOMKilled", async () => {
    const { kubectl } = simulator;
    await kubectl.apply(
      pod("hog", {
        runtimeClassName: previewClass,
        containers: [
          {
            command: ["/bin/sh", "-c", "head -c 400m /dev/zero | tail -n 1 > /dev/null"],
            ...limits(undefined, "128Mi"),
          },
          { command: idle },
        ],
        spec: { restartPolicy: "Never" },
      }),
    );
    const reason = `jsonpath={.status.containerStatuses[?(@.name=="hog")].state.terminated.reason}`;
    await kubectl.ok(["wait", `--for=${reason}=OOMKilled`, "pod/hog", "--timeout=90s"]);
    await deletePods(kubectl, "hog");
  });

  it("warns that requests do not size a sandbox", async () => {
    const manifest = pod("requests", {
      runtimeClassName: previewClass,
      containers: [{ resources: { requests: { cpu: "250m", memory: "64Mi" } } }],
    });
    const applied = await simulator.kubectl(["apply", "--dry-run=server", "-f", "-"], {
      stdin: JSON.stringify(manifest),
    });
    expect(applied.exitCode).toBe(0);
    expect(applied.stderr).toMatch(/Warning: .*requests/);
  });

  it("refuses limits below the guest's minimum in Kata's words", async () => {
    const { kubectl } = simulator;
    await kubectl.apply(
      pod("tiny", { runtimeClassName: gaClass, containers: [limits(undefined, "64Mi")] }),
    );
    const words = "pod memory limit too low: minimum 128MiB, got 64MiB";
    await expect
      .poll(() => kubectl.ok(["get", "events", "-o", "jsonpath={.items[*].message}"]), {
        timeout: 30_000,
        interval: 500,
      })
      .toContain(words);
    await deletePods(kubectl, "tiny");
  });
});
