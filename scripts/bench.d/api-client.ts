/**
 * A client of one node's API that adds as little time as can be: node:https with the admin's
 * certificate, kept-alive connections, one watch on all pods of the namespace `default`.
 */
import { readFileSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { Agent, type RequestOptions, request } from "node:https";
import { createInterface } from "node:readline";
import { parse } from "yaml";
import { createPodWatch, type PodEvent, type PodWatch } from "./pod-watch.ts";

export interface Credentials {
  /** e.g. https://127.0.0.1:6443 */
  readonly server: string;
  readonly ca: Buffer;
  readonly cert: Buffer;
  readonly key: Buffer;
}

export interface ApiClient {
  readonly credentials: Credentials;
  readonly watch: PodWatch;
  create(pod: object): Promise<void>;
  /** With no grace. */
  remove(pod: string): Promise<void>;
  /** Reads the whole log and answers its bytes. */
  logBytes(pod: string): Promise<number>;
  close(): void;
}

export const podsPath = "/api/v1/namespaces/default/pods";

export async function connectApi(kubeconfig: string, signal: AbortSignal): Promise<ApiClient> {
  const credentials = readCredentials(kubeconfig);
  const agent = new Agent({ keepAlive: true, ...credentials });
  const send = (options: RequestOptions & { readonly path: string }, body?: string) =>
    new Promise<IncomingMessage>((resolve, reject) => {
      const headers =
        body === undefined
          ? {}
          : { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
      const url = credentials.server + options.path;
      const call = request(url, { ...options, agent, headers, signal }, resolve);
      call.once("error", reject);
      call.end(body);
    });
  const ask = async (method: string, path: string, body?: string) => {
    const answer = await send({ method, path }, body);
    const bytes = await drain(answer, (answer.statusCode ?? 0) >= 300);
    if (bytes.text !== undefined) throw new Error(`${method} ${path}: ${bytes.text}`);
    return bytes.count;
  };

  const stream = await send({ path: `${podsPath}?watch=1` });
  const watch = createPodWatch(signal);
  const lines = createInterface({ input: stream });
  lines.on("line", (line) => watch.take(JSON.parse(line) as PodEvent));
  // Both report an interruption; whoever waits is told so below.
  for (const emitter of [stream, lines]) emitter.on("error", () => {});
  stream.once("close", () => watch.end(new Error("the watch on pods ended")));
  return {
    credentials,
    watch,
    async create(pod) {
      await ask("POST", podsPath, JSON.stringify(pod));
    },
    async remove(pod) {
      await ask("DELETE", `${podsPath}/${pod}?gracePeriodSeconds=0`);
    },
    logBytes: (pod) => ask("GET", `${podsPath}/${pod}/log`),
    close() {
      stream.destroy();
      agent.destroy();
    },
  };
}

/** Keeps the text only of what is to be shown. */
async function drain(
  answer: IncomingMessage,
  keep: boolean,
): Promise<{ readonly count: number; readonly text: string | undefined }> {
  let count = 0;
  const kept: Buffer[] = [];
  for await (const chunk of answer) {
    count += (chunk as Buffer).length;
    if (keep) kept.push(chunk as Buffer);
  }
  return { count, text: keep ? Buffer.concat(kept).toString("utf8").slice(0, 500) : undefined };
}

interface Kubeconfig {
  readonly clusters: ReadonlyArray<{
    readonly cluster: { readonly server: string; readonly "certificate-authority-data": string };
  }>;
  readonly users: ReadonlyArray<{
    readonly user: {
      readonly "client-certificate-data": string;
      readonly "client-key-data": string;
    };
  }>;
}

function readCredentials(kubeconfig: string): Credentials {
  const { clusters, users } = parse(readFileSync(kubeconfig, "utf8")) as Kubeconfig;
  const [cluster, user] = [clusters[0]?.cluster, users[0]?.user];
  if (cluster === undefined || user === undefined) {
    throw new Error(`${kubeconfig} names no cluster and user`);
  }
  const bytes = (base64: string) => Buffer.from(base64, "base64");
  return {
    server: cluster.server,
    ca: bytes(cluster["certificate-authority-data"]),
    cert: bytes(user["client-certificate-data"]),
    key: bytes(user["client-key-data"]),
  };
}
