/** The machine under katasim: user, memory, disk, ports, database driver. */
import { existsSync } from "node:fs";
import { readFile, statfs } from "node:fs/promises";
import { dirname } from "node:path";
import { messageOf } from "../../common/errors.ts";
import type { Paths } from "../../common/paths.ts";
import { readPidFile } from "../daemon/pid-file.ts";
import { isPortFree } from "../port-owner.ts";
import { type Check, failed, ok, warning } from "./check.ts";

/** The preview profile's VM without limits (2048 MiB) and what QEMU and a shim take beside it. */
const defaultSandboxMib = 2048 + 150;
/** An unpacked base image, its erofs copy and a few writable disks. */
const wantedDiskGib = 2;

export function machineChecks(paths: Paths, apiPort: number): readonly Check[] {
  return [
    checkSystem,
    checkRoot,
    checkMemory,
    () => checkDisk("disk-state", paths.state),
    () => checkDisk("disk-cache", paths.cache),
    checkSqlite,
    () => checkPort(paths, apiPort),
  ];
}

const checkSystem: Check = async () =>
  process.platform === "linux" && process.arch === "x64"
    ? ok("system", `Linux on x86-64, Node ${process.versions.node}`)
    : failed(
        "system",
        `${process.platform} on ${process.arch}: VMs and containers need Linux on x86-64`,
        "run katasim on an x86-64 Linux machine or VM",
      );

const checkRoot: Check = async () =>
  process.getuid?.() === 0
    ? ok("root", "running as root: namespaces and mounts can be made")
    : warning(
        "root",
        "not running as root: pods run in micro-VMs alone, on networks of their own and without limits on this machine; pods on the shared kernel need Docker Engine",
        "sudo katasim up -d",
      );

const checkMemory: Check = async () => {
  const text = await readFile("/proc/meminfo", "utf8").catch(() => "");
  const availableMib = Math.floor(Number(/MemAvailable:\s+(\d+)/.exec(text)?.[1] ?? 0) / 1024);
  return availableMib >= defaultSandboxMib
    ? ok("memory", `${availableMib} MiB available`)
    : warning(
        "memory",
        `${availableMib} MiB available; a sandbox without limits takes up to ${defaultSandboxMib} MiB`,
        "close other programs, or stop pods you no longer need",
      );
};

async function checkDisk(id: string, folder: string): Promise<ReturnType<typeof ok>> {
  let existing = folder;
  while (!existsSync(existing)) existing = dirname(existing);
  try {
    const { bavail, bsize } = await statfs(existing);
    const gib = (bavail * bsize) / 2 ** 30;
    return gib >= wantedDiskGib
      ? ok(id, `${gib.toFixed(0)} GiB free under ${folder}`)
      : failed(
          id,
          `only ${gib.toFixed(1)} GiB free under ${folder}; ${wantedDiskGib} GiB are wanted`,
          "free some space, or use --home DIR on another disk",
        );
  } catch (error) {
    return failed(id, `cannot look at ${folder}: ${messageOf(error)}`, "use --home DIR elsewhere");
  }
}

const checkSqlite: Check = async () => {
  try {
    const { default: Database } = await import("better-sqlite3");
    const database = new Database(":memory:");
    const row = database.prepare("select sqlite_version() as version").get() as { version: string };
    database.close();
    return ok("sqlite", `better-sqlite3 works (SQLite ${row.version})`);
  } catch (error) {
    return failed(
      "sqlite",
      `better-sqlite3 does not load: ${messageOf(error).split("\n")[0]}`,
      "./scripts/setup   (it builds the add-on for this Node)",
    );
  }
};

async function checkPort(paths: Paths, port: number): Promise<ReturnType<typeof ok>> {
  const owner = await readPidFile(paths.pidFile);
  if (owner !== undefined) return ok("api-port", `katasim is running (pid ${owner.pid})`);
  if (port === 0 || (await isPortFree(port))) return ok("api-port", `port ${port} is free`);
  return failed(
    "api-port",
    `port ${port} is taken on 127.0.0.1`,
    "katasim up --api-port 0 takes any free one",
  );
}
