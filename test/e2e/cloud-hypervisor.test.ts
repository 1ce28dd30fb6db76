// The whole road of a pod with the Cloud Hypervisor driver at its end: its API is played in front of
// QEMU where the real one cannot run. The real one takes this road in .github/workflows/hypervisors.yml.
import { accessSync, constants, mkdtempSync, rmSync } from "node:fs";
import { release } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fakeObstacle, installFakeCloudHypervisor } from "../fakes/cloud-hypervisor/install.ts";
import { waitReady } from "../support/pods.ts";
import { type Simulator, startSimulator } from "../support/start-simulator.ts";

const manifests = join(import.meta.dirname, "..", "..", "scripts", "demo-pods");

function obstacle(): string | undefined {
  try {
    // The device must open; what is behind it is not used by the player.
    accessSync("/dev/kvm", constants.R_OK | constants.W_OK);
    return fakeObstacle;
  } catch {
    return "no /dev/kvm";
  }
}
const why = obstacle();
const title = `a pod on Cloud Hypervisor${why === undefined ? "" : ` (skipped: ${why})`}`;

describe.skipIf(why !== undefined)(title, () => {
  const folder = mkdtempSync("/tmp/kclh-");
  let simulator: Simulator;
  let refused: () => string;
  const inPod = async (command: string) =>
    (await simulator.kubectl.ok(["exec", "untrusted", "--", "/bin/sh", "-c", command])).trim();

  beforeAll(async () => {
    const fake = await installFakeCloudHypervisor(folder);
    refused = fake.refused;
    simulator = await startSimulator({
      env: { PATH: `${folder}:${process.env.PATH}` },
      up: ["--hypervisor", "cloud-hypervisor", "--require", "cloud-hypervisor/kvm"],
    });
    await simulator.kubectl.ok(["apply", "-f", join(manifests, "untrusted.yaml")]);
    await waitReady(simulator.kubectl, "untrusted");
  });
  afterAll(async () => {
    await simulator?.[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  it("has its own kernel, its disks and its network", async () => {
    expect(await inPod("uname -r")).not.toBe(release());
    expect(await inPod("echo kept >/note && cat /note")).toBe("kept");
    const ip = await simulator.kubectl.ok([
      "get",
      "pod",
      "untrusted",
      "-o",
      "jsonpath={.status.podIP}",
    ]);
    expect(await inPod("hostname -I 2>/dev/null || cat /proc/net/fib_trie")).toContain(ip);
  });

  it("says on which rung it stands, on the node, the pod and in JSON", async () => {
    const node = JSON.parse(await simulator.kubectl.ok(["get", "nodes", "-o", "json"])).items[0];
    expect(node.metadata.labels).toMatchObject({
      "katasim.dev/hypervisor": "cloud-hypervisor",
      "katasim.dev/accelerator": "kvm",
    });
    const pod = JSON.parse(await simulator.kubectl.ok(["get", "pod", "untrusted", "-o", "json"]));
    expect(pod.metadata.annotations).toMatchObject({
      "katasim.dev/hypervisor": "cloud-hypervisor",
      "katasim.dev/accelerator": "kvm",
    });
    const list = JSON.parse(await simulator.katasimOk(["sandbox", "list", "-o", "json"]));
    expect(list.items[0].vm).toMatchObject({ hypervisor: "cloud-hypervisor", accelerator: "kvm" });
  });

  it("asks its VMM for nothing outside the published description", () => {
    expect(refused()).toBe("");
  });
});
