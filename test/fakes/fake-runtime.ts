/** A container runtime in memory: nothing runs, everything is remembered, and tests decide when things end. */

import type { Clock } from "../../common/clock.ts";
import { sizingProfiles } from "../../runtime-shim/index.ts";
import type {
  ContainerRuntime,
  ContainerSpec,
  ContainerStatus,
  ImageService,
  RuntimeEvent,
  SandboxSpec,
  SandboxStatus,
  VmFacts,
} from "../../simulator/runtime-port.ts";

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

export interface FakeRuntime extends ContainerRuntime {
  readonly sandboxes: Map<string, Mutable<SandboxStatus>>;
  readonly containers: Map<string, Mutable<ContainerStatus>>;
  readonly sandboxSpecs: SandboxSpec[];
  readonly containerSpecs: ContainerSpec[];
  /** Verbs in the order they came: "stopContainer c 30000". */
  readonly calls: string[];
  running(name: string): Mutable<ContainerStatus> | undefined;
  /** The process ends by itself. */
  exit(name: string, exitCode: number): void;
  /** The VMM or shim dies. */
  killSandbox(reason: string): void;
  /** The next sandboxes wait until the returned function is called. */
  holdSandboxes(): () => void;
  failNext(verb: "runSandbox" | "createContainer" | "startContainer", error: unknown): void;
  /** Containers ignore SIGTERM: they end when the grace period is over. */
  stubborn: boolean;
  /** Runs within startContainer, before it answers. */
  onStart: ((status: Mutable<ContainerStatus>) => void) | undefined;
  vm: VmFacts | undefined;
}

export function createFakeRuntime(clock: Clock): FakeRuntime {
  const sandboxes = new Map<string, Mutable<SandboxStatus>>();
  const containers = new Map<string, Mutable<ContainerStatus>>();
  const listeners = new Set<(event: RuntimeEvent) => void>();
  const failures: Array<{ verb: string; error: unknown }> = [];
  const calls: string[] = [];
  let serial = 0;
  let gate: Promise<void> | undefined;

  const tell = (event: RuntimeEvent) => {
    for (const listener of listeners) listener(event);
  };
  const maybeFail = (verb: string) => {
    const at = failures.findIndex((failure) => failure.verb === verb);
    if (at !== -1) throw failures.splice(at, 1)[0]?.error;
  };
  const end = (
    status: Mutable<ContainerStatus>,
    exitCode: number,
    reason?: string,
    message?: string,
  ) => {
    if (status.state === "exited") return;
    status.state = "exited";
    status.exitCode = exitCode;
    status.finishedAtMs = clock.nowMs();
    if (reason !== undefined) status.reason = reason;
    if (message !== undefined) status.message = message;
    tell({ type: "containerExited", sandboxId: status.sandboxId, containerId: status.id });
  };
  const running = (name: string) =>
    [...containers.values()].find((each) => each.name === name && each.state === "running");
  const unused = () => Promise.reject(new Error("not part of this fake"));

  const runtime: FakeRuntime = {
    sandboxes,
    containers,
    sandboxSpecs: [],
    containerSpecs: [],
    calls,
    stubborn: false,
    onStart: undefined,
    vm: undefined,
    running,
    exit(name, exitCode) {
      const status = running(name);
      if (status !== undefined) end(status, exitCode);
    },
    killSandbox(reason) {
      for (const sandbox of sandboxes.values()) {
        if (sandbox.state !== "ready") continue;
        sandbox.state = "notready";
        sandbox.reason = reason;
        // Word of the containers' end may come later, or with stopSandbox.
        tell({ type: "sandboxExited", sandboxId: sandbox.id, reason });
      }
    },
    holdSandboxes() {
      let open = () => {};
      gate = new Promise((resolve) => {
        open = resolve;
      });
      return () => {
        gate = undefined;
        open();
      };
    },
    failNext: (verb, error) => failures.push({ verb, error }),
    handlers: async () => [
      { name: "runc", engine: "fake", sandboxed: false, usable: true, reason: "fake" },
      {
        name: "kata-mshv-vm-isolation",
        engine: "fake",
        sandboxed: true,
        usable: true,
        reason: "no /dev/kvm",
        sizingProfile: "aks-preview",
        sizing: sizingProfiles["aks-preview"],
        hypervisor: "qemu",
        accelerator: "tcg",
      },
    ],
    async runSandbox(handler, spec, signal) {
      calls.push(`runSandbox ${handler}`);
      maybeFail("runSandbox");
      if (gate !== undefined) {
        await Promise.race([
          gate,
          new Promise((_, reject) =>
            signal?.addEventListener("abort", () => reject(signal.reason), { once: true }),
          ),
        ]);
      }
      const id = `sandbox-${++serial}`;
      const status: Mutable<SandboxStatus> = {
        id,
        state: "ready",
        handler,
        podUid: spec.podUid,
        attempt: spec.attempt,
        createdAtMs: clock.nowMs(),
        ip: `10.244.0.${serial + 1}`,
        ...(runtime.vm && handler !== "runc" ? { vm: runtime.vm } : {}),
      };
      runtime.sandboxSpecs.push(spec);
      sandboxes.set(id, status);
      return { ...status };
    },
    sandboxStatus: async (id) => sandboxes.get(id),
    listSandboxes: async () => [...sandboxes.values()].map((each) => ({ ...each })),
    async stopSandbox(id) {
      calls.push(`stopSandbox ${id}`);
      const sandbox = sandboxes.get(id);
      if (sandbox === undefined) return;
      sandbox.state = "notready";
      for (const status of containers.values())
        if (status.sandboxId === id) end(status, 137, "Error");
    },
    async removeSandbox(id) {
      calls.push(`removeSandbox ${id}`);
      sandboxes.delete(id);
      for (const status of containers.values()) {
        if (status.sandboxId === id) containers.delete(status.id);
      }
    },
    async createContainer(sandboxId, spec) {
      calls.push(`createContainer ${spec.name} ${spec.attempt}`);
      maybeFail("createContainer");
      const id = `container-${++serial}`;
      const status: Mutable<ContainerStatus> = {
        id,
        sandboxId,
        name: spec.name,
        attempt: spec.attempt,
        state: "created",
        createdAtMs: clock.nowMs(),
        image: spec.image,
        logPath: spec.logPath,
      };
      runtime.containerSpecs.push(spec);
      containers.set(id, status);
      return { ...status };
    },
    async startContainer(id) {
      const status = containers.get(id);
      if (status === undefined) throw new Error(`no container ${id}`);
      calls.push(`startContainer ${status.name}`);
      maybeFail("startContainer");
      status.state = "running";
      status.startedAtMs = clock.nowMs();
      runtime.onStart?.(status);
      return { ...status };
    },
    async stopContainer(id, graceMs) {
      const status = containers.get(id);
      if (status === undefined || status.state === "exited") return;
      calls.push(`stopContainer ${status.name} ${graceMs}`);
      if (runtime.stubborn) await clock.sleep(graceMs);
      end(status, runtime.stubborn ? 137 : 143, "Error");
    },
    async removeContainer(id) {
      containers.delete(id);
    },
    containerStatus: async (id) => containers.get(id),
    listContainers: async (sandboxId) =>
      [...containers.values()]
        .filter((each) => each.sandboxId === sandboxId)
        .map((each) => ({ ...each })),
    exec: unused,
    attach: unused,
    portForward: unused,
    usage: async () => [],
    onEvent(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    recover: async () => {},
    close: async () => {},
  };
  return runtime;
}

export interface FakeImages extends ImageService {
  readonly present: Set<string>;
  readonly pulls: string[];
  /** What a pull of the name answers with instead of the image. */
  readonly failures: Map<string, unknown>;
}

export function createFakeImages(): FakeImages {
  const present = new Set<string>();
  const failures = new Map<string, unknown>();
  const pulls: string[] = [];
  const refOf = (name: string) => ({
    requested: name,
    resolved: `docker.io/library/${name}`,
    id: `sha256:${Buffer.from(name).toString("hex").padEnd(64, "0").slice(0, 64)}`,
    sizeBytes: 1000,
  });
  return {
    present,
    failures,
    pulls,
    find: async (name) => (present.has(name) ? refOf(name) : undefined),
    async pull(name) {
      pulls.push(name);
      if (failures.has(name)) throw failures.get(name);
      present.add(name);
      return refOf(name);
    },
  };
}
