/** Handler table, signals, the shim's log lines, files inside an image's root, stats. */
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, toBinary } from "@bufbuild/protobuf";
import { AnySchema, anyUnpack } from "@bufbuild/protobuf/wkt";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { MetricsSchema } from "../../proto/containerd/gen/cgroups_v1_pb.js";
import { OptionsSchema } from "../../proto/containerd/gen/runtime_options_pb.js";
import { ShimOptionsSchema } from "../../runtime-shim/index.ts";
import { handlerOptions } from "./handler-options.ts";
import { builtinHandlers, findHandler, shimBinaryName } from "./handler-table.ts";
import { readInRoot, resolveInRoot } from "./rootfs-file.ts";
import { errorIn } from "./shim-log.ts";
import { signalNumber } from "./signals.ts";
import { amountsOf } from "./usage.ts";

describe("handler table", () => {
  it("takes runc for a pod without a RuntimeClass", () => {
    expect(findHandler(builtinHandlers, "").name).toBe("runc");
  });

  it("names the shim as containerd does", () => {
    expect(shimBinaryName("io.containerd.katasim.v2")).toBe("containerd-shim-katasim-v2");
  });

  it("gives our shim options that it accepts, the handler's own last", () => {
    const handler = findHandler(builtinHandlers, "kata-vm-isolation");
    const any = handlerOptions(handler, {
      runcRoot: "/r",
      katasim: { guestDir: "/g", sizingProfile: "aks-preview" },
    });
    expect(any.typeUrl).toBe("runtimeoptions.v1.Options");
    const prefixed = create(AnySchema, {
      typeUrl: `type.googleapis.com/${any.typeUrl}`,
      value: any.value,
    });
    const body = anyUnpack(prefixed, OptionsSchema)?.configBody;
    const options = ShimOptionsSchema.parse(JSON.parse(new TextDecoder().decode(body)));
    expect(options).toMatchObject({ guestDir: "/g", sizingProfile: "aks-ga" });
  });
});

describe("signalNumber", () => {
  it.each([
    [undefined, 15],
    ["SIGQUIT", 3],
    ["quit", 3],
    ["9", 9],
    ["SIGRTMIN+3", 37],
    ["nonsense", 15],
  ])("reads %j as %d", (text, number) => {
    expect(signalNumber(text)).toBe(number);
  });
});

describe("errorIn", () => {
  it.each([
    [
      'time="t" level=error msg="it broke" error="no \\"x\\""',
      { text: 'it broke: no "x"', fatal: false },
    ],
    ['{"level":60,"msg":"gone","error":"why"}', { text: "gone: why", fatal: true }],
    ['{"level":"error","msg":"hm"}', { text: "hm", fatal: false }],
    ["panic: runtime error", { text: "panic: runtime error", fatal: true }],
    ['{"level":30,"msg":"fine"}', undefined],
    ["{broken", undefined],
    ["level=info msg=fine", undefined],
  ])("reads %j", (line, expected) => {
    expect(errorIn(line)).toEqual(expected);
  });
});

describe("files inside an image's root", () => {
  let root: string;
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), "rt-root-"));
    await mkdir(join(root, "etc"));
    await mkdir(join(root, "usr"));
  });
  afterEach(() => rm(root, { recursive: true, force: true }));

  it("follow links within the root only", async () => {
    await writeFile(join(root, "usr/passwd"), "inside");
    await symlink("/usr/passwd", join(root, "etc/absolute"));
    await symlink("../../../../usr/passwd", join(root, "etc/climbing"));
    expect(await readInRoot(root, "/etc/absolute")).toBe("inside");
    expect(await readInRoot(root, "/etc/climbing")).toBe("inside");
  });

  it("are empty when they are missing, folders or circles", async () => {
    await symlink("/etc/circle", join(root, "etc/circle"));
    expect(await readInRoot(root, "/etc/circle")).toBe("");
    expect(await readInRoot(root, "/etc/absent")).toBe("");
    expect(await readInRoot(root, "/etc")).toBe("");
    expect(await resolveInRoot(root, "/..//etc/../usr")).toBe(join(root, "usr"));
  });
});

describe("amountsOf", () => {
  it("leaves inactive file pages out of the working set", () => {
    const metrics = create(MetricsSchema, {
      cpu: { usage: { total: 5n } },
      memory: { usage: { usage: 100n }, totalInactiveFile: 30n },
    });
    const stats = create(AnySchema, {
      typeUrl: "io.containerd.cgroups.v1.Metrics",
      value: toBinary(MetricsSchema, metrics),
    });
    expect(amountsOf(stats)).toEqual({ cpuUsageNs: 5, memoryWorkingSetBytes: 70 });
  });

  it("knows nothing of other forms", () => {
    expect(amountsOf(create(AnySchema, { typeUrl: "x" }))).toBeUndefined();
  });
});
