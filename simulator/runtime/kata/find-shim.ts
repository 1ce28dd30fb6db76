/**
 * Where genuine Kata's shim may lie, and which of its two builds it is: the Go one, or runtime-rs.
 * Sources: kata-containers src/runtime/cmd/containerd-shim-kata-v2/main.go and
 * src/runtime-rs/crates/shim/src/bin/main.rs (`--version`), tools/packaging/kata-deploy (folders).
 */
import { join } from "node:path";
import { findProgram, isExecutable } from "../../../common/process/find-program.ts";
import { runCommand } from "../../command.ts";
import { runtimeError } from "../errors.ts";

export const kataShimName = "containerd-shim-kata-v2";

/** After PATH: Azure Linux' package, then kata-deploy and the release's archive. */
const folders: readonly string[] = ["/usr/local/bin", "/opt/kata/bin", "/opt/kata/runtime-rs/bin"];

export type KataBuild = "go" | "rust";

export interface KataShim {
  readonly path: string;
  readonly build: KataBuild;
  readonly version: string;
}

export function findKataShim(): string | undefined {
  const elsewhere = folders.map((folder) => join(folder, kataShimName));
  return findProgram(kataShimName) ?? elsewhere.find(isExecutable);
}

/** Rejects with SHIM_MISSING when it cannot be run or does not name itself as Kata's. */
export async function identifyKataShim(path: string): Promise<KataShim> {
  // `-v` tells the version of the containerd library in the Go build, and nothing in the other.
  const { ok, stdout, stderr } = await runCommand(path, ["--version"]);
  const shim = ok ? parseKataVersion(path, stdout) : undefined;
  if (shim !== undefined) return shim;
  const said = (ok ? stdout : stderr).split("\n")[0] ?? "";
  throw runtimeError(
    "SHIM_MISSING",
    `${path} does not say that it is Kata's shim: \`--version\` gives ${JSON.stringify(said)}`,
    { hint: "install Kata Containers again" },
  );
}

/** `Kata Containers containerd shim (Golang): id: "io.containerd.kata.v2", version: 3.27.0, commit: …` */
export function parseKataVersion(path: string, text: string): KataShim | undefined {
  const match = /containerd shim \((Golang|Rust)\):.*?\bversion: ([^\s,]+)/.exec(text);
  if (match === null) return undefined;
  return { path, build: match[1] === "Rust" ? "rust" : "go", version: match[2] ?? "" };
}
