/**
 * Genuine kubectl of several minor versions, wherever this machine has them: $KATASIM_TEST_KUBECTLS
 * (paths joined by colons), PATH, beside the kubectl of PATH, and Debian 12's package, unpacked aside.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, realpathSync, rmSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { gitVersionOf } from "./kubectl.ts";

export interface FoundKubectl {
  /** "1.20" */
  readonly version: string;
  readonly binary: string;
}

export interface FoundKubectls extends Disposable {
  /** One for each minor version, oldest first. */
  readonly all: readonly FoundKubectl[];
}

/** What Debian 12 installs: tried by apt when the machine has no other of this version. */
export const debianVersion = "1.20";

export function findKubectls(): FoundKubectls {
  const found = new Map<string, string>();
  for (const binary of candidates()) {
    const version = versionOf(binary);
    if (version !== undefined && !found.has(version)) found.set(version, binary);
  }
  const folder = mkdtempSync("/tmp/kh-kubectl-");
  if (!found.has(debianVersion)) {
    const binary = unpackDebianPackage(folder);
    const version = binary && versionOf(binary);
    if (binary && version !== undefined && !found.has(version)) found.set(version, binary);
  }
  const minor = ({ version }: FoundKubectl) => Number(version.split(".")[1]);
  return {
    all: [...found]
      .map(([version, binary]) => ({ version, binary }))
      .sort((a, b) => minor(a) - minor(b)),
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  };
}

function candidates(): string[] {
  const named = (process.env.KATASIM_TEST_KUBECTLS ?? "").split(delimiter);
  const folders = (process.env.PATH ?? "").split(delimiter);
  const inPath = folders
    .map((folder) => join(folder, "kubectl"))
    .filter((path) => existsSync(path));
  const beside = inPath.map((path) => dirname(realpathSync(path)));
  const siblings = [...new Set([...folders, ...beside])]
    .filter((folder) => existsSync(folder))
    .flatMap((folder) =>
      readdirSync(folder)
        .filter((name) => /^kubectl[.-]v?1\.\d+(\.\d+)?$/.test(name))
        .map((name) => join(folder, name)),
    );
  return [...named, ...inPath, ...siblings].filter((path) => path !== "");
}

/** undefined for what does not run, and for the cloud SDK's dispatcher, which runs another binary. */
function versionOf(binary: string): string | undefined {
  const version = gitVersionOf(binary) ?? "";
  return /dispatcher/.test(version) ? undefined : /^v(1\.\d+)/.exec(version)?.[1];
}

function unpackDebianPackage(folder: string): string | undefined {
  const quietly = { cwd: folder, stdio: "ignore", timeout: 60_000 } as const;
  try {
    execFileSync("apt-get", ["download", "-qq", "kubernetes-client"], quietly);
    const [archive = ""] = readdirSync(folder).filter((name) => name.endsWith(".deb"));
    execFileSync("dpkg-deb", ["-x", archive, "unpacked"], quietly);
    return join(folder, "unpacked/usr/bin/kubectl");
  } catch {
    // Offline, or no Debian: the version counts as not found.
    return undefined;
  }
}
