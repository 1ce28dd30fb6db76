import { describe, expect, it } from "vitest";
import { environmentName, resolveSettings } from "./settings.ts";

describe("resolveSettings", () => {
  it("has a default for everything", () => {
    expect(resolveSettings({}, {}, {})).toEqual({
      listen: "127.0.0.1",
      apiPort: 6443,
      kubeletPort: 0,
      nodeName: "aks-nodepool1-12345678-vmss000000",
      vmSize: "Standard_D4s_v3",
      hypervisor: "auto",
      accel: "auto",
      require: "any",
      trustedRuntime: "auto",
      podCidr: "auto",
      cniConf: "own",
      cniBinDir: "/opt/cni/bin:/usr/lib/cni",
      kata: "katasim",
      kataConfig: "",
      network: process.getuid?.() === 0 ? "cni" : "user",
      egress: "none",
      templates: "on",
      warmPool: "auto",
      parallelStarts: "auto",
      memoryReserve: "auto",
    });
  });

  it("takes flags before environment before what was remembered", () => {
    const env = { KATASIM_API_PORT: "2", KATASIM_NODE_NAME: "from-env", KATASIM_ACCEL: "" };
    const remembered = { apiPort: 3, nodeName: "old", accel: "tcg" };
    const settings = resolveSettings({ apiPort: "1" }, env, remembered);
    expect(settings).toMatchObject({ apiPort: 1, nodeName: "from-env", accel: "tcg" });
  });

  it.each([
    ["apiPort", "65536", "--api-port"],
    ["apiPort", "http", "--api-port"],
    ["nodeName", "Upper", "--node-name"],
    ["listen", "localhost", "--listen"],
    ["accel", "fast", "--accel"],
    ["trustedRuntime", "podman", "--trusted-runtime"],
    ["network", "token-ring", "--network"],
    ["podCidr", "10.244.0.0", "--pod-cidr"],
    ["egress", "some", "--egress"],
  ])("refuses %s %s and names the flag", (key, value, flag) => {
    expect(() => resolveSettings({ [key]: value }, {}, {})).toThrow(`${flag} cannot be "${value}"`);
  });
});

describe("environmentName", () => {
  it("is one-to-one with the setting's name", () => {
    expect(environmentName("apiPort")).toBe("KATASIM_API_PORT");
  });
});
