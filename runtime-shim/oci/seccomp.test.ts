import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { compileSeccomp, type Seccomp, SeccompSchema, seccompFields } from "./seccomp.ts";
import { systemCalls } from "./system-calls.ts";

const x86_64 = 0xc000_003e;
const i386 = 0x4000_0003;
const allow = 0x7fff_0000;
const killed = 0;
const errno = (number: number) => 0x0005_0000 | number;

/** What the kernel's interpreter answers for one call. */
function run(program: Buffer, arch: number, number: number, args: readonly bigint[] = []): number {
  const data = Buffer.alloc(64);
  data.writeUInt32LE(number, 0);
  data.writeUInt32LE(arch, 4);
  args.forEach((arg, index) => {
    data.writeBigUInt64LE(arg, 16 + 8 * index);
  });
  let accumulator = 0;
  for (let at = 0; ; at += 1) {
    const code = program.readUInt16LE(at * 8);
    const [jt, jf] = [program.readUInt8(at * 8 + 2), program.readUInt8(at * 8 + 3)];
    const k = program.readUInt32LE(at * 8 + 4);
    if (code === 0x20) accumulator = data.readUInt32LE(k);
    else if (code === 0x54) accumulator = (accumulator & k) >>> 0;
    else if (code === 0x05) at += k;
    else if (code === 0x15) at += accumulator === k ? jt : jf;
    else if (code === 0x25) at += accumulator > k ? jt : jf;
    else if (code === 0x35) at += accumulator >= k ? jt : jf;
    else if (code === 0x06) return k;
    else throw new Error(`code ${code}`);
  }
}

const number = (name: string) => systemCalls.x86_64.get(name) as number;
const compile = (profile: object) => compileSeccomp(SeccompSchema.parse(profile));

const operators: Record<string, (arg: bigint, value: bigint, second: bigint) => boolean> = {
  SCMP_CMP_EQ: (arg, value) => arg === value,
  SCMP_CMP_NE: (arg, value) => arg !== value,
  SCMP_CMP_GT: (arg, value) => arg > value,
  SCMP_CMP_GE: (arg, value) => arg >= value,
  SCMP_CMP_LT: (arg, value) => arg < value,
  SCMP_CMP_LE: (arg, value) => arg <= value,
  SCMP_CMP_MASKED_EQ: (arg, value, second) => (arg & value) === second,
};

describe("system call numbers", () => {
  it("are the kernel's", () => {
    expect(["read", "execve", "clone3", "landlock_create_ruleset"].map(number)).toEqual([
      0, 59, 435, 444,
    ]);
    const old = ["exit", "read", "socketcall", "clock_gettime64"];
    expect(old.map((name) => systemCalls.i386.get(name))).toEqual([1, 3, 102, 403]);
  });
});

describe("a compiled filter", () => {
  it("answers the listed calls and the rest, in both modes, and ends foreign ones", () => {
    const program = compile({
      defaultAction: "SCMP_ACT_ERRNO",
      architectures: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
      syscalls: [
        { names: ["read", "write", "no_such_call"], action: "SCMP_ACT_ALLOW" },
        { names: ["clone3"], action: "SCMP_ACT_ERRNO", errnoRet: 38 },
      ],
    });
    expect(run(program, x86_64, number("read"))).toBe(allow);
    expect(run(program, x86_64, number("open"))).toBe(errno(1));
    expect(run(program, x86_64, number("clone3"))).toBe(errno(38));
    expect(run(program, i386, 3)).toBe(allow);
    expect(run(program, i386, 0)).toBe(errno(1));
    expect(run(program, 0xc000_00b7, 0)).toBe(killed);
    expect(run(program, x86_64, 0x4000_0000)).toBe(killed);
  });

  it("ends calls of the 32-bit mode where the profile does not name it", () => {
    const program = compile({ defaultAction: "SCMP_ACT_ALLOW" });
    expect(run(program, x86_64, 1)).toBe(allow);
    expect(run(program, i386, 1)).toBe(killed);
  });

  it("compares arguments of 64 bits as the spec's operators say", () => {
    const word = fc.oneof(
      fc.constantFrom(0n, 1n, 0xffff_ffffn, 0x1_0000_0000n, 0x1_0000_0001n),
      fc.bigInt({ min: 0n, max: 2n ** 53n - 1n }),
    );
    fc.assert(
      fc.property(fc.constantFrom(...Object.keys(operators)), word, word, word, (op, arg, a, b) => {
        const args = [{ index: 3, value: Number(a), valueTwo: Number(b), op }];
        const program = compile({
          defaultAction: "SCMP_ACT_ALLOW",
          syscalls: [{ names: ["ioctl"], action: "SCMP_ACT_ERRNO", args }],
        });
        const expected = operators[op]?.(arg, a, b) ? errno(1) : allow;
        expect(run(program, x86_64, number("ioctl"), [0n, 0n, 0n, arg])).toBe(expected);
      }),
      { numRuns: 200 },
    );
  });

  it("does what a plain reading of any profile does", () => {
    const names = ["read", "write", "open", "close", "ioctl", "clone", "socket", "unshare"];
    const arg = fc.record({
      index: fc.nat(5),
      value: fc.nat(3),
      valueTwo: fc.nat(3),
      op: fc.constantFrom(...Object.keys(operators)),
    });
    const rule = fc.record({
      names: fc.subarray(names, { minLength: 1 }),
      action: fc.constantFrom("SCMP_ACT_ERRNO", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_LOG"),
      args: fc.uniqueArray(arg, { maxLength: 3, selector: ({ index }) => index }),
    });
    fc.assert(
      fc.property(
        fc.array(rule, { maxLength: 6 }),
        fc.constantFrom(...names, "getpid"),
        fc.array(fc.bigInt({ min: 0n, max: 3n }), { minLength: 6, maxLength: 6 }),
        (syscalls, name, args) => {
          const profile = { defaultAction: "SCMP_ACT_ALLOW", syscalls };
          expect(run(compile(profile), x86_64, number(name), args)).toBe(read(profile, name, args));
        },
      ),
      { numRuns: 200 },
    );
  });

  it("takes several conditions on one argument as alternatives", () => {
    const program = compile({
      defaultAction: "SCMP_ACT_ERRNO",
      syscalls: [
        {
          names: ["personality"],
          action: "SCMP_ACT_ALLOW",
          args: [0, 8].map((value) => ({ index: 0, value, op: "SCMP_CMP_EQ" })),
        },
      ],
    });
    const answers = [0n, 8n, 9n].map((value) =>
      run(program, x86_64, number("personality"), [value]),
    );
    expect(answers).toEqual([allow, allow, errno(1)]);
  });

  it("refuses what it cannot do, by name", () => {
    const words = (profile: object) => () => seccompFields(SeccompSchema.parse(profile));
    expect(words({ defaultAction: "SCMP_ACT_NOTIFY" })).toThrow("needs a listener");
    expect(words({ defaultAction: "ALLOW" })).toThrow('action "ALLOW" is not known');
    expect(words({ defaultAction: "SCMP_ACT_ALLOW", flags: ["X"] })).toThrow('flag "X"');
    const args = [{ index: 0, value: 0, op: "SCMP_CMP_ODD" }];
    const odd = { names: ["read"], action: "SCMP_ACT_TRAP", args };
    expect(words({ defaultAction: "SCMP_ACT_ALLOW", syscalls: [odd] })).toThrow("SCMP_CMP_ODD");
  });
});

/** The reference: conditional rules in order, then the one without, then the default. */
function read(profile: Seccomp, name: string, args: readonly bigint[]): number {
  const values: Record<string, number> = {
    SCMP_ACT_ERRNO: errno(1),
    SCMP_ACT_KILL_PROCESS: 0x8000_0000,
    SCMP_ACT_LOG: 0x7ffc_0000,
  };
  const mine = (profile.syscalls ?? []).filter(({ names }) => names.includes(name));
  const holds = (rule: (typeof mine)[number]) =>
    (rule.args ?? []).every((arg) =>
      operators[arg.op]?.(args[arg.index] ?? 0n, BigInt(arg.value), BigInt(arg.valueTwo ?? 0)),
    );
  const found =
    mine.find((rule) => (rule.args ?? []).length > 0 && holds(rule)) ??
    mine.find((rule) => (rule.args ?? []).length === 0);
  return found === undefined ? allow : (values[found.action] as number);
}
