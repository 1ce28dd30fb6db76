import { describe, expect, it } from "vitest";
import {
  type AssessRung,
  chooseRung,
  type LadderOptions,
  ladder,
  type Requirement,
  requirements,
  rungName,
} from "./ladder.ts";

/** A machine on which just these rungs work; keeps what was asked. */
function machine(...usable: readonly string[]): { assess: AssessRung; asked: string[] } {
  const asked: string[] = [];
  return {
    asked,
    assess: async (rung) => {
      const name = rungName(rung);
      asked.push(name);
      return usable.includes(name)
        ? { ...rung, usable: true, explanation: `${name} ran it in 0.2 ms` }
        : { ...rung, usable: false, explanation: `${name} is not here`, remedy: `buy ${name}` };
    },
  };
}
const choose = (assess: AssessRung, options: Partial<LadderOptions> = {}) =>
  chooseRung({ hypervisor: "auto", accel: "auto", require: "any", ...options }, assess);

describe("chooseRung", () => {
  it.each(ladder.map(rungName))("takes %s where it is the best that works", async (name) => {
    const { assess } = machine(name, "qemu/tcg");
    expect(rungName(await choose(assess))).toBe(name);
  });

  it("says why software it is", async () => {
    const { explanation } = await choose(machine("qemu/tcg").assess);
    expect(explanation).toBe("software emulation, because qemu/kvm is not here");
  });

  it("asks no rung below the one it takes", async () => {
    const { assess, asked } = machine("cloud-hypervisor/kvm", "qemu/kvm", "qemu/tcg");
    await choose(assess);
    expect(asked).toEqual(["cloud-hypervisor/mshv", "cloud-hypervisor/kvm"]);
  });

  it.each<[Partial<LadderOptions>, string]>([
    [{ accel: "tcg" }, "qemu/tcg"],
    [{ hypervisor: "qemu" }, "qemu/kvm"],
    [{ hypervisor: "qemu", accel: "tcg" }, "qemu/tcg"],
  ])("takes what %o forces", async (options, name) => {
    const { assess } = machine("cloud-hypervisor/mshv", "qemu/kvm", "qemu/tcg");
    expect(rungName(await choose(assess, options))).toBe(name);
  });

  it.each<[Partial<LadderOptions>, string]>([
    [{ accel: "kvm" }, "qemu/kvm: qemu/kvm is not here"],
    [{ hypervisor: "cloud-hypervisor" }, "cloud-hypervisor/mshv is not here"],
    [{ hypervisor: "qemu", accel: "mshv" }, "qemu cannot use mshv"],
  ])("never falls back from what %o forces", async (options, words) => {
    await expect(choose(machine("qemu/tcg").assess, options)).rejects.toThrow(words);
  });

  it("refuses a rung weaker than the required one, and says what there is", async () => {
    await expect(choose(machine("qemu/tcg").assess, { require: "hardware" })).rejects.toThrow(
      "hardware is required, and the best rung of this machine is qemu/tcg: software emulation, because qemu/kvm is not here",
    );
  });

  it.each<[string, readonly Requirement[]]>([
    ["qemu/tcg", ["any", "tcg", "qemu", "qemu/tcg"]],
    ["qemu/kvm", ["any", "hardware", "kvm", "qemu", "qemu/kvm"]],
    ["cloud-hypervisor/mshv", ["any", "hardware", "mshv", "cloud-hypervisor"]],
  ])("takes %s for what it is", async (name, met) => {
    const { assess } = machine(name);
    const accepted: Requirement[] = [];
    for (const require of requirements) {
      await choose(assess, { require }).then(
        () => accepted.push(require),
        () => {},
      );
    }
    expect(accepted).toEqual(expect.arrayContaining([...met]));
    const others = accepted.filter((requirement) => !met.includes(requirement));
    expect(others).toEqual(name === "cloud-hypervisor/mshv" ? [name] : []);
  });
});
