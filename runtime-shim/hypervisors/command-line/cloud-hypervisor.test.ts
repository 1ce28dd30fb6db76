import { describe, expect, it } from "vitest";
import type { VmSpec } from "../hypervisor.ts";
import { cloudHypervisorConfig } from "./cloud-hypervisor.ts";

const spec: VmSpec = {
  id: "0123456789abcdef",
  vcpus: 2,
  memoryMib: 2304,
  accelerator: "kvm",
  kernel: "/g/vmlinux",
  initrd: "/g/initramfs.cpio",
  openReadOnly: "/g/open-read-only.so",
  noKernel: "/g/no-kernel",
  agentSocket: "/s/a.agent",
  controlSocket: "/s/a.control",
  consoleLog: "/b/console.log",
  pidFile: "/b/vmm.pid",
};

describe("Cloud Hypervisor's configuration", () => {
  it("has the size, the kernel and the agent's socket", () => {
    expect(cloudHypervisorConfig(spec)).toMatchObject({
      cpus: { boot_vcpus: 2 },
      memory: { size: 2304 * 2 ** 20 },
      payload: { kernel: "/g/vmlinux", initramfs: "/g/initramfs.cpio" },
      vsock: { socket: "/s/a.agent" },
    });
  });

  it("is the same on mshv, but for virtualization inside the guest", () => {
    const kvm = cloudHypervisorConfig(spec) as { readonly cpus: object };
    const mshv = cloudHypervisorConfig({ ...spec, accelerator: "mshv" });
    expect(mshv).toEqual({ ...kvm, cpus: { ...kvm.cpus, nested: false } });
  });
});
