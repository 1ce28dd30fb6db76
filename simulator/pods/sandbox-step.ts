/**
 * Makes the pod's sandbox: volumes, runtime handler, the sandbox itself and the word on what it is
 * (kubelet kuberuntime_sandbox.go createPodSandbox). Also takes dead ones away.
 */
import { messageOf } from "../../common/errors.ts";
import { toUnits } from "../../common/quantity.ts";
import type { RuntimeClass } from "../../proto/kubernetes/gen/types.ts";
import { podReference } from "../events/references.ts";
import { type PodObject, podsPath } from "../objects.ts";
import type { HostPort, SandboxSpec, SandboxStatus, VmFacts } from "../runtime-port.ts";
import { sandboxResources } from "../sizing/pod-resources.ts";
import { memoryRefusal } from "./admission.ts";
import { podFacts } from "./container-config.ts";
import { criErrorText, withHint } from "./event-texts.ts";
import type { PodDependencies } from "./pod-dependencies.ts";
import { podDns } from "./pod-dns.ts";
import { podHostname } from "./pod-files.ts";
import type { Observation, PodRecord } from "./pod-record.ts";
import type { Waiting } from "./pod-status.ts";
import { takeStartPlace } from "./start-place.ts";
import { report } from "./status-report.ts";

// The kubelet's back-off after a failed sync of a pod.
const retryMs = 10_000;

/** The handler of a pod without runtimeClassName: containerd's default_runtime_name. */
export const defaultHandler = "runc";

/**
 * Undefined when the sandbox stands, else after how many milliseconds to try again, or why this machine cannot
 * take the pod.
 */
export async function createSandbox(
  record: PodRecord,
  seen: Observation,
  deps: PodDependencies,
): Promise<number | Waiting | undefined> {
  const { pod } = record;
  const about = podReference(pod);
  const previous = seen.sandboxes.at(-1);
  if (previous !== undefined) {
    const key = `${record.uid}/`;
    const waitMs = deps.containerBackoff.remainingMs(key, previous.createdAtMs);
    if (waitMs > 0) {
      // A VM that dies as soon as it is up must not be booted again and again without a pause.
      await report(record, deps, { observeFirst: false });
      return waitMs;
    }
    deps.containerBackoff.next(key, previous.createdAtMs);
    deps.events.record(about, {
      type: "Normal",
      reason: "SandboxChanged",
      message: "Pod sandbox changed, it will be killed and re-created.",
    });
    // First the API learns how the containers ended: only then may the runtime forget it.
    await report(record, deps, { observeFirst: false });
    await removeSandboxes(seen.sandboxes, deps);
    record.sandbox = undefined;
    record.waiting.clear();
    record.timeline.restart();
  }
  const mountRetryMs = await setUpVolumes(record, deps);
  if (mountRetryMs !== undefined) {
    await report(record, deps);
    return mountRetryMs;
  }
  let sandbox: SandboxStatus;
  let place: { leave(): void } | undefined;
  try {
    const handler = await handlerOf(record, deps);
    const spec = await sandboxSpec(record);
    const taken = await takeStartPlace(record, handler, deps);
    if ("shortage" in taken) {
      const refusal = memoryRefusal(taken.shortage);
      // A pod that has run here is not given up: others may make room.
      if (record.nextSandboxAttempt === 0) return refusal;
      throw new Error(refusal.message);
    }
    place = taken;
    sandbox = await deps.runtime.runSandbox(handler, spec, record.interrupt.signal);
  } catch (error) {
    record.interrupt.signal.throwIfAborted();
    deps.log.warn({ pod: pod.metadata.name, error: messageOf(error) }, "no sandbox");
    deps.events.record(about, {
      type: "Warning",
      reason: "FailedCreatePodSandBox",
      message: `Failed to create pod sandbox: ${criErrorText(error)}`,
    });
    await report(record, deps);
    return retryMs;
  } finally {
    place?.leave();
  }
  record.sandbox = sandbox;
  if (sandbox.vm !== undefined) await announceVm(record, sandbox.vm, deps);
  if (sandbox.engine !== undefined) await announceEngine(record, sandbox.engine, deps);
  if (sandbox.networkLimit !== undefined) {
    deps.events.record(about, {
      type: "Warning",
      reason: "NetworkLimited",
      message: sandbox.networkLimit,
    });
  }
  await report(record, deps);
  return undefined;
}

/**
 * Undefined when they stand, else after how many milliseconds to try again. After a restart of the
 * agent their paths are not known: setting up again changes nothing.
 */
export async function setUpVolumes(
  record: PodRecord,
  deps: PodDependencies,
): Promise<number | undefined> {
  if (record.volumePaths.size === (record.pod.spec.volumes ?? []).length) return undefined;
  try {
    record.volumePaths = await deps.volumes.setUp(record.pod, podFacts(deps, record.sandbox?.ip));
    deps.mountBackoff.forget(record.uid);
    return undefined;
  } catch (error) {
    deps.events.record(podReference(record.pod), {
      type: "Warning",
      reason: "FailedMount",
      message: withHint(error),
    });
    deps.mountBackoff.next(record.uid, deps.clock.nowMs());
    return deps.mountBackoff.delayMs(record.uid);
  }
}

/** Kills what is left in them and removes every trace. Safe to repeat. */
export async function removeSandboxes(
  sandboxes: readonly SandboxStatus[],
  { runtime }: Pick<PodDependencies, "runtime">,
): Promise<void> {
  for (const { id } of sandboxes) {
    await runtime.stopSandbox(id);
    await runtime.removeSandbox(id);
  }
}

/** RuntimeClass → handler: kubelet runtimeclass_manager.go LookupRuntimeHandler. */
export async function handlerOf(record: PodRecord, deps: PodDependencies): Promise<string> {
  const name = record.pod.spec.runtimeClassName;
  if (!name) return defaultHandler;
  if (record.handler !== undefined) return record.handler;
  const found = await deps.cluster.get<RuntimeClass & { metadata: object }>(
    { groupVersion: "apis/node.k8s.io/v1", plural: "runtimeclasses" },
    name,
  );
  if (found === undefined) {
    throw new Error(`failed to get sandbox runtime: runtimeclass.node.k8s.io "${name}" not found`);
  }
  record.handler = found.handler;
  return found.handler;
}

async function sandboxSpec(record: PodRecord): Promise<SandboxSpec> {
  const { pod } = record;
  const { spec, metadata } = pod;
  return {
    podName: metadata.name,
    podNamespace: metadata.namespace,
    podUid: metadata.uid,
    attempt: record.nextSandboxAttempt,
    hostname: podHostname(pod),
    labels: metadata.labels ?? {},
    annotations: metadata.annotations ?? {},
    resources: sandboxResources(spec),
    hostNetwork: spec.hostNetwork === true,
    hostPid: spec.hostPID === true,
    hostIpc: spec.hostIPC === true,
    shareProcessNamespace: spec.shareProcessNamespace === true,
    dns: await podDns(spec),
    hostPorts: hostPorts(spec),
    ...(spec.securityContext?.fsGroup === undefined
      ? {}
      : { fsGroup: spec.securityContext.fsGroup }),
    sysctls: Object.fromEntries(
      (spec.securityContext?.sysctls ?? []).map(({ name, value }) => [name, value]),
    ),
    volumes: {
      sharesFolders: (spec.volumes ?? []).some(({ hostPath }) => hostPath),
      emptyDirBytes: Object.fromEntries(
        (spec.volumes ?? []).flatMap(({ name, emptyDir }) =>
          emptyDir?.sizeLimit === undefined ? [] : [[name, toUnits(emptyDir.sizeLimit)]],
        ),
      ),
    },
  };
}

/** kubelet kuberuntime_sandbox.go generatePodSandboxConfig: ports of containers only, init containers have none. */
function hostPorts({ containers }: PodObject["spec"]): readonly HostPort[] {
  return containers.flatMap(({ ports = [] }) =>
    ports.flatMap(({ hostPort, containerPort, protocol = "TCP", hostIP }) =>
      hostPort
        ? [
            {
              hostPort,
              containerPort,
              protocol: protocol.toLowerCase(),
              ...(hostIP ? { hostIP } : {}),
            },
          ]
        : [],
    ),
  );
}

async function announceVm(record: PodRecord, vm: VmFacts, deps: PodDependencies): Promise<void> {
  deps.events.record(podReference(record.pod), {
    type: "Normal",
    reason: "SandboxBooted",
    message: vmText(vm),
  });
  await note(record, deps, {
    "katasim.dev/hypervisor": vm.hypervisor,
    "katasim.dev/accelerator": vm.accelerator,
    "katasim.dev/vm-vcpus": String(vm.vcpus),
    "katasim.dev/vm-memory-mib": String(vm.memoryMib),
    ...(vm.kernelRelease === undefined ? {} : { "katasim.dev/guest-kernel": vm.kernelRelease }),
    ...(vm.sizedBy === undefined ? {} : { "katasim.dev/sized-by": vm.sizedBy }),
  });
}

/** Nothing marks a pod of the default engine; another one must not serve in silence. */
async function announceEngine(
  record: PodRecord,
  engine: string,
  deps: PodDependencies,
): Promise<void> {
  deps.events.record(podReference(record.pod), {
    type: "Normal",
    reason: "SandboxEngine",
    message: `the pod's containers run in ${engine}`,
  });
  await note(record, deps, { "katasim.dev/runtime-engine": engine });
}

async function note(
  record: PodRecord,
  deps: PodDependencies,
  annotations: Readonly<Record<string, string>>,
): Promise<void> {
  try {
    await annotate(record, annotations, deps);
  } catch (error) {
    // The pod runs all the same; what is lost is a note.
    deps.log.warn({ error: messageOf(error) }, "the pod was not annotated");
  }
}

function vmText(vm: VmFacts): string {
  const rung = vm.accelerator === "tcg" ? "software emulation" : "hardware virtualization";
  const cpus = `${vm.vcpus} vCPU${vm.vcpus === 1 ? "" : "s"}`;
  const machine = `${cpus}, ${vm.memoryMib} MiB, ${vm.hypervisor}/${vm.accelerator} (${rung})`;
  const kernel = vm.kernelRelease === undefined ? "" : ` with kernel ${vm.kernelRelease}`;
  const time = vm.bootMs === undefined ? "" : ` in ${(vm.bootMs / 1000).toFixed(1)} s`;
  const rule = vm.sizedBy === undefined ? "" : `; sized by Kata's own ${vm.sizedBy}`;
  return `micro-VM${kernel} booted${time}: ${machine}${rule}`;
}

/**
 * Through the status subresource, because that is all a node may write of a pod on a cluster with
 * NodeRestriction; where a server drops metadata there, through the pod itself.
 */
async function annotate(
  record: PodRecord,
  annotations: Readonly<Record<string, string>>,
  { cluster }: PodDependencies,
): Promise<void> {
  const { name, namespace, uid } = record.pod.metadata;
  const patch = { metadata: { uid, annotations } };
  const type = "application/merge-patch+json";
  const stored = await cluster.patch<PodObject>(podsPath(namespace), name, patch, {
    type,
    subresource: "status",
  });
  const missing = Object.keys(annotations).some(
    (key) => stored.metadata.annotations?.[key] !== annotations[key],
  );
  record.pod = missing
    ? await cluster.patch<PodObject>(podsPath(namespace), name, patch, { type })
    : stored;
}
