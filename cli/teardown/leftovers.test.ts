import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { mountsUnder, processesUnder } from "./leftovers.ts";

describe("mountsUnder", () => {
  const mountinfo = [
    "22 1 254:0 / / rw - ext4 /dev/vda rw",
    "30 22 0:30 / /home/run/default/a rw - tmpfs tmpfs rw",
    "31 30 0:31 / /home/run/default/a/b\\040c rw - overlay overlay rw",
    "32 22 0:32 / /home/run/default-2 rw - tmpfs tmpfs rw",
    "",
  ].join("\n");

  it("lists the mounts of one folder, innermost first, and none of its namesakes", () => {
    expect(mountsUnder(["/home/run/default"], mountinfo)).toEqual([
      "/home/run/default/a/b c",
      "/home/run/default/a",
    ]);
  });
});

describe("processesUnder", () => {
  let proc: string;
  beforeEach(() => {
    proc = mkdtempSync(join(tmpdir(), "proc-"));
  });
  afterEach(() => rmSync(proc, { recursive: true }));

  function fake(pid: number, exe: string, cwd: string, argv: readonly string[]): void {
    mkdirSync(join(proc, String(pid)));
    writeFileSync(join(proc, String(pid), "cmdline"), `${argv.join("\0")}\0`);
    symlinkSync(exe, join(proc, String(pid), "exe"));
    symlinkSync(cwd, join(proc, String(pid), "cwd"));
  }

  it("finds our programs by argument or working folder, and nobody else's", () => {
    fake(11, "/usr/bin/qemu-system-x86_64", "/", ["qemu", "-qmp", "unix:/r/a/s/q.sock"]);
    fake(12, "/usr/bin/containerd-shim-runc-v2", "/r/a/sandboxes/x", ["shim"]);
    fake(13, "/usr/bin/node", "/r/a/b", ["node", "/p/containerd-shim-katasim-v2.mjs"]);
    fake(14, "/usr/bin/node", "/r/a/b", ["node", "editor.js"]);
    fake(15, "/usr/bin/tail", "/", ["tail", "-f", "/r/a/console.log"]);
    fake(16, "/usr/bin/qemu-system-x86_64", "/", ["qemu", "-qmp", "unix:/r/ab/q.sock"]);
    mkdirSync(join(proc, "17"));
    expect(processesUnder("/r/a", proc).map(({ pid }) => pid)).toEqual([11, 12, 13]);
  });
});
