/**
 * Compiles linux.seccomp of the OCI runtime spec (config-linux.md) into the classic BPF program that
 * seccomp(2) takes, as runc does with libseccomp. Pure. What libseccomp leaves open is settled so: of a
 * system call's rules with conditions the first that matches holds, then the one without.
 */
import { z } from "zod";
import { shimError } from "../errors.ts";
import type { FieldList } from "../guest-client/fields.ts";
import { systemCalls } from "./system-calls.ts";

// Whole, but not only those that JSON keeps exactly.
const whole = z.number().nonnegative().refine(Number.isInteger, "is no whole number");

const ArgSchema = z.object({
  index: z.number().int().min(0).max(5),
  value: whole,
  valueTwo: whole.nullish(),
  op: z.string(),
});

export const SeccompSchema = z.object({
  defaultAction: z.string(),
  defaultErrnoRet: z.number().nullish(),
  architectures: z.array(z.string()).nullish(),
  flags: z.array(z.string()).nullish(),
  syscalls: z
    .array(
      z.object({
        names: z.array(z.string()),
        action: z.string(),
        errnoRet: z.number().nullish(),
        args: z.array(ArgSchema).nullish(),
      }),
    )
    .nullish(),
});

export type Seccomp = z.infer<typeof SeccompSchema>;
type Arg = z.infer<typeof ArgSchema>;

/** Fields 51 and 52 of a process. Throws BAD_BUNDLE for what cannot be done here. */
export function seccompFields(profile: Seccomp | null | undefined): FieldList {
  if (profile === null || profile === undefined) return [];
  const flags = (profile.flags ?? []).reduce((sum, flag) => sum | flagValue(flag), 0);
  return [
    [51, compileSeccomp(profile)],
    [52, flags],
  ];
}

// linux/seccomp.h
const killThread = 0x0000_0000;
const actions: Record<string, number> = {
  SCMP_ACT_KILL: killThread,
  SCMP_ACT_KILL_THREAD: killThread,
  SCMP_ACT_KILL_PROCESS: 0x8000_0000,
  SCMP_ACT_TRAP: 0x0003_0000,
  SCMP_ACT_ERRNO: 0x0005_0000,
  SCMP_ACT_TRACE: 0x7ff0_0000,
  SCMP_ACT_LOG: 0x7ffc_0000,
  SCMP_ACT_ALLOW: 0x7fff_0000,
};
const eperm = 1;

// linux/audit.h
const audit = { x86_64: 0xc000_003e, i386: 0x4000_0003 } as const;
// Calls of the x32 mode, which no guest kernel has; without this a list of the forbidden misses them.
const x32Bit = 0x4000_0000;
const maxInstructions = 4096;

function flagValue(flag: string): number {
  // Threads there are none yet, and the third waits for a listener that is refused.
  if (flag === "SECCOMP_FILTER_FLAG_TSYNC") return 0;
  if (flag === "SECCOMP_FILTER_FLAG_LOG") return 2;
  if (flag === "SECCOMP_FILTER_FLAG_SPEC_ALLOW") return 4;
  throw shimError("BAD_BUNDLE", `the seccomp flag ${JSON.stringify(flag)} is not known`);
}

function actionValue(action: string, errnoRet: number | null | undefined): number {
  const value = actions[action];
  if (value === undefined) {
    const what = action === "SCMP_ACT_NOTIFY" ? "needs a listener on the host" : "is not known";
    throw shimError("BAD_BUNDLE", `the seccomp action ${JSON.stringify(action)} ${what}`);
  }
  const takesErrno = action === "SCMP_ACT_ERRNO" || action === "SCMP_ACT_TRACE";
  return takesErrno ? value | ((errnoRet ?? eperm) & 0xffff) : value;
}

/** One struct sock_filter; jumps are relative. */
interface Instruction {
  readonly code: number;
  readonly k: number;
  readonly jt: number;
  readonly jf: number;
}

// linux/bpf_common.h
const load = (offset: number): Instruction => ({ code: 0x20, k: offset, jt: 0, jf: 0 });
const and = (k: number): Instruction => ({ code: 0x54, k, jt: 0, jf: 0 });
const jump = (k: number): Instruction => ({ code: 0x05, k, jt: 0, jf: 0 });
const answer = (k: number): Instruction => ({ code: 0x06, k, jt: 0, jf: 0 });
const test =
  (code: number) =>
  (k: number, jt: number, jf: number): Instruction => ({
    ...{ code, k, jt, jf },
  });
const equal = test(0x15);
const greater = test(0x25);
const atLeast = test(0x35);

// struct seccomp_data
const numberAt = 0;
const archAt = 4;
const argAt = (index: number) => 16 + 8 * index;

export function compileSeccomp(profile: Seccomp): Buffer {
  const fallback = actionValue(profile.defaultAction, profile.defaultErrnoRet);
  const native = [
    load(numberAt),
    atLeast(x32Bit, 0, 1),
    answer(killThread),
    ...checks(profile, systemCalls.x86_64, fallback),
  ];
  const old = profile.architectures?.includes("SCMP_ARCH_X86")
    ? [load(numberAt), ...checks(profile, systemCalls.i386, fallback)]
    : [answer(killThread)];
  const program = [
    load(archAt),
    // A test jumps over 255 instructions at most, a jump over any number.
    ...[equal(audit.x86_64, 1, 0), jump(native.length)],
    ...native,
    ...[equal(audit.i386, 1, 0), answer(killThread)],
    ...old,
  ];
  if (program.length > maxInstructions) {
    throw shimError(
      "BAD_BUNDLE",
      `the seccomp profile is too long: ${program.length} instructions of at most ${maxInstructions}`,
    );
  }
  return encode(program);
}

interface Rule {
  readonly args: readonly Arg[];
  readonly action: number;
}

/** From a call's number in the accumulator to an answer. */
function checks(
  profile: Seccomp,
  numbers: ReadonlyMap<string, number>,
  fallback: number,
): Instruction[] {
  const rules = new Map<number, Rule[]>();
  for (const { names, action, errnoRet, args } of profile.syscalls ?? []) {
    const value = actionValue(action, errnoRet);
    if (value === fallback) continue;
    for (const name of names) {
      // A profile names the calls of all architectures and of newer kernels.
      const number = numbers.get(name);
      if (number === undefined) continue;
      const known = rules.get(number) ?? [];
      known.push(...alternatives(args ?? []).map((own) => ({ args: own, action: value })));
      rules.set(number, known);
    }
  }
  const always = (list: readonly Rule[]) => list.find(({ args }) => args.length === 0)?.action;
  const conditional = [...rules].filter(([, list]) => list.some(({ args }) => args.length > 0));
  const constant = [...rules]
    .filter(([, list]) => list.every(({ args }) => args.length === 0))
    .map(([number, list]) => [number, always(list) as number] as const)
    .sort(([a], [b]) => a - b);
  return [
    ...conditional.flatMap(([number, list]) => {
      const tests = list.filter(({ args }) => args.length > 0).flatMap(ruleCode);
      const body = [...tests, answer(always(list) ?? fallback)];
      return [equal(number, 1, 0), jump(body.length), ...body];
    }),
    ...ranges(constant).flatMap(({ first, last, action }) => [
      atLeast(first, 0, 2),
      greater(last, 1, 0),
      answer(action),
    ]),
    answer(fallback),
  ];
}

/** Conditions on different arguments must all hold; several on one are alternatives, as in runc. */
function alternatives(args: readonly Arg[]): ReadonlyArray<readonly Arg[]> {
  const repeated = new Set(args.map(({ index }) => index)).size < args.length;
  return repeated ? args.map((arg) => [arg]) : [args];
}

/** Neighbours with one answer, so that a profile of hundreds of calls is some dozens of tests. */
function ranges(sorted: ReadonlyArray<readonly [number: number, action: number]>) {
  const found: Array<{ first: number; last: number; action: number }> = [];
  for (const [number, action] of sorted) {
    const open = found.at(-1);
    if (open !== undefined && open.last + 1 === number && open.action === action)
      open.last = number;
    else found.push({ first: number, last: number, action });
  }
  return found;
}

function ruleCode({ args, action }: Rule): Instruction[] {
  const conditions = args.map(condition);
  let left = conditions.reduce((sum, { length }) => sum + length, 1);
  const code: Instruction[] = [];
  for (const own of conditions) {
    own.forEach(({ jt, jf, ...rest }, at) => {
      // From behind this instruction: to the end of its condition, or of the rule.
      const target = (to: Target) =>
        to === "pass" ? own.length - at - 1 : to === "fail" ? left - at - 1 : to;
      code.push({ ...rest, jt: target(jt), jf: target(jf) });
    });
    left -= own.length;
  }
  return [...code, answer(action)];
}

type Target = number | "pass" | "fail";
type Open = Omit<Instruction, "jt" | "jf"> & { readonly jt: Target; readonly jf: Target };

/** A comparison of 64 bits, in two halves of which the accumulator holds one at a time. */
function condition({ index, op, value, valueTwo }: Arg): Open[] {
  const low: Open = load(argAt(index));
  const high: Open = load(argAt(index) + 4);
  const at =
    (kind: (k: number, jt: number, jf: number) => Instruction) =>
    (k: number, jt: Target, jf: Target): Open => ({ ...kind(k, 0, 0), jt, jf });
  const [eq, gt, ge] = [at(equal), at(greater), at(atLeast)];
  const [v, second] = [halves(value), halves(valueTwo ?? 0)];
  switch (op) {
    case "SCMP_CMP_EQ":
      return [high, eq(v.high, 0, "fail"), low, eq(v.low, 0, "fail")];
    case "SCMP_CMP_NE":
      return [high, eq(v.high, 0, "pass"), low, eq(v.low, "fail", 0)];
    case "SCMP_CMP_GT":
      return [high, gt(v.high, "pass", 0), eq(v.high, 0, "fail"), low, gt(v.low, 0, "fail")];
    case "SCMP_CMP_GE":
      return [high, gt(v.high, "pass", 0), eq(v.high, 0, "fail"), low, ge(v.low, 0, "fail")];
    case "SCMP_CMP_LT":
      return [high, gt(v.high, "fail", 0), eq(v.high, 0, "pass"), low, ge(v.low, "fail", 0)];
    case "SCMP_CMP_LE":
      return [high, gt(v.high, "fail", 0), eq(v.high, 0, "pass"), low, gt(v.low, "fail", 0)];
    case "SCMP_CMP_MASKED_EQ":
      return [
        ...[high, and(v.high), eq(second.high, 0, "fail")],
        ...[low, and(v.low), eq(second.low, 0, "fail")],
      ];
    default:
      throw shimError("BAD_BUNDLE", `the seccomp operator ${JSON.stringify(op)} is not known`);
  }
}

/** Numbers of 2^64 and more are those of all ones, which JSON rounds up. */
function halves(value: number): { readonly high: number; readonly low: number } {
  const all = value >= 2 ** 64 ? 2n ** 64n - 1n : BigInt(value);
  return { high: Number(all >> 32n), low: Number(all & 0xffff_ffffn) };
}

function encode(program: readonly Instruction[]): Buffer {
  const bytes = Buffer.alloc(program.length * 8);
  program.forEach(({ code, jt, jf, k }, index) => {
    bytes.writeUInt16LE(code, index * 8);
    bytes.writeUInt8(jt, index * 8 + 2);
    bytes.writeUInt8(jf, index * 8 + 3);
    bytes.writeUInt32LE(k >>> 0, index * 8 + 4);
  });
  return bytes;
}
