// Our .proto files against containerd's own (Debian: golang-github-containerd-containerd-dev and
// golang-github-containerd-cgroups-dev): every field we name has the same number and type there.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

const ours = join(import.meta.dirname, "../proto/containerd");
const root = process.env.KATASIM_CONTAINERD_SOURCE ?? "/usr/share/gocode/src/github.com/containerd";
const theirs = {
  "task.proto": "containerd/runtime/v2/task/shim.proto",
  "task_types.proto": "containerd/api/types/task/task.proto",
  "mount.proto": "containerd/api/types/mount.proto",
  "events.proto": "containerd/api/events/task.proto",
  "events_service.proto": "containerd/api/services/ttrpc/events/v1/events.proto",
  "runtime_options.proto": "containerd/pkg/runtimeoptions/v1/api.proto",
  "runc_options.proto": "containerd/runtime/v2/runc/options/oci.proto",
  "cgroups_v1.proto": "cgroups/stats/v1/metrics.proto",
  "cgroups_v2.proto": "cgroups/v2/stats/metrics.proto",
} as const;
/** Published later than the sources Debian has. */
const newer = new Set(["runtime_options.proto Options.config_body"]);

const installed = existsSync(join(root, theirs["task.proto"]));
const reason = installed
  ? ""
  : " (skipped: golang-github-containerd-containerd-dev is not installed)";

describe.skipIf(!installed)(`containerd's messages${reason}`, () => {
  it.each(Object.entries(theirs))("agrees with the original: %s", (file, original) => {
    const reference = parse(readFileSync(join(root, original), "utf8"));
    const mine = parse(readFileSync(join(ours, file), "utf8"));
    expect(mine.package).toBe(reference.package);
    expect(mine.fields.size).toBeGreaterThan(1);
    for (const [name, declaration] of mine.fields) {
      if (newer.has(`${file} ${name}`)) continue;
      expect(`${name}: ${reference.fields.get(name)}`).toBe(`${name}: ${declaration}`);
    }
  });

  it("finds every original it names", () => {
    expect(Object.keys(theirs).filter((file) => !readdirSync(ours).includes(file))).toEqual([]);
  });
});

/** "Message.field" → "type = number", "Service.Method" → "request → reply", "Enum.VALUE" → number. */
function parse(text: string) {
  const fields = new Map<string, string>();
  let scope = "";
  for (const line of text.split("\n")) {
    const code = line.replace(/\/\/.*/, "").trim();
    const opened = /^(?:message|enum|service)\s+(\w+)\s*\{/.exec(code);
    if (opened) scope = opened[1] as string;
    const rpc = /^rpc (\w+)\((\S+)\) returns \((\S+)\)/.exec(code);
    if (rpc) fields.set(`${scope}.${rpc[1]}`, `${rpc[2]} → ${rpc[3]}`);
    const field = /^([\w. <>,]+?)\s+(\w+)\s*=\s*(\d+)\b/.exec(code);
    if (field && !code.startsWith("option ")) {
      fields.set(`${scope}.${field[2]}`, `${field[1]?.replace(/^optional /, "")} = ${field[3]}`);
    }
    const value = /^([A-Z]\w*)\s*=\s*(\d+)\b/.exec(code);
    if (value) fields.set(`${scope}.${value[1]}`, `${value[2]}`);
  }
  return { package: /^package ([\w.]+);/m.exec(text)?.[1], fields };
}
