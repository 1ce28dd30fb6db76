/** Which handlers work on this machine, and in one sentence why or why not. */
import { existsSync, realpathSync } from "node:fs";
import { dirname, join } from "node:path";
import { isSimError, messageOf } from "../../common/errors.ts";
import type { Paths } from "../../common/paths.ts";
import { findProgram, isExecutable } from "../../common/process/find-program.ts";
import {
  among,
  chooseRung,
  probeLadder,
  type ShimOptions,
  sizingProfiles,
} from "../../runtime-shim/index.ts";
import type { HandlerStatus } from "../runtime-port.ts";
import { runtimeError } from "./errors.ts";
import { type HandlerConfig, shimBinaryName } from "./handler-table.ts";
import type { KataAssessment } from "./kata/assessment.ts";
import { findKataShim } from "./kata/find-shim.ts";
import { kataStatus } from "./kata/status.ts";

/** Debian packages of the shims we know. */
const packages: Readonly<Record<string, string>> = {
  "containerd-shim-runc-v2": "containerd",
  runc: "runc",
};

/** As containerd looks beside itself: `bin` next to the folder of the running program. */
export function foldersBesideProgram(): readonly string[] {
  const program = process.argv[1];
  if (program === undefined) return [];
  try {
    const folder = dirname(realpathSync(program));
    return [folder, join(dirname(folder), "bin")];
  } catch {
    return [];
  }
}

/** Rejects with SHIM_MISSING and the package that has it. */
export function shimOf(handler: HandlerConfig, folders: readonly string[]): string {
  const name = shimBinaryName(handler.runtimeType);
  const elsewhere = handler.options.kind === "kata" ? findKataShim() : undefined;
  const found = handler.binary ?? findProgram(name, folders) ?? elsewhere;
  if (found !== undefined && isExecutable(found)) return found;
  const where = handler.binary ?? `${name} on PATH`;
  throw runtimeError(
    "SHIM_MISSING",
    `failed to start shim: failed to resolve runtime path: runtime "${handler.runtimeType}" binary not installed: there is no ${where}`,
    { hint: installHint(name) },
  );
}

export interface HandlerStatusOptions {
  readonly paths: Pick<Paths, "guest">;
  readonly shimFolders: readonly string[];
  readonly katasim: Partial<ShimOptions>;
  /** Text of the shim's `-v`; undefined when it cannot be run. */
  version(binary: string): Promise<string | undefined>;
  assessKata(configFile: string | undefined): Promise<KataAssessment>;
}

export async function handlerStatus(
  handler: HandlerConfig,
  options: HandlerStatusOptions,
): Promise<HandlerStatus> {
  const name = shimBinaryName(handler.runtimeType);
  const lost = rootNeeded(handler, options.katasim) ?? missingParts(handler, options);
  if (handler.options.kind === "kata") {
    const assessment = await options.assessKata(handler.options.configFile);
    const status = kataStatus(handler, assessment);
    return lost === undefined ? status : { ...status, usable: false, reason: `${lost}.` };
  }
  const values =
    handler.options.kind === "katasim"
      ? { ...options.katasim, ...handler.options.values }
      : undefined;
  const base = {
    name: handler.name,
    engine: name,
    sandboxed: handler.sandboxed,
    ...(values?.sizingProfile === undefined
      ? {}
      : { sizingProfile: values.sizingProfile, sizing: sizingProfiles[values.sizingProfile] }),
    ...(handler.alternative === undefined ? {} : { alternative: handler.alternative }),
  };
  let binary: string;
  try {
    binary = shimOf(handler, options.shimFolders);
  } catch {
    return { ...base, usable: false, reason: `${name} is not installed. ${installHint(name)}` };
  }
  const version = await options.version(binary);
  if (version === undefined) {
    const reason = `${binary} does not run: \`${binary} -v\` fails. ${installHint(name)}`;
    return { ...base, usable: false, reason };
  }
  const engine = `${name} (${shortVersion(version)})`;
  if (lost !== undefined) return { ...base, engine, usable: false, reason: `${lost}.` };
  if (values === undefined) {
    return { ...base, engine, usable: true, reason: "Containers share this machine's kernel." };
  }
  return { ...base, engine, ...(await rungFacts(values, options)) };
}

/** What this process may not do for the handler and what helps; undefined when it may do all. */
export function rootNeeded(
  handler: HandlerConfig,
  katasim: Partial<ShimOptions>,
): string | undefined {
  if (process.getuid?.() === 0) return undefined;
  if (handler.options.kind !== "katasim") {
    return "it needs root, to make namespaces, mounts and cgroups: run katasim as root, for instance with sudo, or give the pod a runtimeClassName with a micro-VM";
  }
  const { network = "netns" } = { ...katasim, ...handler.options.values };
  return network === "netns"
    ? "it needs root, to make network namespaces: run katasim as root, or with --network user"
    : undefined;
}

function missingParts(handler: HandlerConfig, options: HandlerStatusOptions): string | undefined {
  const { guest } = options.paths;
  const { kind } = handler.options;
  if (kind === "runc" && findProgram(handler.options.binaryName ?? "runc") === undefined) {
    return "runc is not installed: install the Debian package runc";
  }
  if (kind !== "katasim" && !existsSync(join(guest, "pause", "pause"))) {
    return "the pause program is missing: run scripts/setup";
  }
  if (kind === "katasim") {
    const lost = ["vmlinux", "initramfs.cpio", "release.json"].filter(
      (file) => !existsSync(join(guest, file)),
    );
    if (lost.length > 0) return `guest files are missing (${lost.join(", ")}): run scripts/setup`;
  }
  return undefined;
}

/** The rung a sandbox would get now, every rung's state, or why there is none. */
async function rungFacts(
  values: Partial<ShimOptions>,
  { paths }: HandlerStatusOptions,
): Promise<Pick<HandlerStatus, "usable" | "hypervisor" | "accelerator" | "reason" | "rungs">> {
  const rungs = await probeLadder(values.probeCacheDir ?? paths.guest, values.network);
  try {
    const chosen = await chooseRung(ladderOptions(values), among(rungs));
    const { hypervisor, accelerator, explanation } = chosen;
    return { usable: true, hypervisor, accelerator, reason: sentence(explanation), rungs };
  } catch (error) {
    const hint = isSimError(error) && error.hint !== undefined ? ` ${sentence(error.hint)}` : "";
    return { usable: false, reason: `${sentence(messageOf(error))}${hint}`, rungs };
  }
}

/** What is forced or demanded of every sandbox. */
export function ladderOptions({
  hypervisor = "auto",
  accel = "auto",
  require = "any",
}: Partial<ShimOptions>): Pick<ShimOptions, "hypervisor" | "accel" | "require"> {
  return { hypervisor, accel, require };
}

function sentence(words: string): string {
  return `${words.charAt(0).toUpperCase()}${words.slice(1)}${words.endsWith(".") ? "" : "."}`;
}

function shortVersion(text: string): string {
  return /Version:\s*(\S+)/.exec(text)?.[1] ?? text.split("\n")[0]?.split(" ").at(-1) ?? text;
}

function installHint(name: string): string {
  const known = packages[name];
  if (known !== undefined) return `Install the Debian package ${known}.`;
  return name === "containerd-shim-katasim-v2"
    ? "Run scripts/setup, or `npm run build` in a clone."
    : `Put ${name} on PATH.`;
}
