/**
 * The runtime half of a node in a home of its own: images made of this machine's programs, a pod
 * network, genuine containerd-shim-runc-v2. `dispose` checks nothing; leak checks are the test's.
 */
import { execFileSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { silentLogger } from "../../../common/log.ts";
import { type Paths, resolvePaths } from "../../../common/paths.ts";
import { createDockerRuntime } from "../../../simulator/docker/index.ts";
import { createImageService, type NodeImages } from "../../../simulator/images/index.ts";
import { createCniNetwork, type PodNetwork } from "../../../simulator/network/index.ts";
import {
  type ContainerRuntimeOptions,
  createContainerRuntime,
} from "../../../simulator/runtime/index.ts";
import type {
  ContainerRuntime,
  ContainerSpec,
  ImageRef,
  SandboxSpec,
} from "../../../simulator/runtime-port.ts";
import { makeBaseImage } from "./host-rootfs.ts";

export interface TestNode {
  readonly paths: Paths;
  readonly images: NodeImages;
  readonly network: PodNetwork;
  readonly runtime: ContainerRuntime;
  readonly image: ImageRef;
  /** Closes this process's side; sandboxes go on. */
  close(): Promise<void>;
}

/** Why genuine runc containers cannot run here; undefined when they can. */
export function whyNoRunc(): string | undefined {
  if (process.getuid?.() !== 0) return "needs root";
  const missing = ["containerd-shim-runc-v2", "runc", "umoci", "ip", "socat", "bridge"].filter(
    (name) =>
      !["/usr/bin", "/usr/sbin", "/bin", "/sbin", "/usr/lib/cni"].some((f) =>
        existsSync(join(f, name)),
      ),
  );
  if (missing.length > 0) return `missing: ${missing.join(", ")}`;
  if (!existsSync(builtPause()) && !existsSync("/usr/bin/cc")) return "no pause program and no cc";
  return undefined;
}

/**
 * Opens the node under `home`; a second one on the same home is a restarted node. With the socket of
 * a Docker Engine that one runs its pods, else containerd's runc shim.
 */
export async function openTestNode(
  home: string,
  name: string,
  options: Pick<ContainerRuntimeOptions, "handlers" | "prove"> & { dockerSocket?: string } = {},
): Promise<TestNode> {
  const paths = resolvePaths({ name, home, env: {} });
  if (!existsSync(join(paths.guest, "base-image"))) {
    makeBaseImage(paths.guest);
    putPause(join(paths.guest, "pause"));
  }
  const images = createImageService({ paths, log: silentLogger });
  const image = await images.importBuiltin();
  if (image === undefined) throw new Error("the test image was not imported");
  const network = createCniNetwork({
    name,
    folder: join(paths.run, "network"),
    rangeFile: join(paths.state, "pod-cidr"),
    nodeIp: "10.224.0.4",
    binDirs: ["/opt/cni/bin", "/usr/lib/cni"],
    log: silentLogger,
  });
  const { dockerSocket, ...shimOptions } = options;
  // Needs root, which a node over Docker Engine does not.
  if (dockerSocket === undefined) await network.ensureNode();
  const shared = { paths, images, log: silentLogger };
  const runtime =
    dockerSocket === undefined
      ? createContainerRuntime({ ...shared, network, ...shimOptions })
      : createDockerRuntime({ ...shared, env: { DOCKER_HOST: `unix://${dockerSocket}` } });
  await runtime.recover();
  return {
    paths,
    images,
    network,
    runtime,
    image,
    async close() {
      await runtime.close();
      images.close();
    },
  };
}

export function sandboxSpec(change: Partial<SandboxSpec> = {}): SandboxSpec {
  return {
    podName: "pod",
    podNamespace: "default",
    podUid: "11111111-2222-3333-4444-555555555555",
    attempt: 0,
    hostname: "pod-host",
    labels: {},
    annotations: {},
    resources: {},
    hostNetwork: false,
    hostPid: false,
    hostIpc: false,
    shareProcessNamespace: false,
    dns: { servers: ["10.0.0.10"], searches: ["default.svc.cluster.local"], options: ["ndots:5"] },
    sysctls: {},
    ...change,
  };
}

export function containerSpec(
  node: TestNode,
  script: string,
  change: Partial<ContainerSpec> = {},
): ContainerSpec {
  const name = change.name ?? "main";
  return {
    name,
    attempt: 0,
    image: node.image,
    command: ["/bin/sh", "-c", script],
    env: [],
    mounts: [],
    resources: {},
    oomScoreAdj: 0,
    security: {
      supplementalGroups: [],
      readOnlyRootFilesystem: false,
      privileged: false,
      allowPrivilegeEscalation: true,
      capabilitiesAdd: [],
      capabilitiesDrop: [],
    },
    tty: false,
    stdin: false,
    stdinOnce: false,
    logPath: join(node.paths.podLogs, "pod", name, "0.log"),
    ...change,
  };
}

function builtPause(): string {
  return join(resolvePaths({ name: "default" }).guest, "pause", "pause");
}

function putPause(folder: string): void {
  mkdirSync(folder, { recursive: true });
  const target = join(folder, "pause");
  if (existsSync(builtPause())) copyFileSync(builtPause(), target);
  else {
    const source = join(import.meta.dirname, "../../../runtime-shim/guest/pause.c");
    execFileSync("cc", ["-static", "-O1", "-o", target, source]);
  }
}
