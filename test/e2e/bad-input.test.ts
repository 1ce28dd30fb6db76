// Wrong input on purpose: each answer says what failed, and nothing that ran is lost.
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { applyReady, deletePods, pod, previewClass, waitFor } from "../support/pods.ts";
import { makeSimulator, type Simulator, startSimulator } from "../support/start-simulator.ts";
import { sharedCache } from "../support/temp-home.ts";

describe("bad manifests", () => {
  let simulator: Simulator;
  beforeAll(async () => {
    simulator = await startSimulator();
  });
  afterAll(async () => {
    await simulator?.[Symbol.asyncDispose]();
  });
  const refused = async (manifest: object | string) => {
    const outcome = await simulator.kubectl(["apply", "-f", "-"], {
      stdin: typeof manifest === "string" ? manifest : JSON.stringify(manifest),
    });
    expect(outcome.exitCode).toBe(1);
    return outcome.stderr;
  };
  const eventOf = (name: string, words: string) =>
    expect
      .poll(
        () =>
          simulator.kubectl.ok([
            "get",
            "events",
            `--field-selector=involvedObject.name=${name}`,
            "-o",
            "jsonpath={.items[*].message}",
          ]),
        { timeout: 60_000, interval: 500 },
      )
      .toContain(words);

  it("names the unknown field", async () => {
    const stderr = await refused(pod("p", { containers: [{ imagePullpolicy: "Always" }] }));
    // kubectl before 1.27 looks itself, and says where in other words.
    expect(stderr).toMatch(/unknown field "(spec\.containers\[0\]\.)?imagePullpolicy"/);
  });

  it("passes on what is wrong with the YAML", async () => {
    expect(await refused("apiVersion: v1\nkind: Pod\n  metadata: x\n")).toMatch(
      /error parsing|yaml/,
    );
  });

  it("asks for the image that is missing", async () => {
    const manifest = pod("noimage", { containers: [{ image: "" }] });
    expect(await refused(manifest)).toContain("spec.containers[0].image: Required value");
  });

  it("knows the RuntimeClass the page's author meant", async () => {
    const stderr = await refused(pod("typo", { runtimeClassName: "kata-mhsv-vm-isolation" }));
    expect(stderr).toContain(
      'pods "typo" is forbidden: pod rejected: RuntimeClass "kata-mhsv-vm-isolation" not found',
    );
    expect(stderr).toContain('did you mean "kata-mshv-vm-isolation"?');
  });

  it("refuses an overhead that clashes with the class", async () => {
    const manifest = pod("overhead", {
      runtimeClassName: "kata-vm-isolation",
      spec: { overhead: { memory: "1Mi" } },
    });
    expect(await refused(manifest)).toContain(
      "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead",
    );
  });

  it("says that no runtime is configured for a made-up handler", async () => {
    await simulator.kubectl.apply({
      apiVersion: "node.k8s.io/v1",
      kind: "RuntimeClass",
      metadata: { name: "custom" },
      handler: "made-up",
    });
    await simulator.kubectl.apply(pod("custom", { runtimeClassName: "custom" }));
    await eventOf(
      "custom",
      'failed to get sandbox runtime: no runtime for "made-up" is configured',
    );
    await deletePods(simulator.kubectl, "custom");
  });

  it.each(["hostNetwork", "hostPID"])("refuses %s in a sandbox with the reason", async (field) => {
    const manifest = pod("host", { runtimeClassName: previewClass, spec: { [field]: true } });
    expect(await refused(manifest)).toContain(field);
  });

  it("refuses a CSI volume in a sandbox with the reason", async () => {
    const manifest = pod("csi", {
      runtimeClassName: previewClass,
      spec: { volumes: [{ name: "disk", csi: { driver: "disk.csi.azure.com" } }] },
    });
    expect(await refused(manifest)).toContain("CSI");
  });

  it("reports an image that cannot be pulled and keeps trying", async () => {
    const image = "registry.invalid/nothing:v1";
    await simulator.kubectl.apply(pod("nopull", { containers: [{ image }] }));
    await waitFor(
      simulator.kubectl,
      "nopull",
      "jsonpath={.status.containerStatuses[0].state.waiting.reason}=ImagePullBackOff",
    );
    await eventOf("nopull", `Failed to pull image "${image}"`);
    await deletePods(simulator.kubectl, "nopull");
  });

  it("says plainly when the built-in image stands in for the page's", async () => {
    await applyReady(simulator.kubectl, pod("page"));
    await eventOf("page", "built-in");
    await deletePods(simulator.kubectl, "page");
  });
});

describe("bad machines", () => {
  it("refuses a port that is taken and says by whom", async () => {
    await using simulator = await makeSimulator();
    const blocker = createServer();
    await new Promise<void>((resolve) => blocker.listen(0, "127.0.0.1", resolve));
    const { port } = blocker.address() as { port: number };
    const outcome = await simulator.katasim(["up", "-d", "--api-port", String(port)]);
    expect(outcome.exitCode).toBe(3);
    expect(outcome.stderr).toContain(String(port));
    expect(outcome.stderr).toMatch(/try:/);
    await new Promise((resolve) => blocker.close(resolve));
  });

  it("answers a second up with the running instance", async () => {
    await using simulator = await startSimulator();
    const again = await simulator.up();
    expect(again.exitCode).toBe(0);
    expect(again.stderr).toContain("already running");
  });

  it("keeps a corrupted database and says what to do", async () => {
    await using simulator = await startSimulator();
    await simulator.katasimOk(["down"]);
    const database = join(simulator.home, "state", simulator.instance, "katasim.sqlite");
    renameSync(database, `${database}.kept`);
    writeFileSync(database, "this is no database, ".repeat(1000));
    const outcome = await simulator.up();
    expect(outcome.exitCode).toBe(1);
    expect(outcome.stderr).toContain(database);
    expect(outcome.stderr).toMatch(/try:/);
    expect(outcome.stderr).not.toMatch(/\n\s+at /);
    renameSync(`${database}.kept`, database);
    expect((await simulator.up()).exitCode).toBe(0);
  });

  it("names the missing hypervisor and the package that has it", async () => {
    await using simulator = await makeSimulator();
    // A PATH that has everything but QEMU.
    const folder = join(simulator.home, "bin");
    await simulator.katasim(["version"]);
    mkdirSync(folder, { recursive: true });
    for (const place of ["/usr/sbin", "/usr/bin", "/sbin", "/bin"]) {
      for (const name of readdirSync(place)) {
        if (name.startsWith("qemu-system")) continue;
        try {
          symlinkSync(join(place, name), join(folder, name));
        } catch {}
      }
    }
    const outcome = await simulator.katasim(["doctor"], {
      env: { ...process.env, PATH: folder, KATASIM_HOME: simulator.home },
    });
    expect(outcome.exitCode).toBe(3);
    expect(outcome.stdout).toContain("qemu-system-x86");
  });

  it("does not start below the rung that is required", async () => {
    await using simulator = await makeSimulator();
    const outcome = await simulator.up(["--accel", "tcg", "--require", "hardware"]);
    expect(outcome.exitCode).toBe(3);
    expect(outcome.stderr).toContain("hardware is required");
    expect(outcome.stderr).toContain("qemu/tcg");
    expect(outcome.stderr).toMatch(/try: .*runtime list/);
  });

  it("sends a start without guest files to the set-up, and leaves nothing", async () => {
    await using simulator = await makeSimulator({
      env: { KATASIM_CACHE: "/tmp/kc-never-set-up" },
    });
    const outcome = await simulator.up();
    expect(outcome.exitCode).toBe(3);
    expect(outcome.stderr).toContain("/tmp/kc-never-set-up/guest");
    expect(outcome.stderr).toContain("scripts/setup");
    expect(existsSync("/tmp/kc-never-set-up")).toBe(false);
  });

  it("explains an unreadable guest kernel where the pod's owner looks", async () => {
    using cache = brokenCache();
    await using simulator = await startSimulator({ env: { KATASIM_CACHE: cache.path } });
    await simulator.kubectl.apply(pod("nokernel", { runtimeClassName: previewClass }));
    await expect
      .poll(() => simulator.kubectl.ok(["get", "events", "-o", "jsonpath={.items[*].message}"]), {
        timeout: 60_000,
        interval: 500,
      })
      .toContain("vmlinux");
  });
});

/** The shared cache seen through links, its kernel cut short. */
function brokenCache(): Disposable & { readonly path: string } {
  const shared = sharedCache();
  const path = mkdtempSync("/tmp/kc-");
  symlinkSync(join(shared, "images"), join(path, "images"));
  mkdirSync(join(path, "guest"));
  for (const name of readdirSync(join(shared, "guest"))) {
    if (name !== "vmlinux") symlinkSync(join(shared, "guest", name), join(path, "guest", name));
  }
  writeFileSync(join(path, "guest", "vmlinux"), "no kernel");
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}
