/** The programs katasim starts or expects the user to have: proved by running them. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { programPath } from "../../common/process/run-program.ts";
import { type Check, failed, ok, warning } from "./check.ts";

interface ProgramCheck {
  readonly id: string;
  readonly command: readonly [string, ...string[]];
  readonly version: RegExp;
  readonly debianPackage: string;
  /** What is lost without it. */
  readonly without: string;
  readonly needed: boolean;
}

// What only pods on the shared kernel and their images need.
const isRoot = process.getuid?.() === 0;

const programs: readonly ProgramCheck[] = [
  {
    id: "qemu",
    command: ["qemu-system-x86_64", "--version"],
    version: /version ([\d.]+)/,
    debianPackage: "qemu-system-x86",
    without: "sandboxed pods cannot boot",
    needed: true,
  },
  {
    id: "containerd-shim-runc-v2",
    command: ["containerd-shim-runc-v2", "-v"],
    version: /Version:\s*v?(\S+)/,
    debianPackage: "containerd",
    without: "trusted pods cannot run",
    needed: isRoot,
  },
  {
    id: "runc",
    command: ["runc", "--version"],
    version: /version v?(\S+)/,
    debianPackage: "runc",
    without: "trusted pods cannot run",
    needed: isRoot,
  },
  {
    id: "mkfs.erofs",
    // Versions before 1.6 know neither -V nor --version but name themselves in the help text.
    command: ["mkfs.erofs", "--help"],
    version: /mkfs\.erofs (?:\(erofs-utils\) )?v?([\d.]+)/,
    debianPackage: "erofs-utils",
    without: "images cannot be packed for sandboxed pods",
    needed: isRoot,
  },
  {
    id: "mkfs.ext4",
    command: ["mkfs.ext4", "-V"],
    version: /mke2fs ([\d.]+)/,
    debianPackage: "e2fsprogs",
    without: "sandboxed containers get no writable disk",
    needed: true,
  },
  {
    id: "ip",
    command: ["ip", "-V"],
    version: /iproute2-([\w.]+)/,
    debianPackage: "iproute2",
    without: "pods get no network",
    needed: isRoot,
  },
  {
    id: "socat",
    command: ["socat", "-V"],
    version: /socat version (\S+)/,
    debianPackage: "socat",
    without: "kubectl port-forward does not reach trusted pods",
    needed: false,
  },
  {
    id: "skopeo",
    command: ["skopeo", "--version"],
    version: /version (\S+)/,
    debianPackage: "skopeo",
    without: "images cannot be pulled from registries; the built-in one and archives still work",
    needed: false,
  },
  {
    id: "kubectl",
    command: ["kubectl", "version", "--client"],
    version: /(?:Client Version|GitVersion)[^v]*v([\d.]+)/,
    debianPackage: "kubernetes-client",
    without: "nothing talks to the cluster from this machine",
    needed: false,
  },
];

const run = promisify(execFile);
/** A version question that takes longer hangs on something else. */
const answerTimeoutMs = 10_000;

export function programChecks(): readonly Check[] {
  return programs.map((program) => async () => {
    const { id, command, debianPackage, without } = program;
    const bad = program.needed ? failed : warning;
    const fix = `apt-get install ${debianPackage}   (or ./scripts/setup)`;
    const [file, ...args] = command;
    try {
      const { stdout, stderr } = await run(file, args, {
        timeout: answerTimeoutMs,
        env: { ...process.env, PATH: programPath() },
      });
      const version = program.version.exec(`${stdout}\n${stderr}`)?.[1];
      return ok(id, version === undefined ? `${file} runs` : `${file} ${version}`);
    } catch (error) {
      const missing = (error as NodeJS.ErrnoException).code === "ENOENT";
      const found = missing ? "is not installed" : `does not run: ${firstLine(error)}`;
      return bad(id, `${file} ${found}; ${without}`, fix);
    }
  });
}

function firstLine(error: unknown): string {
  const { stderr, message } = error as { stderr?: string; message: string };
  return (stderr || message).trim().split("\n")[0] ?? "";
}
