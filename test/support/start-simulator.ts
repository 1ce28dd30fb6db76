/**
 * A whole katasim for one test file: the built command, a home of its own, any free ports, genuine
 * kubectl. Disposing stops it, asserts that nothing is left, and removes the home.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import {
  type CommandOutcome,
  createKubectl,
  type Kubectl,
  type RunOptions,
  runProgram,
} from "./kubectl.ts";
import { findLeaks } from "./leaks.ts";
import type { PlainUser } from "./plain-user.ts";
import { makeTempHome, sharedCache } from "./temp-home.ts";
import { waitUntil } from "./wait-until.ts";

export interface Simulator extends AsyncDisposable {
  readonly home: string;
  readonly instance: string;
  readonly kubeconfig: string;
  readonly nodeName: string;
  readonly kubectl: Kubectl;
  /** Runs `katasim <args>` with this home and instance. */
  katasim(args: readonly string[], options?: RunOptions): Promise<CommandOutcome>;
  /** The same; rejects when the exit code is not 0. Answers stdout. */
  katasimOk(args: readonly string[], options?: RunOptions): Promise<string>;
  /** `up -d` again, after a `down` or a crash. */
  up(args?: readonly string[]): Promise<CommandOutcome>;
  leaks(): readonly string[];
}

export interface StartOptions {
  /** Further flags of `up`. */
  readonly up?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Path of a network namespace that katasim and kubectl run in. Default: the machine's. */
  readonly netns?: string;
  /** Who runs it, kubectl included; default: who runs the tests. Its home is removed by its owner. */
  readonly user?: PlainUser;
}

const program = join(import.meta.dirname, "..", "..", "bin", "katasim");

export async function startSimulator(options: StartOptions = {}): Promise<Simulator> {
  const simulator = await makeSimulator(options);
  try {
    const started = await simulator.up();
    if (started.exitCode !== 0) {
      throw new Error(`katasim up exited with ${started.exitCode}\n${started.stderr}`);
    }
    return simulator;
  } catch (error) {
    await simulator.katasim(["down", "--delete", "--force"]);
    throw error;
  }
}

/** The same, not yet started: for tests of `up` itself. */
export async function makeSimulator(options: StartOptions = {}): Promise<Simulator> {
  if (!existsSync(join(import.meta.dirname, "..", "..", "dist", "katasim.mjs"))) {
    throw new Error("dist/katasim.mjs is missing: run `npm run build` first");
  }
  const { user } = options;
  const home = user?.home ?? (await makeTempHome());
  const kubeconfig = join(home.path, "kubeconfig");
  const env: NodeJS.ProcessEnv = {
    ...process.env,
    // What waits for pods costs the others time, and is in the way of a test that counts processes.
    KATASIM_WARM_POOL: "0",
    KATASIM_CACHE: user?.cache ?? sharedCache(),
    ...(user === undefined ? {} : { HOME: home.path }),
    KATASIM_HOME: home.path,
    KATASIM_NAME: home.instance,
    KUBECONFIG: kubeconfig,
    ...options.env,
  };
  // Not `ip netns exec`: that makes a mount namespace, and the next command would not see the mounts.
  const enter =
    options.netns === undefined
      ? (user?.prefix ?? [])
      : ["nsenter", `--net=${options.netns}`, "--"];
  const own = user === undefined ? program : join(user.clone, "bin", "katasim");
  const [file = own, ...first] = [...enter, own];
  const katasim = (args: readonly string[], run: RunOptions = {}) =>
    runProgram(file, [...first, ...args], { env, ...run });
  const scope = { home: home.path, instance: home.instance };
  return {
    home: home.path,
    instance: home.instance,
    kubeconfig,
    nodeName: "aks-nodepool1-12345678-vmss000000",
    kubectl: createKubectl(kubeconfig, join(home.path, "kubectl-cache"), enter),
    katasim,
    async katasimOk(args, run) {
      const outcome = await katasim(args, run);
      if (outcome.exitCode === 0) return outcome.stdout;
      throw new Error(
        `katasim ${args.join(" ")} exited with ${outcome.exitCode}\n${outcome.stderr}`,
      );
    },
    up: (args = []) => katasim(["up", "-d", "--api-port", "0", ...(options.up ?? []), ...args]),
    leaks: () => findLeaks(scope),
    async [Symbol.asyncDispose]() {
      const stopped = await katasim(["down", "--delete", "--grace", "1s"]);
      try {
        if (stopped.exitCode !== 0) {
          throw new Error(`katasim down exited with ${stopped.exitCode}\n${stopped.stderr}`);
        }
        // A killed process stays in /proc until its parent has collected it.
        await waitUntil(() => findLeaks(scope).length === 0, {
          what: `instance ${home.instance} to leave nothing behind`,
          timeoutMs: 10_000,
          describe: () => findLeaks(scope).join("; "),
        });
      } finally {
        if (user === undefined) await home[Symbol.asyncDispose]();
      }
    },
  };
}
