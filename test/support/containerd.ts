/**
 * A private containerd in a short folder of its own: never the machine's. With `cri` it runs in a
 * network namespace made for it, where the pods' bridge and containerd's streaming server are, too.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { baseImageArchive, baseImageName, pauseImageName } from "./containerd-image.ts";
import { connectCri, cri as criCalls } from "./cri-client.ts";
import { endFolder } from "./end-folder.ts";
import { vmTestObstacle } from "./guest-image.ts";
import { type CommandOutcome, type RunOptions, runProgram } from "./kubectl.ts";
import { processes } from "./leaks.ts";
import { waitUntil } from "./wait-until.ts";

export interface ContainerdOptions {
  /** With the CRI plugin, CNI and a network namespace. Default: without. */
  readonly cri?: boolean;
  /** More lines of config.toml, e.g. runtime handlers, or what an installer wrote. */
  readonly config?: string;
  /** containerd's environment, and so the shims'. Default: this process's. */
  readonly env?: NodeJS.ProcessEnv;
}

export interface Containerd {
  readonly folder: string;
  readonly socket: string;
  readonly configFile: string;
  /** The network namespace containerd runs in, where it has its own. */
  readonly netns: string | undefined;
  readonly pid: number;
  log(): string;
  /** In containerd's namespace "default" unless `-n` is given. Kills ctr after 60 s. */
  ctr(args: readonly string[], options?: RunOptions): Promise<CommandOutcome>;
  /** Imports the built-in base image (and the pause image) into a containerd namespace. */
  importBaseImage(namespace?: string): Promise<void>;
  /** Bundles of tasks and sandboxes there are. */
  bundles(namespace?: string): readonly string[];
  bundleOf(id: string, namespace?: string): string;
  start(): Promise<void>;
  /** Tasks go on. */
  stop(signal?: NodeJS.Signals): Promise<void>;
  /** What is left: processes, mounts, bundles; empty when clean. */
  leaks(): readonly string[];
  /** Stops containerd and removes everything. Idempotent. */
  dispose(): Promise<void>;
}

export { baseImageName, pauseImageName };

/** Folder of Debian's containernetworking-plugins. */
const cniPlugins = "/usr/lib/cni";

/** Why genuine containerd cannot be run here; undefined when it can. */
export function containerdObstacle({ cri = false } = {}): string | undefined {
  try {
    execFileSync("sh", ["-c", "command -v containerd && command -v ctr"]);
  } catch {
    return "containerd and ctr are not installed";
  }
  if (cri) {
    try {
      readFileSync(join(cniPlugins, "bridge"));
    } catch {
      return "the package containernetworking-plugins is not installed";
    }
  }
  return vmTestObstacle();
}

export async function startContainerd(options: ContainerdOptions = {}): Promise<Containerd> {
  const { cri = false } = options;
  const folder = mkdtempSync("/tmp/kctr-");
  const socket = join(folder, "c.sock");
  const configFile = join(folder, "config.toml");
  const netns = cri ? basename(folder) : undefined;
  writeFileSync(configFile, configText(folder, socket, cri) + (options.config ?? ""));
  if (netns !== undefined) {
    execFileSync("ip", ["netns", "add", netns]);
    execFileSync("ip", ["-n", netns, "link", "set", "lo", "up"]);
    writeFileSync(join(folder, "10-bridge.conflist"), JSON.stringify(conflist(folder)));
  }
  let child: ChildProcess | undefined;
  let exited: Promise<void> = Promise.resolve();
  const ctr = (args: readonly string[], run: RunOptions = {}) =>
    runProgram("ctr", ["-a", socket, ...args], { timeoutMs: 60_000, ...run });
  const log = () => readFileSync(join(folder, "log"), "utf8");
  const bundleFolder = (namespace: string) =>
    join(folder, "state/io.containerd.runtime.v2.task", namespace);
  const bundles = (namespace = "default") => list(bundleFolder(namespace));

  const start = async () => {
    const output = openSync(join(folder, "log"), "a");
    // Not `ip netns exec`: that makes a mount namespace, and a restarted containerd would not find
    // the mounts of the one before.
    const enter = netns === undefined ? [] : ["nsenter", `--net=/run/netns/${netns}`, "--"];
    const [file = "", ...args] = [...enter, "containerd", "-c", configFile];
    const started = spawn(file, args, {
      stdio: ["ignore", output, output],
      // Ctrl-C is for whoever started it, who then ends it in order.
      detached: true,
      env: options.env ?? process.env,
    });
    child = started;
    exited = new Promise((resolve) => started.once("exit", () => resolve()));
    await waitUntil(
      async () => {
        if (started.exitCode !== null) throw new Error(`containerd ended: ${log().slice(-4000)}`);
        return (await ctr(["version"])).exitCode === 0 && (!cri || (await criAnswers(socket)));
      },
      { what: "containerd", describe: () => log().slice(-4000) },
    );
  };
  const stop = async (signal: NodeJS.Signals = "SIGTERM") => {
    child?.kill(signal);
    await exited;
  };
  const leaks = () => [
    ...processes({ home: folder, instance: "-" }),
    ...readFileSync("/proc/self/mountinfo", "utf8")
      .split("\n")
      .map((line) => line.split(" ")[4] ?? "")
      .filter((point) => point.startsWith(`${folder}/`)),
    ...["default", "k8s.io"].flatMap((namespace) =>
      bundles(namespace).map((id) => `bundle ${namespace}/${id}`),
    ),
  ];
  const scene: Containerd = {
    folder,
    socket,
    configFile,
    netns,
    get pid() {
      return child?.pid ?? 0;
    },
    log,
    ctr,
    async importBaseImage(namespace = "default") {
      const archive = baseImageArchive(folder);
      const imported = await ctr(["-n", namespace, "images", "import", archive]);
      if (imported.exitCode !== 0) throw new Error(`the import failed: ${imported.stderr}`);
    },
    bundles,
    bundleOf: (id, namespace = "default") => join(bundleFolder(namespace), id),
    start,
    stop,
    leaks,
    async dispose() {
      await stop();
      await endFolder(folder);
      if (netns !== undefined && list("/run/netns").includes(netns)) {
        execFileSync("ip", ["netns", "delete", netns]);
      }
      rmSync(folder, { recursive: true, force: true });
    },
  };
  try {
    await start();
  } catch (error) {
    await scene.dispose();
    throw error;
  }
  return scene;
}

/** containerd serves the CRI's socket before it has read what sandboxes there are. */
async function criAnswers(socket: string): Promise<boolean> {
  const client = connectCri(socket);
  try {
    await client.call(criCalls.listPodSandbox, {}, 5_000);
    return true;
  } catch {
    return false;
  } finally {
    client.close();
  }
}

function configText(folder: string, socket: string, cri: boolean): string {
  const general = `version = 2
root = "${folder}/root"
state = "${folder}/state"
${cri ? "" : 'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n'}[grpc]
  address = "${socket}"
[ttrpc]
  address = "${socket}.ttrpc"
`;
  if (!cri) return general;
  return `${general}[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${pauseImageName}"
  netns_mounts_under_state_dir = true
  disable_apparmor = true
  restrict_oom_score_adj = true
  stats_collect_period = 1
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "${cniPlugins}"
  conf_dir = "${folder}"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
`;
}

function conflist(folder: string): object {
  return {
    cniVersion: "0.4.0",
    name: basename(folder),
    plugins: [
      {
        type: "bridge",
        bridge: "cni0",
        isGateway: true,
        ipam: {
          type: "host-local",
          dataDir: join(folder, "ipam"),
          ranges: [[{ subnet: "10.88.0.0/24" }]],
          routes: [{ dst: "0.0.0.0/0" }],
        },
      },
    ],
  };
}

function list(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
