/** What figures depend on and a reader elsewhere must know. */
import { execFileSync } from "node:child_process";
import { cpus, loadavg, release, totalmem } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";

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

const windowMs = 250;
const quietWindows = 4;
const mostWindows = 80;
const mostBusy = 0.15;

/**
 * Until the processors have been idle for a second, or for twenty seconds at most: what one side leaves to be
 * done afterwards, a node's next spare shim for one, must not slow the next one down.
 */
export async function untilQuiet(signal: AbortSignal): Promise<void> {
  let before = idleMs();
  let quiet = 0;
  for (let window = 0; window < mostWindows && quiet < quietWindows; window += 1) {
    await sleep(windowMs, undefined, { signal }).catch(() => {});
    if (signal.aborted) return;
    const now = idleMs();
    const idle = (now.idle - before.idle) / (now.all - before.all);
    quiet = idle >= 1 - mostBusy ? quiet + 1 : 0;
    before = now;
  }
}

function idleMs(): { readonly idle: number; readonly all: number } {
  const times = cpus().map((processor) => processor.times);
  const sum = (of: (one: (typeof times)[number]) => number) =>
    times.reduce((total, one) => total + of(one), 0);
  return {
    idle: sum(({ idle }) => idle),
    all: sum(({ user, nice, sys, idle, irq }) => user + nice + sys + idle + irq),
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
