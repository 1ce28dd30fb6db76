/** A network namespace that plays the machine, and pod networks in processes inside it. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { build } from "esbuild";
import type {
  CniAttachment,
  NodeNetworkFacts,
  PodIdentity,
} from "../../../simulator/network/index.ts";

/** Debian's containernetworking-plugins. */
export const pluginFolder = "/usr/lib/cni";

/** Why no pod network can be made here; undefined when one can. */
export function whyNoCni(): string | undefined {
  if (process.getuid?.() !== 0) return "needs root";
  if (!existsSync(join(pluginFolder, "bridge"))) return `no CNI plugins in ${pluginFolder}`;
  return existsSync("/usr/bin/socat") ? undefined : "missing: socat";
}

export interface RemoteNetwork {
  readonly name: string;
  readonly folder: string;
  ensureNode(): Promise<NodeNetworkFacts>;
  attach(sandboxId: string, hostPorts?: PodIdentity["hostPorts"]): Promise<CniAttachment>;
  detach(sandboxId: string): Promise<void>;
  check(sandboxId: string): Promise<void>;
  sweep(keep: readonly string[]): Promise<readonly string[]>;
  destroy(): Promise<void>;
  kill(): Promise<void>;
}

export interface NetworkScene {
  readonly netns: string;
  readonly folder: string;
  /** Runs a program in the machine's namespace, or in a pod's; answers its output. */
  run(netnsPath: string | undefined, ...command: readonly string[]): string;
  /** A server that answers every line with itself; answers when it listens. */
  echo(netnsPath: string | undefined, port: number): Promise<void>;
  /** What the server at `ip` answers to "hi". */
  ask(netnsPath: string | undefined, ip: string, port: number): string;
  open(name: string, options?: object): RemoteNetwork;
  /** Names of the node's and its pods' namespaces. */
  namespaces(name: string): readonly string[];
  close(): Promise<void>;
}

export async function makeNetworkScene(): Promise<NetworkScene> {
  const folder = mkdtempSync("/tmp/cni-");
  const netns = `test-${folder.slice(-6)}`;
  const own = `/run/netns/${netns}`;
  // Inside the project, so that the bundle finds the packages it does not contain.
  const root = join(import.meta.dirname, "../../..");
  const bundle = join(root, "node_modules", `.network-driver-${process.pid}.mjs`);
  await build({
    entryPoints: [join(import.meta.dirname, "network-driver.ts")],
    bundle: true,
    platform: "node",
    format: "esm",
    packages: "external",
    outfile: bundle,
    logLevel: "error",
  });
  execFileSync("ip", ["netns", "add", netns]);
  execFileSync("ip", ["-n", netns, "link", "set", "lo", "up"]);
  const children = new Set<ChildProcess>();

  const start = (netnsPath: string, command: readonly string[], stderr: "inherit" | "pipe") => {
    const child = spawn("nsenter", [`--net=${netnsPath}`, "--", ...command], {
      stdio: ["pipe", "pipe", stderr],
    });
    children.add(child);
    child.once("exit", () => children.delete(child));
    return child;
  };
  const run = (netnsPath = own, ...command: readonly string[]) =>
    execFileSync("nsenter", [`--net=${netnsPath}`, "--", ...command], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
    });

  return {
    netns,
    folder,
    run,
    async echo(netnsPath = own, port) {
      const command = ["socat", "-d", "-d", `TCP4-LISTEN:${port},fork,reuseaddr`, "EXEC:cat"];
      const server = start(netnsPath, command, "pipe");
      for await (const line of createInterface({ input: server.stderr as NodeJS.ReadableStream })) {
        if (line.includes("listening on")) return server.stderr?.resume() as undefined;
      }
      throw new Error("socat does not listen");
    },
    ask: (netnsPath, ip, port) =>
      run(netnsPath, "sh", "-c", `echo hi | socat - TCP4:${ip}:${port}`),
    open: (name, options = {}) => openRemote(name, options),
    namespaces: (name) =>
      readdirSync("/run/netns").filter((each) => each.startsWith(`katasim-${name}`)),
    async close() {
      await Promise.all([...children].map(end));
      rmSync(bundle, { force: true });
      execFileSync("ip", ["netns", "delete", netns]);
      rmSync(folder, { recursive: true, force: true });
    },
  };

  function openRemote(name: string, options: object): RemoteNetwork {
    const home = join(folder, name);
    const given = {
      name,
      folder: join(home, "network"),
      rangeFile: join(home, "pod-cidr"),
      nodeIp: "10.224.0.4",
      binDirs: [pluginFolder],
      ...options,
    };
    const child = start(own, [process.execPath, bundle, JSON.stringify(given)], "inherit");
    const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream })[
      Symbol.asyncIterator
    ]();
    async function ask<T>(verb: string, argument?: unknown): Promise<T> {
      child.stdin?.write(`${JSON.stringify([verb, argument])}\n`);
      const { value: line } = await lines.next();
      const answer = JSON.parse(line) as { value?: T; error?: string };
      if (answer.error !== undefined) throw new Error(answer.error);
      return answer.value as T;
    }
    return {
      name,
      folder: given.folder,
      ensureNode: () => ask("ensureNode"),
      attach: (sandboxId, hostPorts) =>
        ask("attach", { sandboxId, podNamespace: "ns", podName: "p", podUid: "u", hostPorts }),
      detach: (sandboxId) => ask("detach", sandboxId),
      check: (sandboxId) => ask("check", sandboxId),
      sweep: (keep) => ask("sweep", keep),
      destroy: () => ask("destroy"),
      kill: () => end(child),
    };
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGKILL");
  await gone;
}
