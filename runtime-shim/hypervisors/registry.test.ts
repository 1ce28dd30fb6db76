import { describe, expect, it } from "vitest";
import { silentLogger } from "../../common/log.ts";
import type { ProbeVerdict } from "./probe/verdict.ts";
import { chooseHypervisor } from "./registry.ts";

const verdict = (usable: boolean): ProbeVerdict => ({
  accelerator: "kvm",
  usable,
  explanation: usable ? "KVM ran it in 0.2 ms" : "/dev/kvm does not exist",
  loopMs: [],
  key: { hostBootId: "b", hostKernel: "k", vmmBuild: "q" },
});
const choose = (
  options: Partial<Parameters<typeof chooseHypervisor>[0]>,
  usable: boolean,
): ReturnType<typeof chooseHypervisor> =>
  chooseHypervisor(
    { hypervisor: "auto", accel: "auto", ...options },
    { log: silentLogger, probeCacheDir: "/none", probe: async () => verdict(usable) },
  );

describe("chooseHypervisor", () => {
  it("takes KVM where the probe proves it, else software, and says why", async () => {
    expect(await choose({}, true)).toMatchObject({
      accelerator: "kvm",
      explanation: "KVM ran it in 0.2 ms",
    });
    expect(await choose({}, false)).toMatchObject({
      accelerator: "tcg",
      explanation: "software emulation, because /dev/kvm does not exist",
    });
  });

  it("takes software where it is asked for, without a probe", async () => {
    expect((await choose({ accel: "tcg" }, true)).accelerator).toBe("tcg");
  });

  it("never falls back from what was forced", async () => {
    await expect(choose({ accel: "kvm" }, false)).rejects.toThrow(
      "KVM was asked for and is not usable",
    );
    await expect(choose({ hypervisor: "cloud-hypervisor" }, true)).rejects.toThrow(
      "not supported yet",
    );
    await expect(choose({ accel: "mshv" }, true)).rejects.toThrow("/dev/mshv");
  });
});
