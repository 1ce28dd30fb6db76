/**
 * The node's one container runtime over its adapters: a new sandbox goes to the adapter that serves
 * its handler, and every later verb to the adapter that knows the sandbox or container.
 */
import type { ContainerRuntime, HandlerStatus } from "./runtime-port.ts";

export interface RoutedRuntimes {
  readonly all: readonly ContainerRuntime[];
  /** Rejects when the handler cannot be served, saying why. */
  forHandler(handler: string): Promise<ContainerRuntime>;
  handlers(): Promise<readonly HandlerStatus[]>;
}

export function createRuntimeRouter(routed: RoutedRuntimes): ContainerRuntime {
  const { all } = routed;
  // Answers for what nobody knows.
  const [fallback] = all as [ContainerRuntime];

  async function ofSandbox(id: string): Promise<ContainerRuntime> {
    for (const runtime of all) if ((await runtime.sandboxStatus(id)) !== undefined) return runtime;
    return fallback;
  }

  async function ofContainer(id: string): Promise<ContainerRuntime> {
    for (const runtime of all) {
      if ((await runtime.containerStatus(id)) !== undefined) return runtime;
    }
    return fallback;
  }

  return {
    handlers: () => routed.handlers(),
    runSandbox: async (handler, spec, signal) =>
      (await routed.forHandler(handler)).runSandbox(handler, spec, signal),
    sandboxStatus: async (id) => (await ofSandbox(id)).sandboxStatus(id),
    listSandboxes: async () =>
      (await Promise.all(all.map((runtime) => runtime.listSandboxes()))).flat(),
    stopSandbox: async (id) => (await ofSandbox(id)).stopSandbox(id),
    removeSandbox: async (id) => (await ofSandbox(id)).removeSandbox(id),
    createContainer: async (id, spec) => (await ofSandbox(id)).createContainer(id, spec),
    startContainer: async (id) => (await ofContainer(id)).startContainer(id),
    stopContainer: async (id, graceMs) => (await ofContainer(id)).stopContainer(id, graceMs),
    removeContainer: async (id) => (await ofContainer(id)).removeContainer(id),
    containerStatus: async (id) => (await ofContainer(id)).containerStatus(id),
    listContainers: async (id) => (await ofSandbox(id)).listContainers(id),
    exec: async (id, options) => (await ofContainer(id)).exec(id, options),
    attach: async (id, options) => (await ofContainer(id)).attach(id, options),
    portForward: async (id, port) => (await ofSandbox(id)).portForward(id, port),
    usage: async (id) => (await ofSandbox(id)).usage(id),
    onEvent(listener) {
      const offs = all.map((runtime) => runtime.onEvent(listener));
      return () => {
        for (const off of offs) off();
      };
    },
    recover: async () => void (await Promise.all(all.map((runtime) => runtime.recover()))),
    close: async () => void (await Promise.all(all.map((runtime) => runtime.close()))),
  };
}
