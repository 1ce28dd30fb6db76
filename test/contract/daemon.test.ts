// The detached start with real processes: whatever the daemon does, `up` hears of it at once.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync } from "node:fs";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { startDetached } from "../../cli/daemon/detach.ts";
import { claimPidFile, isClaim, readPidFile } from "../../cli/daemon/pid-file.ts";
import { reportFromError } from "../../cli/output/error-report.ts";
import type { Progress } from "../../cli/output/progress.ts";
import { resolvePaths } from "../../common/paths.ts";
import { waitUntil } from "../support/wait-until.ts";

let home: string;
const children: number[] = [];
beforeEach(async () => {
  home = mkdtempSync(join(tmpdir(), "daemon-"));
  await mkdir(join(home, "state", "t"), { recursive: true });
});
afterEach(async () => {
  for (const pid of children.splice(0)) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {}
  }
  await rm(home, { recursive: true });
});

/** Starts `code` as the daemon; answers what `up` learns of it. */
async function start(code: string, signal = new AbortController().signal) {
  const script = join(home, "daemon.mjs");
  await writeFile(script, code);
  const said: string[] = [];
  const note = (text: string) => void said.push(text);
  const progress: Progress = {
    step: (id) => note(`step ${id}`),
    note,
    warn: note,
    done: () => {},
    fail: () => {},
  };
  const paths = resolvePaths({ name: "t", home, env: {} });
  const log = join(paths.logs, "katasim.log");
  const outcome = startDetached({ argv: [script], env: process.env, paths, progress, signal });
  return { outcome, said, log };
}

const ready = (fields = "") =>
  `process.send({type:"ready",summary:{pid:process.pid${fields}}},()=>process.disconnect());`;

describe("startDetached", () => {
  it("passes steps on, answers the summary, and leaves the daemon in a session of its own", async () => {
    const { outcome, said } = await start(
      `process.send({type:"step",id:"api",text:"x"}); ${ready()} setInterval(()=>{},1000);`,
    );
    const { pid } = await outcome;
    children.push(pid);
    expect(said).toEqual(["step api"]);
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const [, , , session] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    expect(Number(session)).toBe(pid);
  });

  it("passes the daemon's own refusal on, exit code included", async () => {
    const report = { message: "port taken", why: [], code: "PORT_TAKEN", exitCode: 3 };
    const { outcome } = await start(
      `process.send({type:"failed",report:${JSON.stringify(report)}},()=>process.exit(3));`,
    );
    const error = await outcome.catch((reason: unknown) => reason);
    expect(reportFromError(error)).toEqual(report);
  });

  it("tells the last words of a daemon that crashes, and where its log is", async () => {
    const { outcome, log } = await start(`throw new TypeError("no such thing");`);
    const report = reportFromError(await outcome.catch((reason: unknown) => reason));
    expect(report).toMatchObject({ code: "START_FAILED", exitCode: 1, log });
    expect(report.why).toEqual(["TypeError: no such thing"]);
  });

  it("tells the signal of a daemon that is killed", async () => {
    const { outcome } = await start(`process.kill(process.pid, "SIGKILL");`);
    const report = reportFromError(await outcome.catch((reason: unknown) => reason));
    expect(report.why).toEqual(["it ended with signal SIGKILL"]);
  });

  it("stops the daemon when it is interrupted", async () => {
    const stop = new AbortController();
    const pidFile = join(home, "pid");
    const { outcome } = await start(
      `import {writeFileSync} from "node:fs"; writeFileSync(${JSON.stringify(pidFile)}, String(process.pid)); setInterval(()=>{},1000);`,
      stop.signal,
    );
    outcome.catch(() => {});
    const pid = await waitUntil(
      () => {
        try {
          return Number(readFileSync(pidFile, "utf8")) || undefined;
        } catch {
          return undefined;
        }
      },
      { what: "the daemon to start", intervalMs: 20 },
    );
    children.push(pid);
    stop.abort(new Error("interrupted"));
    await expect(outcome).rejects.toThrow("interrupted");
    await waitUntil(() => !alive(pid), { what: "the daemon to end", intervalMs: 20 });
  });
});

describe("claimPidFile", () => {
  it("lets one process own the instance and takes over from a dead one", async () => {
    const file = join(home, "run", "katasim.pid");
    const first = await claimPidFile(file);
    expect(isClaim(first)).toBe(true);
    expect(await claimPidFile(file)).toMatchObject({ pid: process.pid });
    expect(await readPidFile(file)).toMatchObject({ pid: process.pid });
    if (isClaim(first)) await first.release();
    expect(await readPidFile(file)).toBeUndefined();

    const child = spawn("sleep", ["60"]);
    const stat = readFileSync(`/proc/${child.pid}/stat`, "utf8").split(" ");
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8");
    await writeFile(file, `${child.pid}\n${stat[21]}\n${boot}`);
    expect(await claimPidFile(file)).toMatchObject({ pid: child.pid });
    const exited = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await exited;
    const second = await claimPidFile(file);
    expect(isClaim(second)).toBe(true);
  });
});

function alive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}
