/**
 * A container's spec for the runtime, from the pod and what the node knows: kubelet
 * kuberuntime_container.go generateContainerConfig. Rejects with CONTAINER_CONFIG in the kubelet's
 * words.
 */
import { join } from "node:path";
import { omitUndefined } from "../../common/omit-undefined.ts";
import type {
  Container,
  EphemeralContainer,
  SeccompProfile,
  VolumeMount,
} from "../../proto/kubernetes/gen/types.ts";
import { agentError } from "../errors.ts";
import { type PodObject, podText } from "../objects.ts";
import type {
  ContainerMount,
  ContainerSpec,
  ImageRef,
  SeccompChoice,
  SecurityContext,
} from "../runtime-port.ts";
import { containerResources } from "../sizing/pod-resources.ts";
import { oomScoreAdj } from "../sizing/quality-of-service.ts";
import { resolveSubPath } from "../volumes/index.ts";
import { containerEnvironment } from "./environment.ts";
import { expand } from "./expand.ts";
import type { PodFacts } from "./field-ref.ts";
import type { PodDependencies } from "./pod-dependencies.ts";
import { containerLogFolder, ensureHostsFile, makeTerminationLog } from "./pod-files.ts";

export interface ContainerConfigInput {
  readonly pod: PodObject;
  readonly container: Container | EphemeralContainer;
  readonly attempt: number;
  readonly image: ImageRef;
  readonly podIp: string | undefined;
  readonly volumePaths: ReadonlyMap<string, string>;
}

export function podFacts(deps: PodDependencies, podIp: string | undefined): PodFacts {
  return omitUndefined({
    nodeName: deps.node.name,
    hostIp: deps.node.hostIp,
    podIp,
    allocatable: deps.node.allocatable,
  });
}

export async function containerConfig(
  input: ContainerConfigInput,
  deps: PodDependencies,
): Promise<ContainerSpec> {
  const { pod, container, attempt, image } = input;
  const facts = podFacts(deps, input.podIp);
  const env = await containerEnvironment(container, { pod, data: deps.data, facts });
  const expanded = (words: readonly string[] | undefined) =>
    words?.map((word) => expand(word, (name) => env.get(name)));
  return omitUndefined({
    name: container.name,
    attempt,
    image,
    command: expanded(container.command),
    args: expanded(container.args),
    env: [...env].map(([name, value]) => ({ name, value })),
    workingDir: container.workingDir || undefined,
    mounts: await containerMounts(input, env, deps),
    resources: containerResources(container),
    oomScoreAdj: oomScoreAdj(pod.spec, container, deps.node.memoryCapacityBytes),
    security: securityContext(pod, container),
    tty: container.tty === true,
    stdin: container.stdin === true,
    stdinOnce: container.stdinOnce === true,
    logPath: join(containerLogFolder(deps.paths, pod, container.name), `${attempt}.log`),
  });
}

async function containerMounts(
  input: ContainerConfigInput,
  env: ReadonlyMap<string, string>,
  deps: PodDependencies,
): Promise<ContainerMount[]> {
  const { pod, container } = input;
  const mounts: ContainerMount[] = [];
  for (const mount of container.volumeMounts ?? []) {
    const volume = input.volumePaths.get(mount.name);
    if (volume === undefined) {
      throw agentError(
        "CONTAINER_CONFIG",
        `cannot find volume "${mount.name}" to mount into container "${container.name}"`,
      );
    }
    const subPath = subPathOf(mount, env);
    mounts.push({
      hostPath: subPath === undefined ? volume : await resolveSubPath(volume, subPath),
      containerPath: mount.mountPath.startsWith("/") ? mount.mountPath : `/${mount.mountPath}`,
      readOnly: mount.readOnly === true,
    });
  }
  const taken = (path: string) => mounts.some(({ containerPath }) => containerPath === path);
  if (!taken("/etc/hosts")) {
    const hostPath = await ensureHostsFile(deps.paths, pod, input.podIp);
    mounts.push({ hostPath, containerPath: "/etc/hosts", readOnly: false });
  }
  const logPath = container.terminationMessagePath || "/dev/termination-log";
  if (!taken(logPath)) {
    const hostPath = await makeTerminationLog(deps.paths, pod, container.name, input.attempt);
    mounts.push({ hostPath, containerPath: logPath, readOnly: false });
  }
  return mounts;
}

function subPathOf(mount: VolumeMount, env: ReadonlyMap<string, string>): string | undefined {
  if (!mount.subPathExpr) return mount.subPath || undefined;
  const missing: string[] = [];
  const subPath = expand(mount.subPathExpr, (name) => {
    const value = env.get(name);
    if (value === undefined) missing.push(name);
    return value;
  });
  if (missing.length > 0) {
    throw agentError(
      "CONTAINER_CONFIG",
      `failed to prepare subPathExpr for volumeMount "${mount.name}": missing value for ${missing.map((name) => JSON.stringify(name)).join(", ")}`,
    );
  }
  return subPath;
}

/** kubelet kuberuntime/helpers.go fieldSeccompProfile; a profile that nobody asks for is none. */
function seccompChoice(profile: SeccompProfile | undefined): SeccompChoice | undefined {
  if (profile?.type === "RuntimeDefault") return { type: "RuntimeDefault" };
  if (profile?.type !== "Localhost") return undefined;
  return { type: "Localhost", file: profile.localhostProfile ?? "" };
}

/** The container's settings over the pod's: kubelet securitycontext/util.go. */
export function securityContext(
  pod: PodObject,
  container: Container | EphemeralContainer,
): SecurityContext {
  const ofPod = pod.spec.securityContext ?? {};
  const own = container.securityContext ?? {};
  const runAsUser = own.runAsUser ?? ofPod.runAsUser;
  const runAsNonRoot = own.runAsNonRoot ?? ofPod.runAsNonRoot;
  if (runAsNonRoot && runAsUser === 0) {
    throw agentError(
      "CONTAINER_CONFIG",
      `container's runAsUser breaks non-root policy (pod: "${podText(pod)}", container: ${container.name})`,
    );
  }
  const groups = [...(ofPod.supplementalGroups ?? [])];
  if (ofPod.fsGroup !== undefined) groups.push(ofPod.fsGroup);
  const privileged = own.privileged === true;
  return omitUndefined({
    runAsUser,
    runAsGroup: own.runAsGroup ?? ofPod.runAsGroup,
    runAsNonRoot,
    supplementalGroups: [...new Set(groups)],
    readOnlyRootFilesystem: own.readOnlyRootFilesystem === true,
    privileged,
    // no_new_privs stands against what these two grant: they win (securitycontext/util.go).
    allowPrivilegeEscalation:
      privileged ||
      own.allowPrivilegeEscalation !== false ||
      (own.capabilities?.add ?? []).some((name) => /^(CAP_)?SYS_ADMIN$/.test(name)),
    capabilitiesAdd: own.capabilities?.add ?? [],
    capabilitiesDrop: own.capabilities?.drop ?? [],
    seccomp: privileged ? undefined : seccompChoice(own.seccompProfile ?? ofPod.seccompProfile),
  });
}
