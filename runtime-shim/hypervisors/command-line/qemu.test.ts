import { describe, expect, it } from "vitest";
import { userNetwork } from "../../network/user-network.ts";
import type { Nic, VmSpec } from "../hypervisor.ts";
import { type MemoryFile, qemuArguments, qemuCommandLine, qemuEnvironment } from "./qemu.ts";

const spec: VmSpec = {
  id: "0123456789abcdef",
  vcpus: 2,
  memoryMib: 2304,
  accelerator: "tcg",
  kernel: "/g/vmlinux",
  initrd: "/g/initramfs.cpio",
  openReadOnly: "/g/open-read-only.so",
  noKernel: "/g/no-kernel",
  nic: { kind: "tap", tap: "ktap0", mac: "0a:58:0a:f4:00:05" },
  agentSocket: "/s/a.agent",
  controlSocket: "/s/a.qmp",
  consoleLog: "/b/console.log",
  pidFile: "/b/vmm.pid",
};
const valuesOf = (argv: readonly string[], flag: string) =>
  argv.flatMap((argument, index) => (argument === flag ? [argv[index + 1]] : []));

describe("QEMU's command line", () => {
  it("has the size, the kernel and the sandbox", () => {
    const argv = qemuArguments(spec);
    expect(valuesOf(argv, "-m")).toEqual(["2304M"]);
    expect(valuesOf(argv, "-smp")).toEqual(["2"]);
    expect(valuesOf(argv, "-kernel")).toEqual(["/g/vmlinux"]);
    expect(valuesOf(argv, "-sandbox")[0]).toMatch(/^on,.*elevateprivileges=deny.*spawn=deny/);
  });

  it("gives every PCI device a place of its own", () => {
    const places = valuesOf(qemuArguments(spec), "-device")
      .map((device) => /bus=pcie\.0,addr=(0x\w+)/.exec(device ?? "")?.[1])
      .filter((place) => place !== undefined);
    // Agent, NIC, random numbers, bridge, and four slots for disks.
    expect(places).toHaveLength(8);
    expect(new Set(places).size).toBe(8);
  });

  it("runs without powers, and dies with the shim", () => {
    const argv = qemuCommandLine(spec);
    expect(argv).toContain("--no-new-privs");
    expect(argv).toContain("--pdeathsig=SIGKILL");
  });

  it("has no NIC where the pod has none", () => {
    const { nic: _, ...bare } = spec;
    const argv = qemuCommandLine(bare);
    expect(argv.join(" ")).not.toMatch(/virtio-net|tap/);
  });

  it("plays a network for a guest that has no namespace, closed unless asked otherwise", () => {
    const { pod, ...network } = userNetwork("10.244.0.5/24");
    const closed = { kind: "user", mac: pod.mac, egress: "none", ...network } as const;
    const netdevs = (nic: Nic) => valuesOf(qemuArguments({ ...spec, nic }), "-netdev");
    expect(netdevs(closed)).toEqual([
      "user,id=net,ipv6=off,net=10.244.0.0/24,host=10.244.0.1,dns=10.244.0.254,restrict=on",
    ]);
    expect(netdevs({ ...closed, egress: "open" })[0]).toMatch(/,restrict=off$/);
  });

  it("takes hardware virtualization with the host's CPU", () => {
    const argv = qemuArguments({ ...spec, accelerator: "kvm" });
    expect([valuesOf(argv, "-accel"), valuesOf(argv, "-cpu")]).toEqual([["kvm"], ["host"]]);
  });

  it("copies the pages of a saved VM's memory and writes those of one that is saved", () => {
    const backend = (use: MemoryFile["use"]) =>
      valuesOf(qemuArguments(spec, { path: "/t/memory", use }), "-object")[0];
    expect(backend("copied")).toBe(
      "memory-backend-file,id=ram,size=2304M,mem-path=/t/memory,share=off",
    );
    expect(backend("written")).toMatch(/,share=on$/);
  });

  it("never opens memory that is copied for writing", () => {
    const environment = qemuEnvironment(spec, { path: "/t/memory", use: "copied" });
    expect(environment).toEqual({
      LD_PRELOAD: "/g/open-read-only.so",
      KATASIM_READ_ONLY: "/t/memory",
    });
    expect(qemuEnvironment(spec, { path: "/t/memory", use: "written" })).toEqual({});
  });

  it("refuses a shared folder's memory on a private copy", () => {
    const clone = () =>
      qemuArguments({ ...spec, sharedMemory: true }, { path: "/t/memory", use: "copied" });
    expect(clone).toThrow("a VM whose memory is a file shares no folders");
  });

  it("doubles commas in paths, so that a path is never taken for options", () => {
    const argv = qemuArguments({ ...spec, controlSocket: "/s/a,server=on" });
    expect(valuesOf(argv, "-chardev").at(-1)).toBe("socket,id=control,path=/s/a,,server=on");
  });
});
