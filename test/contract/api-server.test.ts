/** The API server over its real listener: TLS and users, watches, negotiation, refusals. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createAuthority, signLeaf } from "../../api/pki/authority.ts";
import { startApiServer, type TestApiServer, testNodeName } from "../support/start-api-server.ts";

let api: TestApiServer;
beforeAll(async () => {
  api = await startApiServer();
});
afterAll(() => api?.[Symbol.asyncDispose]());

interface Status {
  readonly kind: string;
  readonly status: string;
  readonly reason: string;
  readonly code: number;
  readonly message: string;
}

const configMap = (name: string, more: object = {}) => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name },
  ...more,
});
const configMaps = "/api/v1/namespaces/default/configmaps";
const create = (name: string, more?: object) =>
  api.call(configMaps, { method: "POST", body: configMap(name, more) });
const remove = (name: string) => api.call(`${configMaps}/${name}`, { method: "DELETE" });

describe("users", () => {
  it("answers 401 without a certificate, 401 to a stranger's", async () => {
    const stranger = await createAuthority("someone", Date.now());
    const impostor = await signLeaf(
      stranger,
      { commonName: "admin", organizations: ["system:masters"], usage: "client" },
      Date.now(),
    );
    for (const as of [null, impostor]) {
      const answer = await api.call("/api/v1/pods", { as });
      expect(answer.status).toBe(401);
      expect(answer.json<Status>()).toMatchObject({ kind: "Status", reason: "Unauthorized" });
    }
  });

  it("refuses a certificate of the cluster that is in no trusted group", async () => {
    const ca = {
      certPem: api.server.credentials.caPem,
      keyPem: readFileSync(join(api.paths.pki, "ca.key"), "utf8"),
    };
    const guest = await signLeaf(ca, { commonName: "guest", usage: "client" }, Date.now());
    const answer = await api.call("/api/v1/pods", { as: guest });
    expect(answer.json<Status>()).toMatchObject({ code: 403, reason: "Forbidden" });
  });

  it("knows the node by its certificate, on fresh and on reused connections", async () => {
    for (const _round of [1, 2]) {
      const answer = await api.call("/apis/authentication.k8s.io/v1/selfsubjectreviews", {
        method: "POST",
        body: {},
        as: api.server.credentials.node,
      });
      expect(answer.json()).toMatchObject({
        status: {
          userInfo: {
            username: `system:node:${testNodeName}`,
            groups: ["system:nodes", "system:authenticated"],
          },
        },
      });
    }
  });

  it("tells anybody that it lives", async () => {
    for (const path of ["/healthz", "/livez", "/readyz"]) {
      expect((await api.call(path, { as: null })).text).toBe("ok");
    }
  });
});

describe("watch", () => {
  it("tells past, present and future once each", async () => {
    await create("w1");
    const list = await api.call(configMaps);
    const since = list.json<{ metadata: { resourceVersion: string } }>().metadata.resourceVersion;
    await create("w2");
    const watching = api.watch(`${configMaps}?watch=1&resourceVersion=${since}`, (events) => {
      if (events.length === 1) void create("w3").then(() => remove("w2"));
      return events.length === 3;
    });
    const events = await watching;
    expect(events.map((event) => [event.type, event.object.metadata.name])).toEqual([
      ["ADDED", "w2"],
      ["ADDED", "w3"],
      ["DELETED", "w2"],
    ]);
    await Promise.all([remove("w1"), remove("w3")]);
  });

  it("streams the list, marks its end, and goes on (WatchList)", async () => {
    const query =
      "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    const events = await api.watch(`${configMaps}?${query}`, (seen) => {
      const last = seen.at(-1);
      if (last?.type === "BOOKMARK") void create("after-list");
      return last?.object.metadata.name === "after-list";
    });
    expect(events.map((event) => event.type)).toEqual(["ADDED", "BOOKMARK", "ADDED"]);
    expect(events[1]?.object).toMatchObject({
      kind: "ConfigMap",
      metadata: { annotations: { "k8s.io/initial-events-end": "true" } },
    });
    await remove("after-list");
  });

  it("shows objects that enter and leave a selector", async () => {
    await create("s");
    const label = (value: string | null) =>
      api.call(`${configMaps}/s`, {
        method: "PATCH",
        body: { metadata: { labels: { on: value } } },
        headers: { "content-type": "application/merge-patch+json" },
      });
    const list = await api.call(configMaps);
    const since = list.json<{ metadata: { resourceVersion: string } }>().metadata.resourceVersion;
    const path = `${configMaps}?watch=1&labelSelector=on%3Dyes&resourceVersion=${since}`;
    const watching = api.watch(path, (events) => events.length === 3);
    await label("yes");
    await api.call(`${configMaps}/s`, {
      method: "PATCH",
      body: { data: { a: "b" } },
      headers: { "content-type": "application/merge-patch+json" },
    });
    await label(null);
    expect((await watching).map((event) => event.type)).toEqual(["ADDED", "MODIFIED", "DELETED"]);
    await remove("s");
  });

  it("ends after timeoutSeconds and with the server", async () => {
    const byTimeout = await api.watch(`${configMaps}?watch=1&timeoutSeconds=1`, () => false);
    expect(byTimeout.length).toBeGreaterThan(0);
    const byServer = api.watch(`${configMaps}?watch=1`, (events) => {
      if (events.length === 1) void api.restart();
      return false;
    });
    expect((await byServer).length).toBeGreaterThan(0);
  });

  it("answers 410 as an event to a version that was compacted, 504 to one of the future", async () => {
    await using other = await startApiServer();
    const { createBetterSqliteStore } = await import("../../api/store/better-sqlite.ts");
    await other.server.close();
    const store = createBetterSqliteStore({ file: other.paths.database });
    store.compact(store.currentRevision());
    store.close();
    await other.restart();
    const events = await other.watch(`${configMaps}?watch=1&resourceVersion=1`, () => false);
    expect(events).toEqual([
      {
        type: "ERROR",
        object: expect.objectContaining({ kind: "Status", code: 410, reason: "Expired" }),
      },
    ]);
    const future = await other.call(`${configMaps}?watch=1&resourceVersion=99999`);
    expect(future.json<Status>()).toMatchObject({ code: 504, reason: "Timeout" });
  });

  it("sends Tables, with columns in the first event only", async () => {
    await create("t1");
    await create("t2");
    const response = await api.call(`${configMaps}?watch=1&timeoutSeconds=1`, {
      headers: { accept: "application/json;as=Table;v=v1;g=meta.k8s.io" },
    });
    const tables = response.text
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line).object as { kind: string; columnDefinitions: unknown });
    expect(tables.every((table) => table.kind === "Table")).toBe(true);
    expect(tables[0]?.columnDefinitions).toHaveLength(3);
    expect(tables.slice(1).every((table) => table.columnDefinitions === null)).toBe(true);
    await Promise.all([remove("t1"), remove("t2")]);
  });
});

describe("answers", () => {
  it.each([
    ["GET", "/api/v1/nonsense", 404, "the server could not find the requested resource"],
    ["GET", `${configMaps}/nope`, 404, 'configmaps "nope" not found'],
    ["POST", `${configMaps}/nope`, 405, "the server does not allow this method"],
    ["GET", "/api/v1/namespaces/default/nodes", 404, "could not find"],
    ["POST", "/api/v1/configmaps", 404, "could not find"],
    ["GET", "/%ZZ", 400, "/%ZZ"],
    ["GET", "/api/v1/namespaces/default/pods/p/exec", 404, 'pods "p" not found'],
    ["POST", "/api/v1/namespaces/default/serviceaccounts/default/token", 501, "not simulated"],
  ])("%s %s is a Status with code %d", async (method, path, code, message) => {
    const answer = await api.call(path, { method, ...(method === "POST" ? { body: {} } : {}) });
    const status = answer.json<Status>();
    expect(status).toMatchObject({ kind: "Status", status: "Failure", code });
    expect(status.message).toContain(message);
    expect(answer.status).toBe(code);
    expect(answer.text).not.toMatch(/\bat .*\.(ts|js|mjs):\d+/);
  });

  it.each([
    ["broken JSON", '{"a":', 400, "BadRequest"],
    ["no object", "[]", 400, "BadRequest"],
    ["another kind", '{"apiVersion":"v1","kind":"Pod"}', 400, "BadRequest"],
    ["another version", '{"apiVersion":"v9","kind":"ConfigMap"}', 400, "BadRequest"],
    ["no name", '{"apiVersion":"v1","kind":"ConfigMap"}', 422, "Invalid"],
    ["a wrong type", '{"apiVersion":"v1","kind":"ConfigMap","data":7}', 400, "BadRequest"],
    ["4 MiB", JSON.stringify({ data: { a: "x".repeat(4 << 20) } }), 413, "RequestEntityTooLarge"],
  ])("refuses a body with %s", async (_what, body, code, reason) => {
    const answer = await api.call(configMaps, { method: "POST", body });
    expect(answer.json<Status>()).toMatchObject({ kind: "Status", code, reason });
  });

  it("refuses unknown media types, both ways", async () => {
    const sent = await api.call(configMaps, {
      method: "POST",
      body: "x",
      headers: { "content-type": "text/plain" },
    });
    expect(sent.json<Status>()).toMatchObject({ code: 415, reason: "UnsupportedMediaType" });
    const wanted = await api.call(configMaps, {
      headers: { accept: "application/vnd.kubernetes.protobuf" },
    });
    expect(wanted.json<Status>()).toMatchObject({ code: 406, reason: "NotAcceptable" });
    const apply = await api.call(`${configMaps}/new`, {
      method: "PATCH",
      body: "{}",
      headers: { "content-type": "application/apply-patch+yaml" },
    });
    expect(apply.json<Status>().message).toContain(
      "application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json",
    );
  });

  it("warns about unknown fields, refuses them on Strict, is silent on Ignore", async () => {
    const body = configMap("fields", { bogus: 1 });
    const post = (validation: string) =>
      api.call(`${configMaps}?dryRun=All&fieldValidation=${validation}`, { method: "POST", body });
    const warned = await post("Warn");
    expect([warned.status, warned.headers.warning]).toEqual([
      201,
      '299 - "unknown field \\"bogus\\""',
    ]);
    expect(warned.text).not.toContain("bogus");
    expect((await post("Strict")).json<Status>().message).toBe(
      'ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: unknown field "bogus"',
    );
    expect((await post("Ignore")).headers.warning).toBeUndefined();
    expect((await api.call(`${configMaps}/fields`)).status).toBe(404);
  });

  it("answers YAML, Tables and metadata alone to who asks", async () => {
    const list = (accept: string) => api.call(configMaps, { headers: { accept } });
    expect((await list("application/yaml")).text).toContain("kind: ConfigMapList");
    expect((await list("application/json;as=Table;v=v1;g=meta.k8s.io")).json()).toMatchObject({
      kind: "Table",
      rows: [{ cells: ["kube-root-ca.crt", 1, expect.any(String)] }],
    });
    const partial = await list("application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io");
    expect(partial.json()).toMatchObject({ kind: "PartialObjectMetadataList" });
    expect(partial.text).not.toContain("BEGIN CERTIFICATE");
  });

  it("serves discovery in three forms and OpenAPI packed, with ETags", async () => {
    const accept = (version: string) =>
      `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList,application/json`;
    for (const version of ["v2", "v2beta1"]) {
      const answer = await api.call("/api", { headers: { accept: accept(version) } });
      expect(answer.headers["content-type"]).toBe(
        `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList`,
      );
      expect(answer.json()).toMatchObject({ apiVersion: `apidiscovery.k8s.io/${version}` });
    }
    expect((await api.call("/apis")).json()).toMatchObject({ kind: "APIGroupList" });
    const core = await api.call("/openapi/v3/api/v1", { headers: { "accept-encoding": "gzip" } });
    expect(core.headers["content-encoding"]).toBe("gzip");
    const again = await api.call("/openapi/v3/api/v1", {
      headers: { "accept-encoding": "gzip", "if-none-match": String(core.headers.etag) },
    });
    expect(again.status).toBe(304);
    const plain = await api.call("/openapi/v3/api/v1");
    expect(plain.json()).toMatchObject({ openapi: "3.0.0" });
  });

  it("keeps one object behind the two event versions", async () => {
    const posted = await api.call("/apis/events.k8s.io/v1/namespaces/default/events", {
      method: "POST",
      body: {
        apiVersion: "events.k8s.io/v1",
        kind: "Event",
        metadata: { name: "e1" },
        eventTime: "2026-01-01T00:00:00.000000Z",
        reportingController: "example.com/test",
        reportingInstance: "t",
        action: "Testing",
        reason: "Because",
        type: "Normal",
        note: "hello",
        regarding: { kind: "Pod", namespace: "default", name: "p" },
      },
    });
    expect(posted.status).toBe(201);
    expect(posted.json()).toMatchObject({ apiVersion: "events.k8s.io/v1", note: "hello" });
    const core = await api.call(
      "/api/v1/namespaces/default/events?fieldSelector=involvedObject.name%3Dp",
    );
    expect(core.json()).toMatchObject({
      items: [{ message: "hello", involvedObject: { name: "p" } }],
    });
  });
});
