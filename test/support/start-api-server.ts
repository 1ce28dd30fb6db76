/** The embedded API server alone, in this process, with a home of its own and genuine kubectl. */
import { mkdir, writeFile } from "node:fs/promises";
import type { IncomingHttpHeaders } from "node:http";
import { Agent, request } from "node:https";
import { join } from "node:path";
import { type ApiServer, createApiServer, type KeyPair } from "../../api/index.ts";
import { silentLogger } from "../../common/log.ts";
import { type Paths, resolvePaths } from "../../common/paths.ts";
import { createKubectl, type Kubectl } from "./kubectl.ts";
import { makeTempHome } from "./temp-home.ts";

export const testNodeName = "aks-nodepool1-12345678-vmss000000";

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  /** The parsed body; throws when it is not JSON. */
  json<T = Record<string, never>>(): T;
}

export interface CallOptions {
  readonly method?: string;
  readonly body?: string | object;
  readonly headers?: Readonly<Record<string, string>>;
  /** null = without a client certificate. Default: admin. */
  readonly as?: KeyPair | null;
}

export interface TestApiServer extends AsyncDisposable {
  readonly paths: Paths;
  readonly kubeconfig: string;
  readonly kubectl: Kubectl;
  readonly server: ApiServer;
  call(path: string, options?: CallOptions): Promise<Answer>;
  /** Lines of a watch until `enough` says so; then the connection is dropped. */
  watch(path: string, enough: (events: readonly WatchLine[]) => boolean): Promise<WatchLine[]>;
  /** Closes the server and starts another on the same database and port. */
  restart(): Promise<void>;
}

export interface WatchLine {
  readonly type: string;
  readonly object: {
    readonly kind: string;
    readonly metadata: {
      readonly name?: string;
      readonly resourceVersion?: string;
      readonly annotations?: Readonly<Record<string, string>>;
    };
    readonly [field: string]: unknown;
  };
}

export async function startApiServer(): Promise<TestApiServer> {
  const home = await makeTempHome();
  const paths = resolvePaths({ name: "default", home: home.path, env: {} });
  const start = (port: number) =>
    createApiServer({ paths, port, nodeName: testNodeName, log: silentLogger });
  let server = await start(0);
  const kubeconfig = join(home.path, "kubeconfig");
  await mkdir(join(home.path, "cache"), { recursive: true });
  await writeFile(kubeconfig, kubeconfigOf(server), { mode: 0o600 });
  const agents = new Map<KeyPair | null, Agent>();
  const agentOf = (as: KeyPair | null) => {
    const known = agents.get(as);
    if (known !== undefined) return known;
    const agent = new Agent({
      keepAlive: true,
      ca: server.credentials.caPem,
      ...(as === null ? {} : { cert: as.certPem, key: as.keyPem }),
    });
    agents.set(as, agent);
    return agent;
  };
  const open = (path: string, options: CallOptions) => {
    const { body } = options;
    const sent = request(new URL(path, server.url), {
      method: options.method ?? "GET",
      agent: agentOf(options.as === undefined ? server.credentials.admin : options.as),
      headers: {
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...options.headers,
      },
    });
    sent.end(typeof body === "object" ? JSON.stringify(body) : body);
    return sent;
  };

  return {
    paths,
    kubeconfig,
    kubectl: createKubectl(kubeconfig, join(home.path, "cache", "kubectl")),
    get server() {
      return server;
    },
    call: (path, options = {}) =>
      new Promise((resolve, reject) => {
        const sent = open(path, options);
        sent.once("error", reject);
        sent.once("response", async (response) => {
          const chunks: Buffer[] = [];
          for await (const chunk of response) chunks.push(chunk as Buffer);
          const text = Buffer.concat(chunks).toString("utf8");
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            text,
            json: <T>() => JSON.parse(text) as T,
          });
        });
      }),
    watch: (path, enough) =>
      new Promise((resolve, reject) => {
        const events: WatchLine[] = [];
        const sent = open(path, {});
        sent.once("error", reject);
        sent.once("response", (response) => {
          let rest = "";
          const finish = () => {
            response.destroy();
            resolve(events);
          };
          response.setEncoding("utf8");
          response.once("end", finish);
          response.on("error", () => {});
          response.on("data", (text: string) => {
            const lines = (rest + text).split("\n");
            rest = lines.pop() ?? "";
            for (const line of lines) events.push(JSON.parse(line) as WatchLine);
            if (enough(events)) finish();
          });
        });
      }),
    async restart() {
      const { port } = server;
      await server.close();
      server = await start(port);
    },
    async [Symbol.asyncDispose]() {
      for (const agent of agents.values()) agent.destroy();
      await server.close();
      await home[Symbol.asyncDispose]();
    },
  };
}

function kubeconfigOf(server: ApiServer): string {
  const base64 = (text: string) => Buffer.from(text).toString("base64");
  const { caPem, admin } = server.credentials;
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    "current-context": "t",
    contexts: [{ name: "t", context: { cluster: "t", user: "t" } }],
    clusters: [
      {
        name: "t",
        cluster: { server: server.url, "certificate-authority-data": base64(caPem) },
      },
    ],
    users: [
      {
        name: "t",
        user: {
          "client-certificate-data": base64(admin.certPem),
          "client-key-data": base64(admin.keyPem),
        },
      },
    ],
  });
}
