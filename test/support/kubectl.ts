/** Genuine kubectl against one kubeconfig. A side binary `kubectl.1.32` is preferred where it exists. */
import { execFileSync, spawn } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

export interface CommandOutcome {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly stdin?: string | Buffer;
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /** Kills the program; the outcome has exit code 124, as timeout(1) has. */
  readonly timeoutMs?: number;
}

export interface Kubectl {
  /** Never rejects for an exit code: tests look at it. */
  (args: readonly string[], options?: RunOptions): Promise<CommandOutcome>;
  /** Standard output; rejects with everything kubectl said when it fails. */
  ok(args: readonly string[], options?: RunOptions): Promise<string>;
  json<T = Record<string, never>>(args: readonly string[]): Promise<T>;
  apply(manifest: object | string): Promise<string>;
}

export function kubectlBinary(): string {
  for (const name of ["kubectl.1.32", "kubectl"]) {
    for (const folder of (process.env.PATH ?? "").split(delimiter)) {
      try {
        accessSync(join(folder, name), constants.X_OK);
        return join(folder, name);
      } catch {}
    }
  }
  throw new Error("kubectl is not installed: apt-get install kubernetes-client");
}

/** What the program calls itself, e.g. "v1.20.2"; undefined when it does not run. */
export function gitVersionOf(binary: string): string | undefined {
  try {
    const said = execFileSync(binary, ["version", "--client", "-o", "json"], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
      timeout: 30_000,
    });
    return (JSON.parse(said).clientVersion as { gitVersion: string }).gitVersion;
  } catch {
    return undefined;
  }
}

/** Begins the titles of tests that need a newer kubectl than `binary`; empty when it is new enough. */
export function skippedBefore(minor: number, binary: string): string {
  const version = gitVersionOf(binary);
  const own = Number(/^v1\.(\d+)/.exec(version ?? "")?.[1] ?? 0);
  return own >= minor ? "" : `(skipped: kubectl ${version} is older than 1.${minor}) `;
}

/** `enter` comes before the program: nsenter and its flags, for an API in another network namespace. */
export function createKubectl(
  kubeconfig: string,
  cacheDir: string,
  enter: readonly string[] = [],
): Kubectl {
  const [program = "", ...first] = [...enter, kubectlBinary()];
  const flags = [...first, `--kubeconfig=${kubeconfig}`, `--cache-dir=${cacheDir}`];
  const run = (args: readonly string[], options: RunOptions = {}) =>
    runProgram(program, [...flags, ...args], options);
  const ok = async (args: readonly string[], options?: RunOptions) => {
    const outcome = await run(args, options);
    if (outcome.exitCode === 0) return outcome.stdout;
    throw new Error(
      `kubectl ${args.join(" ")} exited with ${outcome.exitCode}\n${outcome.stderr}${outcome.stdout}`,
    );
  };
  return Object.assign(run, {
    ok,
    json: async <T>(args: readonly string[]) => JSON.parse(await ok([...args, "-o", "json"])) as T,
    apply: (manifest: object | string) =>
      ok(["apply", "-f", "-"], {
        stdin: typeof manifest === "string" ? manifest : JSON.stringify(manifest),
      }),
  });
}

const heldPipesMs = 2_000;

export function runProgram(
  file: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<CommandOutcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, {
      stdio: ["pipe", "pipe", "pipe"],
      ...(options.env === undefined ? {} : { env: options.env }),
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    child.stdout.on("data", (chunk: Buffer) => stdout.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => stderr.push(chunk));
    // A program that never reads its input closes the pipe: its exit code tells the story.
    child.stdin.on("error", () => {});
    child.stdin.end(options.stdin ?? "");
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      child.kill("SIGKILL");
    }, options.timeoutMs ?? 120_000);
    child.once("error", reject);
    const settle = (code: number | null, signal: NodeJS.Signals | null) => {
      clearTimeout(timer);
      resolve({
        exitCode: timedOut ? 124 : (code ?? (signal === null ? -1 : 137)),
        stdout: Buffer.concat(stdout).toString("utf8"),
        stderr: Buffer.concat(stderr).toString("utf8"),
      });
    };
    child.once("close", settle);
    // A process the program left behind may hold its pipes for ever: do not wait for it.
    child.once("exit", (code, signal) => setTimeout(settle, heldPipesMs, code, signal).unref());
  });
}
