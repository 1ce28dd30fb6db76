/** What figures depend on and a reader elsewhere must know. */
import { execFileSync } from "node:child_process";
import { cpus, loadavg, release, totalmem } from "node:os";

export interface Machine {
  readonly cpus: number;
  readonly model: string;
  readonly memory_mib: number;
  readonly kernel: string;
  readonly kvm: boolean;
  readonly node: string;
  /** Null for what is not installed. */
  readonly qemu: string | null;
  readonly docker: string | null;
  readonly runsc: string | null;
  readonly load_before: readonly number[];
}

export function readMachine(): Machine {
  const processors = cpus();
  return {
    cpus: processors.length,
    model: processors[0]?.model ?? "unknown",
    memory_mib: Math.round(totalmem() / 2 ** 20),
    kernel: release(),
    kvm: succeeds("test", ["-w", "/dev/kvm"]),
    node: process.versions.node,
    qemu: versionOf("qemu-system-x86_64"),
    docker: versionOf("dockerd"),
    runsc: versionOf("runsc"),
    load_before: loadavg(),
  };
}

export function textOfMachine(machine: Machine): string {
  const { model, memory_mib, kernel, kvm, node, qemu, docker, runsc, load_before } = machine;
  const load = load_before.map((figure) => figure.toFixed(1)).join(" ");
  return [
    `${machine.cpus} CPUs (${model}), ${memory_mib} MiB, Linux ${kernel}, ${kvm ? "KVM" : "no KVM"}; load before: ${load}`,
    `node ${node}, qemu ${qemu ?? "-"}, docker ${docker ?? "-"}, runsc ${runsc ?? "-"}`,
  ].join("\n");
}

function versionOf(program: string): string | null {
  try {
    const said = execFileSync(program, ["--version"], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    });
    return /version (?:release-)?([^\s,]+)/.exec(said)?.[1] ?? said.split("\n")[0] ?? null;
  } catch {
    return null;
  }
}

function succeeds(program: string, args: readonly string[]): boolean {
  try {
    execFileSync(program, args, { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}
