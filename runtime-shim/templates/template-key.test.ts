import { chmodSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { silentLogger } from "../../common/log.ts";
import type { VmSpec } from "../hypervisors/hypervisor.ts";
import { createQemu } from "../hypervisors/qemu.ts";
import { userNetwork } from "../network/user-network.ts";
import { bootMac } from "../service/boot-guest.ts";
import { processorDigest, templateInputs, templateKey } from "./template-key.ts";

describe("a template's key", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "key-"));
    writeFileSync(kernel(), "a kernel");
    writeFileSync(initrd(), "an initramfs");
    // Nothing is run: the program is looked at, as the others are.
    writeFileSync(program(), "#!/bin/sh\n");
    chmodSync(program(), 0o755);
    vi.stubEnv("PATH", `${folder}:${process.env.PATH}`);
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const kernel = () => join(folder, "vmlinux");
  const initrd = () => join(folder, "initramfs.cpio");
  const program = () => join(folder, "qemu-system-x86_64");
  const tap = { kind: "tap", mac: bootMac, tap: "tap0" } as const;
  const { pod: _, ...network } = userNetwork();
  const user = { kind: "user", mac: bootMac, egress: "none", ...network } as const;

  const spec = (changes: Partial<VmSpec> = {}): VmSpec => ({
    ...{ id: "one", vcpus: 1, memoryMib: 256, accelerator: "tcg", sharedMemory: false },
    ...{ kernel: kernel(), initrd: initrd(), openReadOnly: join(folder, "open-read-only.so") },
    noKernel: "",
    ...{ agentSocket: "/s/a", controlSocket: "/s/c" },
    ...{ consoleLog: "/s/console.log", pidFile: "/s/vmm.pid" },
    ...changes,
  });
  const keyOf = (changes?: Partial<VmSpec>) => {
    const files = { kernel: kernel(), initrd: initrd() };
    const hypervisor = createQemu({ log: silentLogger });
    return templateKey(templateInputs(hypervisor, spec(changes), files));
  };

  it("is 20 hexadecimal digits, the same each time", () => {
    expect(keyOf()).toMatch(/^[0-9a-f]{20}$/);
    expect(keyOf()).toBe(keyOf());
  });

  it("differs by size, room to grow, accelerator and kind of NIC", () => {
    const changes: readonly Partial<VmSpec>[] = [
      ...[{}, { vcpus: 2 }, { memoryMib: 512 }, { accelerator: "kvm" as const }],
      ...[{ most: { vcpus: 2, memoryMib: 512 } }, { nic: tap }, { nic: user }],
    ];
    expect(new Set(changes.map((change) => keyOf(change))).size).toBe(changes.length);
  });

  it.each([
    ["kernel", kernel],
    ["initramfs", initrd],
    ["hypervisor", program],
  ])("differs by size and by time of the %s", (_name, path) => {
    const then = new Date(1_000_000_000_000);
    utimesSync(path(), then, then);
    const keys = [keyOf()];
    writeFileSync(path(), "another one, and longer");
    utimesSync(path(), then, then);
    keys.push(keyOf());
    const later = new Date(then.getTime() + 1);
    utimesSync(path(), later, later);
    keys.push(keyOf());
    expect(new Set(keys).size).toBe(3);
  });

  it("is the same for other names, sockets and files of the VM's own", () => {
    const other = {
      ...{ id: "two", agentSocket: "/other/a", controlSocket: "/other/c" },
      ...{ consoleLog: "/other/console.log", pidFile: "/other/vmm.pid" },
      ...{
        savedTo: "/other",
        openReadOnly: "/other/open-read-only.so",
        noKernel: "/other/no-kernel",
      },
      place: { uid: 2_000_000_001, program: "/other/vmm-place", devices: [] },
    };
    expect(keyOf(other)).toBe(keyOf());
  });

  it("is the same for another tap, and wherever a played network leads", () => {
    expect(keyOf({ nic: { ...tap, tap: "tap1" } })).toBe(keyOf({ nic: tap }));
    const elsewhere: VmSpec["nic"] = {
      ...user,
      ...{ egress: "open", netnsPath: "/run/netns/other" },
      ...{ subnet: "10.9.0.0/24", gateway: "10.9.0.1", nameserver: "10.9.0.2" },
    };
    expect(keyOf({ nic: elsewhere })).toBe(keyOf({ nic: user }));
  });
});

describe("a processor's digest", () => {
  const cpuinfo = (model: string, mhz: string) =>
    `vendor_id\t: V\nmodel name\t: ${model}\ncpu MHz\t\t: ${mhz}\nflags\t\t: fpu sse\n`;

  it("differs by model, and not by what changes while it runs", () => {
    expect(processorDigest(cpuinfo("A", "1000"))).toBe(processorDigest(cpuinfo("A", "2000")));
    expect(processorDigest(cpuinfo("A", "1000"))).not.toBe(processorDigest(cpuinfo("B", "1000")));
  });
});
