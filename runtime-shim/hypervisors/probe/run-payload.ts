/** Boots the payload under a hypervisor and times its loop. */
import { startProcess } from "../../../common/process/managed-process.ts";
import type { Rung } from "../ladder.ts";

/** How long an attempt may take in all; a good one takes a tenth of it. */
const attemptTimeoutMs = 2_000;

/** The hypervisor's program, and its arguments for a machine with nothing but a serial port. */
export const probeCommands = {
  qemu: {
    program: "qemu-system-x86_64",
    arguments: (kernel: string, accelerator: Rung["accelerator"]) => [
      ...["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"],
      ...["-M", "microvm,acpi=off,pit=off,pic=off,rtc=off", "-m", "32M"],
      ...["-accel", accelerator, "-cpu", accelerator === "kvm" ? "host" : "max"],
      ...["-kernel", kernel, "-chardev", "stdio,id=serial,signal=off", "-serial", "chardev:serial"],
    ],
  },
  "cloud-hypervisor": {
    program: "cloud-hypervisor",
    // It takes the device that is there, /dev/kvm or /dev/mshv.
    arguments: (kernel: string) => [
      ...["--kernel", kernel, "--cpus", "boot=1", "--memory", "size=64M"],
      ...["--serial", "tty", "--console", "off"],
    ],
  },
} as const;

export interface PayloadRun {
  /** From "B" to "C"; null when it did not get there. */
  readonly loopMs: number | null;
  /** The hypervisor's last words, or how it ended. */
  readonly words: string;
}

export async function runPayload(kernel: string, rung: Rung): Promise<PayloadRun> {
  const command = probeCommands[rung.hypervisor];
  let output = "";
  let loopStartMs: number | undefined;
  let loopMs: number | null = null;
  const vmm = await startProcess(command.program, command.arguments(kernel, rung.accelerator), {
    onStdout(chunk) {
      output += chunk.toString("latin1");
      if (loopStartMs === undefined && output.includes("AB")) loopStartMs = performance.now();
      if (loopStartMs === undefined || loopMs !== null || !output.includes("ABC")) return;
      loopMs = performance.now() - loopStartMs;
      vmm.kill("SIGKILL");
    },
  });
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    vmm.kill("SIGKILL");
  }, attemptTimeoutMs);
  const exit = await vmm.exited;
  clearTimeout(timer);
  const how = late
    ? `it was not done in ${attemptTimeoutMs / 1000} s`
    : `${command.program} ended with ${exit.signal ?? `code ${exit.code}`}`;
  const said = vmm.stderrTail().split("\n").at(0) ?? "";
  return { loopMs, words: said === "" ? how : `${how}: ${said}` };
}
