// The agent's way to a cluster: against the embedded API server, and against a server that misbehaves.
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openCertificates } from "../../api/pki/certificates.ts";
import { systemClock } from "../../common/clock.ts";
import { silentLogger } from "../../common/log.ts";
import { isConflict, isNotFound, statusOf } from "../../simulator/cluster/errors.ts";
import { createHttpsCluster, type HttpsCluster } from "../../simulator/cluster/https-cluster.ts";
import type { KubernetesObject, WatchEvent } from "../../simulator/cluster-port.ts";
import { startApiServer, type TestApiServer } from "../support/start-api-server.ts";
import { makeTempHome, type TempHome } from "../support/temp-home.ts";
import { waitUntil } from "../support/wait-until.ts";

const configMaps = { groupVersion: "api/v1", plural: "configmaps", namespace: "default" };
type ConfigMap = KubernetesObject & { readonly data?: Readonly<Record<string, string>> };

const said = (events: ReadonlyArray<WatchEvent<ConfigMap>>) =>
  events.map((event) =>
    event.type === "SYNC"
      ? `SYNC ${event.items.map(({ metadata }) => metadata.name).join(",")}`
      : `${event.type} ${event.object.metadata.name}`,
  );

describe("with the embedded API server", () => {
  let api: TestApiServer;
  let cluster: HttpsCluster;
  beforeEach(async () => {
    api = await startApiServer();
    const { caPem, node } = api.server.credentials;
    cluster = createHttpsCluster({
      server: api.server.url,
      caPem,
      ...node,
      log: silentLogger,
      clock: systemClock,
    });
  });
  afterEach(async () => {
    cluster.close();
    await api[Symbol.asyncDispose]();
  });

  it("creates, reads, patches, replaces and deletes", async () => {
    const made = await cluster.create<ConfigMap>(configMaps, {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: "a" },
      data: { x: "1" },
    });
    expect(made.metadata.uid).toMatch(/^[0-9a-f-]{36}$/);
    const patched = await cluster.patch<ConfigMap>(
      configMaps,
      "a",
      { data: { y: "2" } },
      { type: "application/merge-patch+json" },
    );
    expect(patched.data).toEqual({ x: "1", y: "2" });
    const replaced = await cluster.replace<ConfigMap>(configMaps, "a", { ...patched, data: {} });
    expect((await cluster.get<ConfigMap>(configMaps, "a"))?.metadata.resourceVersion).toBe(
      replaced.metadata.resourceVersion,
    );
    await cluster.delete(configMaps, "a");
    expect(await cluster.get(configMaps, "a")).toBeUndefined();
    await cluster.delete(configMaps, "a");
  });

  it("tells refusals apart by the server's Status", async () => {
    const object = { metadata: { name: "a" } };
    await cluster.create(configMaps, object);
    const twice = await cluster.create(configMaps, object).catch((error: unknown) => error);
    expect(isConflict(twice)).toBe(true);
    expect(statusOf(twice)?.reason).toBe("AlreadyExists");
    const other = await cluster
      .delete(configMaps, "a", { uid: "another" })
      .catch((error: unknown) => error);
    expect(isConflict(other)).toBe(true);
    const type = "application/merge-patch+json";
    const none = await cluster
      .patch(configMaps, "no", {}, { type })
      .catch((error: unknown) => error);
    expect(isNotFound(none)).toBe(true);
  });

  it("watches on across a restart of the server", async () => {
    const stop = new AbortController();
    const events: Array<WatchEvent<ConfigMap>> = [];
    await cluster.create(configMaps, { metadata: { name: "before" } });
    const watching = cluster.watch<ConfigMap>(
      configMaps,
      { fieldSelector: "metadata.name!=kube-root-ca.crt" },
      (event) => events.push(event),
      stop.signal,
    );
    await waitUntil(() => events.length === 1, { what: "the first list" });
    await cluster.create(configMaps, { metadata: { name: "during" } });
    await waitUntil(() => said(events).includes("ADDED during"), { what: "the event" });
    await api.restart();
    await cluster.create(configMaps, { metadata: { name: "after" } });
    await cluster.delete(configMaps, "before");
    await waitUntil(() => said(events).includes("DELETED before"), { what: "what came after" });
    expect(said(events)).toEqual(["SYNC before", "ADDED during", "ADDED after", "DELETED before"]);
    stop.abort();
    await watching;
  });
});

describe("with a server that misbehaves", () => {
  let home: TempHome;
  let server: Server;
  let cluster: HttpsCluster;
  let answers: Array<(request: IncomingMessage, response: ServerResponse) => void>;
  let urls: string[];

  beforeEach(async () => {
    home = await makeTempHome();
    const { caPem, serving, node } = await openCertificates({
      dir: home.path,
      nodeName: "n",
      host: "127.0.0.1",
      nowMs: Date.now(),
    });
    answers = [];
    urls = [];
    server = createServer(
      { cert: serving.certPem, key: serving.keyPem, ca: caPem, requestCert: true },
      (request, response) => {
        urls.push(request.url ?? "");
        const answer = answers.shift();
        if (answer === undefined) response.writeHead(200).flushHeaders();
        else answer(request, response);
      },
    );
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    cluster = createHttpsCluster({
      server: `https://127.0.0.1:${port}`,
      caPem,
      ...node,
      log: silentLogger,
      clock: systemClock,
    });
  });
  afterEach(async () => {
    cluster.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await home[Symbol.asyncDispose]();
  });

  const json = (status: number, body: object) => (_: IncomingMessage, response: ServerResponse) => {
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
  };
  const list = (version: string, names: string[], more = {}) =>
    json(200, {
      items: names.map((name) => ({ metadata: { name } })),
      metadata: { resourceVersion: version, ...more },
    });
  const lines =
    (...events: object[]) =>
    (_: IncomingMessage, response: ServerResponse) => {
      response.writeHead(200).end(events.map((event) => `${JSON.stringify(event)}\n`).join(""));
    };
  const event = (type: string, name: string, resourceVersion: string) => ({
    type,
    object: { metadata: { name, resourceVersion } },
  });

  async function watchUntil(count: number): Promise<string[]> {
    const stop = new AbortController();
    const events: Array<WatchEvent<ConfigMap>> = [];
    const watching = cluster.watch<ConfigMap>(
      configMaps,
      {},
      (one) => events.push(one),
      stop.signal,
    );
    await waitUntil(() => events.length >= count, { what: `${count} events` });
    stop.abort();
    await watching;
    return said(events);
  }

  it("reads lists page by page", async () => {
    answers.push(list("7", ["a"], { continue: "next" }), list("7", ["b"]));
    expect((await cluster.list(configMaps)).map(({ metadata }) => metadata.name)).toEqual([
      "a",
      "b",
    ]);
    expect(urls[1]).toContain("continue=next");
  });

  it("lists anew after 410, as an answer and as an event", async () => {
    const gone = { kind: "Status", code: 410, reason: "Expired", message: "too old" };
    answers.push(
      list("7", ["a"]),
      json(410, gone),
      list("8", ["a", "b"]),
      lines({ type: "ERROR", object: gone }),
      list("9", ["b"]),
    );
    expect(await watchUntil(3)).toEqual(["SYNC a", "SYNC a,b", "SYNC b"]);
  });

  it("goes on from the last bookmark when a watch ends", async () => {
    answers.push(
      list("7", []),
      lines(event("ADDED", "a", "8"), event("BOOKMARK", "", "20")),
      lines(event("MODIFIED", "a", "21")),
    );
    expect(await watchUntil(3)).toEqual(["SYNC ", "ADDED a", "MODIFIED a"]);
    expect(urls[2]).toContain("resourceVersion=20");
  });

  it("puts events together however they were cut, and drops a torn one", async () => {
    const text = `${JSON.stringify(event("ADDED", "ä", "8"))}\n`;
    const bytes = Buffer.from(text);
    answers.push(
      list("7", []),
      (_, response) => {
        response.writeHead(200);
        const cut = text.indexOf("ä") + 1;
        response.write(bytes.subarray(0, cut));
        setImmediate(() => {
          response.write(bytes.subarray(cut));
          response.write('{"type":"ADDED","obj', () => response.destroy());
        });
      },
      lines(event("ADDED", "b", "9")),
    );
    expect(await watchUntil(3)).toEqual(["SYNC ", "ADDED ä", "ADDED b"]);
    expect(urls[2]).toContain("resourceVersion=8");
  });

  it("says what a proxy's page said", async () => {
    answers.push((_, response) => response.writeHead(502).end("<h1>Bad gateway</h1>"));
    await expect(cluster.list(configMaps)).rejects.toThrow(/HTTP 502: <h1>Bad gateway/);
  });

  it("names the server that does not answer", async () => {
    answers.push((_, response) => response.destroy());
    await expect(cluster.create(configMaps, { metadata: {} })).rejects.toThrow(
      /POST https:\/\/127\.0\.0\.1:\d+\/api\/v1\/namespaces\/default\/configmaps: socket hang up/,
    );
  });
});
