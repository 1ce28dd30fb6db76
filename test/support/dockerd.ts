/**
 * A private Docker Engine (and the containerd it starts) in a short folder and a network namespace of
 * its own: never the machine's. KATASIM_TEST_DOCKERD names another dockerd than the one on PATH.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import {
  chmodSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { request } from "node:http";
import { basename, join } from "node:path";
import { endFolder } from "./end-folder.ts";
import { waitUntil } from "./wait-until.ts";

export interface Dockerd {
  readonly folder: string;
  readonly socket: string;
  /** Network namespace of the engine: its bridges and ports are there. */
  readonly netns: string;
  readonly version: string;
  log(): string;
  /** GET of the Engine API, as JSON; shares no code with the product. */
  get(path: string): Promise<unknown>;
  /** Ids and names of everything with the label `io.katasim.instance=<instance>`. */
  leftOf(instance: string): Promise<readonly string[]>;
  start(): Promise<void>;
  /** SIGKILL leaves its containers running, as a crash would. */
  stop(signal?: NodeJS.Signals): Promise<void>;
  /** Stops it with everything it runs and removes every file. Idempotent. */
  dispose(): Promise<void>;
}

export interface DockerdOptions {
  /** More of daemon.json. */
  readonly config?: Readonly<Record<string, unknown>>;
  readonly args?: readonly string[];
  /** Numeric group that may use the socket. Default: root's. */
  readonly group?: number;
}

const program = process.env.KATASIM_TEST_DOCKERD ?? "dockerd";

/** Why genuine dockerd cannot run here; undefined when it can. */
export function dockerdObstacle(): string | undefined {
  if (process.getuid?.() !== 0) return "dockerd needs root";
  try {
    execFileSync(program, ["--version"], { stdio: "ignore" });
    return undefined;
  } catch {
    return `${program} is not installed (Debian package docker.io)`;
  }
}

export async function startDockerd(options: DockerdOptions = {}): Promise<Dockerd> {
  const folder = mkdtempSync("/tmp/kdck-");
  // Users who may use the socket must reach it.
  chmodSync(folder, 0o711);
  const netns = basename(folder).toLowerCase();
  const socket = join(folder, "docker.sock");
  const config = join(folder, "daemon.json");
  writeFileSync(config, JSON.stringify(options.config ?? {}));
  execFileSync("ip", ["netns", "add", netns]);
  execFileSync("ip", ["-n", netns, "link", "set", "lo", "up"]);
  let child: ChildProcess | undefined;
  let exited: Promise<void> = Promise.resolve();
  const log = () => readFileSync(join(folder, "log"), "utf8");
  const get = (path: string) => getJson(socket, path);

  async function start(): Promise<void> {
    const output = openSync(join(folder, "log"), "a");
    child = spawn(
      "nsenter",
      [
        `--net=/run/netns/${netns}`,
        program,
        ...["--config-file", config, "--host", `unix://${socket}`],
        ...["--data-root", join(folder, "data"), "--exec-root", join(folder, "exec")],
        ...["--pidfile", join(folder, "pid"), "--group", String(options.group ?? 0)],
        ...(options.args ?? []),
      ],
      { stdio: ["ignore", output, output] },
    );
    const running = child;
    exited = new Promise((resolve) => running.once("exit", () => resolve()));
    await waitUntil(
      async () => {
        if (running.exitCode !== null) throw new Error(`dockerd ended:\n${log().slice(-3000)}`);
        return (await get("/_ping").catch(() => undefined)) === "OK";
      },
      { what: "dockerd to answer", timeoutMs: 60_000, describe: () => log().slice(-2000) },
    );
  }

  async function stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    child?.kill(signal);
    await exited;
    child = undefined;
  }

  async function dispose(): Promise<void> {
    await stop();
    // A killed dockerd leaves its containerd and shims; their files are all under the folder.
    await endFolder(folder);
    if (readdirSync("/run/netns").includes(netns)) execFileSync("ip", ["netns", "del", netns]);
    rmSync(folder, { recursive: true, force: true });
  }

  try {
    await start();
    const { Version } = (await get("/version")) as { Version: string };
    return {
      folder,
      socket,
      netns,
      version: Version,
      log,
      get,
      leftOf: (instance) => leftOf(get, instance),
      start,
      stop,
      dispose,
    };
  } catch (error) {
    await dispose();
    throw error;
  }
}

async function leftOf(get: Dockerd["get"], instance: string): Promise<readonly string[]> {
  const filters = encodeURIComponent(
    JSON.stringify({ label: [`io.katasim.instance=${instance}`] }),
  );
  const containers = (await get(`/containers/json?all=true&filters=${filters}`)) as Array<{
    Names: string[];
  }>;
  const networks = (await get(`/networks?filters=${filters}`)) as Array<{ Name: string }>;
  return [
    ...containers.map(({ Names }) => `container ${Names[0]}`),
    ...networks.map(({ Name }) => `network ${Name}`),
  ];
}

function getJson(socketPath: string, path: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const call = request({ socketPath, path }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        text += chunk;
      });
      response.once("end", () => {
        const isJson = response.headers["content-type"]?.includes("json");
        resolve(isJson ? JSON.parse(text) : text);
      });
    });
    call.once("error", reject);
    call.end();
  });
}
