/** A CRI client, as kubelet is one: gRPC over containerd's socket, v1 messages. */
import {
  create,
  type DescMessage,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { Client, credentials, Metadata } from "@grpc/grpc-js";
import * as pb from "../../proto/cri/gen/runtime_pb.js";
import { baseImageName } from "./containerd-image.ts";

export const cri = pb.RuntimeService.method;

export interface CriClient {
  /** Rejects with gRPC's ServiceError: `code`, `details`. */
  call<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    timeoutMs?: number,
  ): Promise<MessageShape<O>>;
  close(): void;
}

export function connectCri(socket: string): CriClient {
  const client = new Client(`unix://${socket}`, credentials.createInsecure(), {
    // A socket's path is no host name, and Go's server insists on one.
    "grpc.default_authority": "localhost",
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.max_reconnect_backoff_ms": 500,
  });
  return {
    call: (method, request, timeoutMs = 90_000) =>
      new Promise((resolve, reject) => {
        client.makeUnaryRequest(
          `/${method.parent.typeName}/${method.name}`,
          (message) => Buffer.from(toBinary(method.input, message)),
          (bytes) => fromBinary(method.output, bytes),
          create(method.input, request),
          new Metadata(),
          { deadline: Date.now() + timeoutMs },
          (error, answer) => {
            if (error !== null) reject(error);
            else resolve(answer as never);
          },
        );
      }),
    close: () => client.close(),
  };
}

type Plain<T> = Exclude<T, { $typeName: string }>;
export type SandboxConfig = Plain<MessageInitShape<typeof pb.PodSandboxConfigSchema>>;
export type ContainerConfig = Plain<MessageInitShape<typeof pb.ContainerConfigSchema>>;

export interface CriPod {
  readonly id: string;
  readonly config: SandboxConfig;
  /** Creates and starts; answers the container's id. Its log is `<log folder>/<name>.log`. */
  run(name: string, args: readonly string[], more?: ContainerConfig): Promise<string>;
}

/** What kubelet sends for a pod: `more` replaces whole fields. */
export async function runPod(
  client: CriClient,
  options: {
    readonly name: string;
    readonly handler: string;
    readonly logFolder: string;
    readonly more?: SandboxConfig;
  },
): Promise<CriPod> {
  const { name, handler, logFolder } = options;
  const config: SandboxConfig = {
    metadata: { name, uid: `uid-${name}`, namespace: "default", attempt: 0 },
    hostname: name,
    logDirectory: logFolder,
    dnsConfig: { servers: ["10.0.0.10"], searches: ["default.svc.cluster.local"] },
    annotations: {},
    linux: { cgroupParent: `/${cgroupParent}` },
    ...options.more,
  };
  const { podSandboxId: id } = await client.call(cri.runPodSandbox, {
    config,
    runtimeHandler: handler,
  });
  return {
    id,
    config,
    async run(containerName, args, more = {}) {
      const { containerId } = await client.call(cri.createContainer, {
        podSandboxId: id,
        sandboxConfig: config,
        config: {
          metadata: { name: containerName },
          image: { image: baseImageName },
          command: [...args],
          logPath: `${containerName}.log`,
          // kubelet says so for every pod that does not share its process namespace.
          linux: { securityContext: { namespaceOptions: { pid: pb.NamespaceMode.CONTAINER } } },
          ...more,
        },
      });
      await client.call(cri.startContainer, { containerId });
      return containerId;
    },
  };
}

/** Below each cgroup controller; named after this file's process, for clean-up. */
export const cgroupParent = `kcri-${process.pid}`;

export async function endPod(client: CriClient, id: string): Promise<void> {
  await client.call(cri.stopPodSandbox, { podSandboxId: id });
  await client.call(cri.removePodSandbox, { podSandboxId: id });
}
