/** What runs trusted pods: each twin is run through the one suite of `runtime.test.ts`. */
import { resolvePaths } from "../../../common/paths.ts";
import { type Dockerd, dockerdObstacle, startDockerd } from "../../support/dockerd.ts";
import { openTestNode, type TestNode, whyNoRunc } from "./test-node.ts";
import { traces } from "./traces.ts";

export interface RuntimeTwin {
  readonly name: string;
  /** Why it cannot run here. */
  readonly why: string | undefined;
  readonly podIp: RegExp;
  readonly engine: RegExp;
  /** Its words for a command that is not in the image. */
  readonly missingCommand: RegExp;
  readonly badSysctl: RegExp;
  start(): Promise<void>;
  open(home: string, name: string): Promise<TestNode>;
  /** What the node left behind. */
  traces(home: string, name: string): Promise<readonly string[]>;
  stop(): Promise<void>;
}

const shims: RuntimeTwin = {
  name: "containerd-shim-runc-v2",
  why: whyNoRunc(),
  podIp: /^10\.244\.\d+\.\d+$/,
  engine: /^containerd-shim-runc-v2 \(.+\)$/,
  missingCommand:
    /^failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: .*no such file or directory: unknown$/,
  badSysctl: /^failed to create containerd task: failed to create shim task: .*no\.such\.sysctl/,
  start: async () => {},
  open: (home, name) => openTestNode(home, name),
  traces: (home, name) => traces(name, home),
  stop: async () => {},
};

let dockerd: Dockerd | undefined;

function running(): Dockerd {
  if (dockerd === undefined) throw new Error("dockerd was not started");
  return dockerd;
}

const docker: RuntimeTwin = {
  name: "Docker Engine",
  why: dockerdObstacle() ?? whyNoRunc(),
  podIp: /^172\.\d+\.\d+\.\d+$/,
  engine: /^Docker Engine \d+\.\d+\.\d+ \(unix:\/\/.+\)$/,
  missingCommand:
    /^failed to start container "missing": Error response from daemon: .*OCI runtime create failed: runc create failed: .*no such file or directory: unknown$/,
  badSysctl:
    /^failed to create a sandbox for pod "pod": Error response from daemon: .*no\.such\.sysctl/,
  async start() {
    dockerd = await startDockerd();
  },
  open: (home, name) => openTestNode(home, name, { dockerSocket: running().socket }),
  async traces(home, name) {
    const { machineName } = resolvePaths({ name, home, env: {} });
    return [...(await traces(name, home)), ...(await running().leftOf(machineName))];
  },
  async stop() {
    await dockerd?.dispose();
    dockerd = undefined;
  },
};

export const runtimeTwins: readonly RuntimeTwin[] = [shims, docker];

for (const { name, why } of runtimeTwins) {
  if (why !== undefined) console.warn(`skipped: ${name} cannot run containers here: ${why}`);
}
