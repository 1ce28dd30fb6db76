/**
 * What stands between genuine clients and the kubelet endpoints in the stream tests: just enough of an
 * API server for kubectl to find a pod, and a raw tunnel that rewrites the path into kubelet's form.
 */
import { webcrypto } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, request as httpsRequest } from "node:https";
import type { AddressInfo } from "node:net";
import { connect } from "node:tls";
import "reflect-metadata";
import * as x509 from "@peculiar/x509";

export interface TestPki {
  readonly ca: string;
  readonly server: { readonly cert: string; readonly key: string };
  readonly client: { readonly cert: string; readonly key: string };
}

export async function createTestPki(): Promise<TestPki> {
  const crypto = webcrypto;
  x509.cryptoProvider.set(crypto as never);
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const makeKeys = () => crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const notBefore = new Date(Date.now() - 3_600_000);
  const notAfter = new Date(Date.now() + 3_600_000);
  const caKeys = await makeKeys();
  const ca = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: "01",
    name: "CN=streams-test-ca",
    notBefore,
    notAfter,
    signingAlgorithm: algorithm,
    keys: caKeys,
    extensions: [new x509.BasicConstraintsExtension(true, undefined, true)],
  });
  const issue = async (serialNumber: string, name: string, usage: x509.ExtendedKeyUsage) => {
    const keys = await makeKeys();
    const cert = await x509.X509CertificateGenerator.create({
      serialNumber,
      subject: `CN=${name}`,
      issuer: ca.subject,
      notBefore,
      notAfter,
      signingAlgorithm: algorithm,
      publicKey: keys.publicKey,
      signingKey: caKeys.privateKey,
      extensions: [
        new x509.ExtendedKeyUsageExtension([usage]),
        new x509.SubjectAlternativeNameExtension([{ type: "ip", value: "127.0.0.1" }]),
      ],
    });
    const pkcs8 = await crypto.subtle.exportKey("pkcs8", keys.privateKey);
    return { cert: cert.toString("pem"), key: x509.PemConverter.encode(pkcs8, "PRIVATE KEY") };
  };
  return {
    ca: ca.toString("pem"),
    server: await issue("02", "node", x509.ExtendedKeyUsage.serverAuth),
    client: await issue("03", "kube-apiserver-kubelet-client", x509.ExtendedKeyUsage.clientAuth),
  };
}

/** API server form to kubelet form: paths and, for exec and attach, parameter names. */
export function kubeletTarget(target: string): string | undefined {
  const url = new URL(target, "https://front");
  const match =
    /^\/api\/v1\/namespaces\/([^/]+)\/pods\/([^/]+)\/(log|exec|attach|portforward)$/.exec(
      url.pathname,
    );
  if (!match) return undefined;
  const [, namespace, pod, verb = ""] = match;
  const container = url.searchParams.get("container") || "main";
  const query = new URLSearchParams();
  const names: Record<string, string> = { stdin: "input", stdout: "output", stderr: "error" };
  for (const [name, value] of url.searchParams) {
    if (name === "container") continue;
    const flag = verb === "exec" || verb === "attach" ? value === "true" : false;
    query.append(names[name] ?? name, flag ? "1" : value);
  }
  const base = { log: "containerLogs", exec: "exec", attach: "attach", portforward: "portForward" }[
    verb
  ];
  const tail = verb === "portforward" ? "" : `/${container}`;
  return `/${base}/${namespace}/${pod}${tail}?${query}`;
}

const podDocument = (name: string) => ({
  kind: "Pod",
  apiVersion: "v1",
  metadata: { name, namespace: "default", uid: "uid-1" },
  spec: {
    nodeName: "n",
    containers: [{ name: "main", image: "i", stdin: true }],
    securityContext: {},
  },
  status: {
    phase: "Running",
    containerStatuses: [{ name: "main", ready: true, state: { running: {} } }],
  },
});

const documents: Record<string, object> = {
  "/version": { major: "1", minor: "32", gitVersion: "v1.32.4" },
  "/api": { kind: "APIVersions", versions: ["v1"] },
  "/apis": { kind: "APIGroupList", apiVersion: "v1", groups: [] },
  "/api/v1": {
    kind: "APIResourceList",
    groupVersion: "v1",
    resources: [
      { name: "pods", singularName: "pod", namespaced: true, kind: "Pod", verbs: ["get", "list"] },
    ],
  },
};

/** The kubelet refuses in plain text; an API server makes a Status of it. */
async function wrapRefusal(answer: IncomingMessage, response: ServerResponse): Promise<void> {
  const message = Buffer.concat(await answer.toArray()).toString();
  const status = { kind: "Status", status: "Failure", reason: "BadRequest", code: 400, message };
  response.writeHead(400, { "content-type": "application/json" }).end(JSON.stringify(status));
}

export interface Front {
  readonly port: number;
  /** What upgrade requests asked for, e.g. "POST SPDY/3.1", oldest first. */
  readonly upgrades: string[];
  close(): Promise<void>;
}

export async function startFront(pki: TestPki, nodePort: number): Promise<Front> {
  const upgrades: string[] = [];
  const toNode = { host: "127.0.0.1", port: nodePort, ca: pki.ca, ...pki.client };
  const server = createServer({ ...pki.server }, (request, response) => {
    const target = kubeletTarget(request.url ?? "/");
    if (target !== undefined) {
      const { headers } = request;
      const forwarded = httpsRequest(
        { ...toNode, path: target, headers, agent: false },
        (answer) => {
          if (answer.statusCode === 400) void wrapRefusal(answer, response);
          else answer.pipe(response.writeHead(answer.statusCode ?? 502, answer.headers));
        },
      );
      response.once("close", () => forwarded.destroy());
      forwarded.on("error", () => response.destroy());
      forwarded.end();
      return;
    }
    const path = new URL(request.url ?? "/", "https://front").pathname;
    const pod = /^\/api\/v1\/namespaces\/default\/pods\/([^/]+)$/.exec(path)?.[1];
    const document = pod ? podDocument(pod) : documents[path];
    response
      .writeHead(document ? 200 : 404, { "content-type": "application/json" })
      .end(JSON.stringify(document ?? { kind: "Status", status: "Failure", code: 404 }));
  });
  const tunnels = new Set<{ destroy(): void }>();
  server.on("upgrade", (request, client, head) => {
    upgrades.push(`${request.method} ${request.headers.upgrade}`);
    const node = connect(toNode, () => {
      const lines = [`${request.method} ${kubeletTarget(request.url ?? "/") ?? "/"} HTTP/1.1`];
      for (let index = 0; index < request.rawHeaders.length; index += 2) {
        lines.push(`${request.rawHeaders[index]}: ${request.rawHeaders[index + 1]}`);
      }
      node.write(`${lines.join("\r\n")}\r\n\r\n`);
      node.write(head);
      node.pipe(client);
      client.pipe(node);
    });
    for (const socket of [client, node]) {
      tunnels.add(socket);
      socket.once("close", () => tunnels.delete(socket));
    }
    // The two ends differ: what the node said last must still reach the client, but a client that has
    // gone can be told nothing, and the node must notice.
    node.on("error", () => client.destroy());
    node.once("close", () => client.end());
    client.on("error", () => node.destroy());
    client.once("close", () => node.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    upgrades,
    close: async () => {
      for (const tunnel of tunnels) tunnel.destroy();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
