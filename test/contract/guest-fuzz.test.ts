/** The agent's parsers under a fuzzer and sanitizers, grown from frames as the shim sends them. */
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { encodeFields, type FieldList } from "../../runtime-shim/guest-client/fields.ts";
import { encodeGuestFrame } from "../../runtime-shim/guest-client/frames.ts";
import { FrameKind, Verb, type VerbName } from "../../runtime-shim/guest-client/protocol.ts";
import { planMounts } from "../../runtime-shim/oci/mounts.ts";
import { containerFields, processFields } from "../../runtime-shim/oci/oci-to-guest.ts";
import { ProcessSchema, SpecSchema } from "../../runtime-shim/oci/spec.ts";
import { containerSpec } from "../support/oci-specs.ts";

const script = join(import.meta.dirname, "../../scripts/fuzz-guest");
const work = mkdtempSync(join(tmpdir(), "katasim-fuzz-"));
// A cold start of the fuzzer finds all it will in some tens of thousands.
const runs = Number(process.env.KATASIM_FUZZ_RUNS ?? 200_000);

const spec = SpecSchema.parse(containerSpec("pod", ["sh", "-c", "true"]));
const { mounts } = planMounts(spec.mounts ?? [], {
  isSpecial: () => false,
  origin: (path) => path,
});
const process_ = ProcessSchema.parse({
  ...{ args: ["env"], env: ["A=b", "PATH=/bin"], cwd: "/w", terminal: true },
  user: { uid: 5, gid: 6, umask: 0o22, additionalGids: [7, 8] },
  rlimits: [{ type: "RLIMIT_NOFILE", soft: 1024, hard: 4096 }],
});
const requests: ReadonlyArray<readonly [VerbName, FieldList]> = [
  ["hello", []],
  [
    "identity",
    [
      [1, Buffer.alloc(64, 7)],
      [2, 1n],
      [3, "pod"],
    ],
  ],
  [
    "network",
    [
      [1, "02:00:00:00:00:01"],
      [3, "eth0"],
      [4, "10.0.0.5/24"],
      [6, "0.0.0.0/0 via 10.0.0.1"],
    ],
  ],
  [
    "sandbox",
    [
      [1, "net.ipv4.ip_forward=1"],
      [2, 64 << 20],
    ],
  ],
  ["clock", [[1, -5n]]],
  [
    "mountDisk",
    [
      [1, "disk"],
      [2, "erofs"],
      [3, 1],
    ],
  ],
  [
    "writeFile",
    [
      [1, "/run/katasim/shared/a"],
      [2, 0o100644],
      [6, Buffer.from("data")],
      [7, 1],
    ],
  ],
  [
    "createContainer",
    [
      ...containerFields("c", spec, { lowerSerials: ["a", "b"], upperSerial: "w" }, mounts),
      [15, "allow c 10 229 rw"],
      [16, 100],
      [51, Buffer.alloc(64)],
      [40, 1],
      [41, 2],
    ],
  ],
  ["exec", [[1, "c"], [2, "e"], ...processFields(process_), [39, 3], [40, 4]]],
  [
    "signal",
    [
      [1, "c"],
      [3, 9],
      [4, 1],
    ],
  ],
  [
    "resize",
    [
      [1, "c"],
      [3, 80],
      [4, 24],
    ],
  ],
];

const frames = requests.map(([verb, fields], index) =>
  encodeGuestFrame(FrameKind.request, index + 1, Buffer.from([Verb[verb]]), encodeFields(fields)),
);
const others = [
  encodeGuestFrame(FrameKind.data, 1, Buffer.from("input")),
  encodeGuestFrame(FrameKind.window, 1, Buffer.from([0, 1, 0, 0])),
  encodeGuestFrame(FrameKind.reset, 1),
];

describe("the agent's parsers", () => {
  const seeds = join(work, "seeds");
  beforeAll(() => {
    mkdirSync(seeds);
    const pieces = [0, 1, 13];
    [...frames, ...others, Buffer.concat([...frames, ...others])].forEach((frame, index) => {
      const piece = Buffer.from([pieces[index % pieces.length] as number]);
      writeFileSync(join(seeds, `frame-${index}`), Buffer.concat([piece, frame]));
    });
  });
  afterAll(() => rmSync(work, { recursive: true, force: true }));

  it("take no harm from any bytes", async () => {
    const { stdout, stderr } = await promisify(execFile)(
      script,
      ["--runs", String(runs), "--seeds", seeds],
      { maxBuffer: 64 << 20 },
    );
    expect(stdout + stderr).toMatch(
      new RegExp(`Done ${runs} runs|number_of_executed_units: ${runs}`),
    );
    expect(readdirSync(seeds).filter((name) => /^(crash|leak|oom|timeout)-/.test(name))).toEqual(
      [],
    );
  }, 600_000);
});
