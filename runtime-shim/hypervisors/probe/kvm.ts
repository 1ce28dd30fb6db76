/**
 * Is KVM on this machine worth anything? Asks by running ring-0 code and timing it: a /dev/kvm that
 * opens, creates VMs and runs a tiny payload correctly may still emulate every privileged-mode
 * instruction at 0.7 µs (seen on KVM_PVM), and no kernel ever boots there.
 */
import {
  accessSync,
  constants,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { release, tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { messageOf } from "../../../common/errors.ts";
import { startProcess } from "../../../common/process/managed-process.ts";
import { programPath } from "../../../common/process/run-program.ts";
import { qemuProgram } from "../command-line/qemu.ts";
import { debugPort, exitPort, loopTurns, probePayload } from "./payload.ts";
import {
  hostBootId,
  type ProbeKey,
  type ProbeVerdict,
  readProbeVerdict,
  writeProbeVerdict,
} from "./verdict.ts";

// On working hardware virtualization the loop takes well under 1 ms, emulated it takes 290 ms.
const usableLoopMs = 50;
// A host that takes a nap must not be taken for an unusable one.
const tries = 3;
const startTimeoutMs = 2_000;

/** Where QEMU is; undefined when it is not installed. */
export function findProgram(name: string, path = programPath()): string | undefined {
  return path
    .split(delimiter)
    .map((folder) => join(folder, name))
    .find((file) => {
      try {
        accessSync(file, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

/** A cached verdict of this boot and build, or a new one; writes it down where it can. */
export async function probeKvm(cacheDir: string): Promise<ProbeVerdict> {
  const key = probeKey();
  const cached = readProbeVerdict(cacheDir, key);
  if (cached !== undefined) return cached;
  const verdict = await measure(key);
  try {
    mkdirSync(cacheDir, { recursive: true });
    writeProbeVerdict(cacheDir, verdict);
  } catch {
    // A read-only folder costs a quarter of a second at the next sandbox, no more.
  }
  return verdict;
}

function probeKey(): ProbeKey {
  const program = findProgram(qemuProgram);
  const stat = program === undefined ? undefined : statSync(program);
  const vmmBuild = stat === undefined ? "missing" : `${program} ${stat.size} ${stat.mtimeMs}`;
  return { hostBootId: hostBootId(), hostKernel: release(), vmmBuild };
}

async function measure(key: ProbeKey): Promise<ProbeVerdict> {
  const answer = (usable: boolean, explanation: string, loopMs: Array<number | null> = []) => ({
    accelerator: "kvm" as const,
    usable,
    explanation,
    loopMs,
    key,
  });
  try {
    accessSync("/dev/kvm", constants.R_OK | constants.W_OK);
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === "ENOENT";
    return answer(
      false,
      missing
        ? "/dev/kvm does not exist: this machine offers no hardware virtualization"
        : `/dev/kvm cannot be opened (${messageOf(error)}): join the group kvm`,
    );
  }
  if (key.vmmBuild === "missing") return answer(false, `${qemuProgram} is not installed`);
  const folder = mkdtempSync(join(tmpdir(), "katasim-probe-"));
  try {
    const bios = join(folder, "probe.bin");
    writeFileSync(bios, probePayload());
    const loopMs: Array<number | null> = [];
    let words = "";
    for (let attempt = 0; attempt < tries; attempt += 1) {
      const result = await runPayload(bios, "kvm");
      loopMs.push(result.loopMs);
      if (result.loopMs === null) words = result.words;
      if (result.loopMs !== null && result.loopMs <= usableLoopMs) {
        const ms = result.loopMs.toFixed(1);
        return answer(true, `KVM ran ${loopTurns} ring-0 loop turns in ${ms} ms`, loopMs);
      }
    }
    const times = loopMs.filter((ms): ms is number => ms !== null);
    return answer(
      false,
      times.length > 0
        ? `KVM took ${Math.min(...times).toFixed(0)} ms for ${loopTurns} ring-0 loop turns (at most ${usableLoopMs} ms is usable): privileged code is emulated here`
        : `KVM did not run the test program in ${tries} tries: ${words}`,
      loopMs,
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Runs the payload once. `loopMs` is null when it did not get to its end. */
export async function runPayload(
  bios: string,
  accelerator: "kvm" | "tcg",
): Promise<{ readonly loopMs: number | null; readonly words: string }> {
  let output = "";
  let loopStartMs: number | undefined;
  let loopMs: number | null = null;
  const qemu = await startProcess(
    qemuProgram,
    [
      ...["-nodefaults", "-no-user-config", "-display", "none"],
      ...["-M", "microvm,acpi=off,pit=off,pic=off,rtc=off", "-m", "16M"],
      ...["-accel", accelerator, "-cpu", accelerator === "kvm" ? "host" : "max"],
      ...["-bios", bios, "-chardev", "stdio,id=debug,signal=off"],
      ...["-device", `isa-debugcon,iobase=${debugPort},chardev=debug`],
      ...["-device", `isa-debug-exit,iobase=${exitPort},iosize=4`],
    ],
    {
      onStdout(chunk) {
        output += chunk.toString("latin1");
        if (loopStartMs === undefined && output.includes("B")) loopStartMs = performance.now();
        if (loopStartMs !== undefined && loopMs === null && output.includes("C")) {
          loopMs = performance.now() - loopStartMs;
        }
      },
    },
  );
  const timer = setTimeout(() => qemu.kill("SIGKILL"), startTimeoutMs);
  const exit = await qemu.exited;
  clearTimeout(timer);
  const said = qemu.stderrTail().split("\n").at(0) ?? "";
  const how =
    exit.signal === null ? `QEMU exited with ${exit.code}` : `QEMU ended by ${exit.signal}`;
  return { loopMs, words: said === "" ? how : `${how}: ${said}` };
}
