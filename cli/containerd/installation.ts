/**
 * Our runtime in somebody's containerd: a launcher of the shim, a folder `katasim` beside containerd's
 * configuration (options of each handler, RuntimeClasses, the configuration as it was), and a section
 * in the configuration. Everything can be done again and undone.
 */
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { stringify } from "yaml";
import { writeFileAtomic } from "../../common/files/atomic-write.ts";
import { type ShimOptions, ShimOptionsSchema } from "../../runtime-shim/shim-options.ts";
import { cliError } from "../errors.ts";
import {
  type ContainerdHandler,
  readSection,
  withoutSection,
  withSection,
} from "./config-section.ts";

export interface InstallPlan {
  /** containerd's config.toml; made when it is not there. */
  readonly configFile: string;
  /** Where the launcher goes: a folder of containerd's PATH, so that `ctr --runtime` finds it by name. */
  readonly binDir: string;
  /** The program the launcher runs. */
  readonly shim: readonly string[];
  /** Handler name → what the shim is told. */
  readonly handlers: Readonly<Record<string, Partial<ShimOptions>>>;
}

export interface InstalledHandler extends ContainerdHandler {
  readonly options: ShimOptions;
}

export interface Installation {
  readonly configFile: string;
  readonly folder: string;
  readonly runtimeClassesFile: string;
  readonly criDisabled: boolean;
  readonly handlers: readonly InstalledHandler[];
  /** What was taken away since, one sentence each. */
  readonly problems: readonly string[];
}

export const shimName = "containerd-shim-katasim-v2";
const launcherMark = "# made by katasim containerd install";

interface PlannedFile {
  readonly path: string;
  readonly text: string;
  readonly mode: number;
}

/** Every file an installation writes, the configuration last. Throws before anything is written. */
export function planInstall(plan: InstallPlan): readonly PlannedFile[] {
  const { configFile, binDir } = plan;
  const folder = folderOf(configFile);
  const launcher = join(binDir, shimName);
  assertOurs(launcher);
  const before = readText(configFile);
  const handlers = Object.keys(plan.handlers).map((name) => ({
    name,
    runtimeType: launcher,
    configPath: join(folder, `${name}.json`),
  }));
  const config = withSection(before, handlers, configFile);
  const original = before === undefined ? undefined : withoutSection(before);
  return [
    { path: launcher, text: launcherText(plan.shim), mode: 0o755 },
    ...handlers.map(({ name, configPath }) => ({
      path: configPath,
      text: `${JSON.stringify(plan.handlers[name], null, 2)}\n`,
      mode: 0o644,
    })),
    { path: runtimeClassesFile(folder), text: runtimeClasses(handlers), mode: 0o644 },
    ...(original === undefined
      ? []
      : [{ path: join(folder, "config.toml.before"), text: original, mode: 0o600 }]),
    { path: configFile, text: config, mode: modeOf(configFile) },
  ];
}

export function install(plan: InstallPlan): Installation {
  const files = planInstall(plan);
  const made: string[] = [];
  try {
    for (const { path, text, mode } of files) {
      const top = mkdirSync(dirname(path), { recursive: true });
      if (!existsSync(path)) made.push(top ?? path);
      writeFileAtomic(target(path), text, { mode, durable: true });
    }
  } catch (cause) {
    // The configuration is written last: without it the rest is of no use.
    for (const path of made) rmSync(path, { recursive: true, force: true });
    throw cannotWrite(cause);
  }
  const folder = folderOf(plan.configFile);
  const kept = new Set(files.map(({ path }) => path));
  for (const name of readdirSync(folder)) {
    if (!kept.has(join(folder, name))) rmSync(join(folder, name), { recursive: true });
  }
  return inspect(plan.configFile);
}

/** Answers whether there was anything to undo. */
export function uninstall(configFile: string): boolean {
  const text = readText(configFile);
  const folder = folderOf(configFile);
  const { handlers } = inspect(configFile);
  const launchers = new Set(handlers.map(({ runtimeType }) => runtimeType));
  try {
    if (text !== undefined) {
      const theirs = withoutSection(text);
      if (theirs === undefined) rmSync(target(configFile));
      else if (theirs !== text) {
        writeFileAtomic(target(configFile), theirs, { mode: modeOf(configFile), durable: true });
      }
    }
    // Shims that run now have read it already.
    for (const launcher of launchers) if (isOurs(launcher)) rmSync(launcher, { force: true });
    const hadFolder = existsSync(folder);
    rmSync(folder, { recursive: true, force: true });
    return handlers.length > 0 || hadFolder;
  } catch (cause) {
    throw cannotWrite(cause);
  }
}

/** What is installed; no handlers when nothing is. */
export function inspect(configFile: string): Installation {
  const folder = folderOf(configFile);
  const text = readText(configFile);
  const section =
    text === undefined ? { handlers: [], criDisabled: false } : readSection(text, configFile);
  const problems: string[] = [];
  const handlers = section.handlers.map((handler) => {
    if (!existsSync(handler.runtimeType)) problems.push(`${handler.runtimeType} is missing`);
    const options = readOptions(handler, problems);
    const { guestDir } = options;
    if (guestDir !== undefined && !existsSync(join(guestDir, "vmlinux"))) {
      problems.push(`${guestDir} has no guest kernel`);
    }
    return { ...handler, options };
  });
  return {
    ...{ configFile, folder, criDisabled: section.criDisabled, handlers },
    runtimeClassesFile: runtimeClassesFile(folder),
    problems: [...new Set(problems)],
  };
}

function readOptions(handler: ContainerdHandler, problems: string[]): ShimOptions {
  try {
    return ShimOptionsSchema.parse(JSON.parse(readFileSync(handler.configPath, "utf8")));
  } catch {
    problems.push(`${handler.configPath} is missing or damaged`);
    return ShimOptionsSchema.parse({});
  }
}

function launcherText(shim: readonly string[]): string {
  const words = shim.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
  return `#!/bin/sh\n${launcherMark}\nexec ${words} "$@"\n`;
}

function runtimeClasses(handlers: readonly ContainerdHandler[]): string {
  return handlers
    .map(({ name }) =>
      stringify({
        apiVersion: "node.k8s.io/v1",
        kind: "RuntimeClass",
        metadata: { name, labels: { "app.kubernetes.io/managed-by": "katasim" } },
        handler: name,
      }),
    )
    .join("---\n");
}

function assertOurs(launcher: string): void {
  if (!existsSync(launcher) || isOurs(launcher)) return;
  throw cliError("INPUT_INVALID", `${launcher} is there and not of this command's making`, {
    hint: "choose another folder: --bin-dir DIR",
  });
}

function isOurs(launcher: string): boolean {
  return readText(launcher)?.includes(launcherMark) ?? false;
}

function folderOf(configFile: string): string {
  return join(dirname(configFile), "katasim");
}

function runtimeClassesFile(folder: string): string {
  return join(folder, "runtimeclasses.yaml");
}

function readText(path: string): string | undefined {
  try {
    accessSync(path, constants.R_OK);
    return readFileSync(path, "utf8");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw cliError("INPUT_INVALID", `cannot read ${path}`, { cause });
  }
}

/** A link stays a link. */
function target(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}

function modeOf(path: string): number {
  return existsSync(path) ? statSync(path).mode & 0o777 : 0o644;
}

function cannotWrite(cause: unknown): Error {
  const { path = "a file", code } = cause as NodeJS.ErrnoException;
  return cliError("MACHINE_LACKS", `cannot write ${path}`, {
    cause,
    hint:
      code === "EACCES" ? "run it as root" : "check the disk, then run it again: it is repeatable",
  });
}
