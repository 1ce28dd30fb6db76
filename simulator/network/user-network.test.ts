import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { PodNetwork } from "./pod-network.ts";
import { createUserNetwork } from "./user-network.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "rt-user-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const network = (podCidr: string, egress: "none" | "open" = "none"): PodNetwork =>
  createUserNetwork({
    ...{ name: "user-network-test", folder: join(folder, "book"), podCidr, egress },
    ...{ rangeFile: join(folder, "pod-cidr"), nodeIp: "10.224.0.4" },
  });
const pod = (sandboxId: string) => ({
  ...{ sandboxId, podNamespace: "default", podName: sandboxId, podUid: sandboxId },
  playsNetwork: true,
});

describe("the user-mode network", () => {
  it("gives each VM an address of its own and no namespace", async () => {
    const attached = await network("10.9.0.0/24").attach(pod("a"));
    expect(attached).toMatchObject({ ip: "10.9.0.2", guestAddress: "10.9.0.2/24" });
    expect(attached.netnsPath).toBeUndefined();
    expect((await network("10.9.0.0/24").attach(pod("b"))).ip).toBe("10.9.0.3");
  });

  it("leaves the last address to the guests' name server", async () => {
    const small = network("10.9.0.0/29");
    for (const id of ["2", "3", "4", "5"]) {
      expect((await small.attach(pod(id))).ip).toBe(`10.9.0.${id}`);
    }
    await expect(small.attach(pod("6"))).rejects.toThrow(/no IP addresses available/);
  });

  it("takes addresses back from sandboxes that are gone", async () => {
    const small = network("10.9.0.0/29");
    for (const id of ["2", "3", "4", "5"]) await small.attach(pod(id));
    await small.detach("3");
    expect((await small.attach(pod("6"))).ip).toBe("10.9.0.3");
    await small.sweep(new Set(["2"]));
    expect((await small.attach(pod("7"))).ip).toBe("10.9.0.4");
  });

  it("says what it cannot do, of the pod and of the node", async () => {
    expect((await network("10.9.0.0/24").attach(pod("a"))).limit).toMatch(
      /10\.9\.0\.2 is known inside this pod's VM alone.*out nowhere$/,
    );
    expect((await network("10.9.0.0/24", "open").attach(pod("b"))).limit).toMatch(
      /loopback included$/,
    );
  });
});
