/** `katasim containerd install` on a genuine containerd: what it writes is what containerd then runs. */
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readVmRecord } from "../../runtime-shim/service/bundle-files.ts";
import {
  baseImageName,
  type Containerd,
  containerdObstacle,
  startContainerd,
} from "../support/containerd.ts";
import { connectCri, endPod, runPod } from "../support/cri-client.ts";
import { type CommandOutcome, runProgram } from "../support/kubectl.ts";

const why = containerdObstacle({ cri: true });
if (why !== undefined) console.warn(`skipped: ${why}`);

const katasim = join(import.meta.dirname, "../../bin/katasim");

describe.skipIf(why !== undefined)("katasim containerd", () => {
  let containerd: Containerd;
  let before: string;
  let binDir: string;

  beforeAll(async () => {
    containerd = await startContainerd({ cri: true });
    await containerd.importBaseImage("k8s.io");
    await containerd.importBaseImage();
    before = readFileSync(containerd.configFile, "utf8");
    binDir = join(containerd.folder, "bin");
  });
  afterAll(async () => {
    await containerd?.stop();
    expect(containerd?.leaks()).toEqual([]);
    await containerd?.dispose();
  });

  const run = (verb: string, ...args: string[]): Promise<CommandOutcome> =>
    runProgram(katasim, ["containerd", verb, "--config", containerd.configFile, ...args]);
  const install = (...args: string[]) => run("install", "--bin-dir", binDir, ...args);
  const restart = async () => {
    await containerd.stop();
    await containerd.start();
  };

  it("shows what it would do, and does nothing", async () => {
    const { exitCode, stdout } = await install("--dry-run");
    expect(exitCode).toBe(0);
    expect(stdout).toContain(`==> ${containerd.configFile}\n${before}`);
    expect(stdout).toContain("kind: RuntimeClass");
    expect(readFileSync(containerd.configFile, "utf8")).toBe(before);
    expect(existsSync(binDir)).toBe(false);
  });

  it("refuses a handler that it does not have", async () => {
    const { exitCode, stderr } = await install("--handler", "gvisor");
    expect(exitCode).toBe(2);
    expect(stderr).toMatch(/no sandboxing handler "gvisor"\n {2}try: .*kata-vm-isolation/);
  });

  it("gives containerd handlers that its own configuration reader accepts", async () => {
    expect(await install("--accel", "tcg")).toMatchObject({ exitCode: 0, stdout: "" });
    expect((await install("--accel", "tcg")).exitCode).toBe(0);
    const dump = await runProgram("containerd", ["-c", containerd.configFile, "config", "dump"]);
    expect(dump.stdout).toContain(`runtime_type = "${binDir}/containerd-shim-katasim-v2"`);
    // What was there is still there.
    expect(dump.stdout).toContain('runtime_type = "io.containerd.runc.v2"');
    expect(dump.stdout).toContain('sandbox_image = "docker.io/library/katasim-pause:1"');
    const shown = await run("show", "-o", "json");
    expect(shown.exitCode).toBe(0);
    expect(JSON.parse(shown.stdout)).toMatchObject({
      kind: "ContainerdInstallation",
      criDisabled: false,
      problems: [],
      handlers: [
        { name: "kata-mshv-vm-isolation", options: { sizingProfile: "aks-preview", accel: "tcg" } },
        { name: "kata-vm-isolation", options: { sizingProfile: "aks-ga" } },
      ],
    });
  });

  it("makes kubelet's pods sandboxes of the handler's size", async () => {
    await restart();
    const client = connectCri(containerd.socket);
    try {
      const logFolder = join(containerd.folder, "logs");
      mkdirSync(logFolder);
      const resources = {
        memoryLimitInBytes: 300n << 20n,
        cpuQuota: 150_000n,
        cpuPeriod: 100_000n,
      };
      const pod = await runPod(client, {
        ...{ name: "ga", handler: "kata-vm-isolation", logFolder },
        more: { linux: { resources } },
      });
      expect(readVmRecord(containerd.bundleOf(pod.id, "k8s.io"))).toMatchObject({
        ...{ vcpus: 2, memoryMib: 300, accelerator: "tcg" },
      });
      await endPod(client, pod.id);
    } finally {
      client.close();
    }
  });

  it("gives ctr the runtime by the launcher's path", async () => {
    const shim = join(binDir, "containerd-shim-katasim-v2");
    const options = join(containerd.folder, "katasim/kata-vm-isolation.json");
    const run = ["run", "--rm", "--runtime", shim, "--runtime-config-path", options];
    const { stdout, stderr } = await containerd.ctr([...run, baseImageName, "vm", "uname", "-r"]);
    expect(stderr).toBe("");
    expect(stdout).toMatch(/cloud-amd64\n$/);
  });

  it("gives the configuration back byte by byte", async () => {
    expect((await run("uninstall")).exitCode).toBe(0);
    expect(readFileSync(containerd.configFile, "utf8")).toBe(before);
    expect(existsSync(join(binDir, "containerd-shim-katasim-v2"))).toBe(false);
    expect(existsSync(join(containerd.folder, "katasim"))).toBe(false);
    const again = await run("uninstall");
    expect(again).toMatchObject({ exitCode: 0, stderr: expect.stringContaining("nothing to do") });
    expect((await run("show")).stderr).toContain("has nothing of katasim");
    await restart();
  });
});
