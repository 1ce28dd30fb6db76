import { describe, expect, it } from "vitest";
import { createTestCluster, nodeManifest, podManifest } from "../context.fixture.ts";
import { deleteObject } from "./delete.ts";
import type { DeleteRequest } from "./delete-options.ts";
import { listObjects } from "./list.ts";
import { systemWrite } from "./options.ts";
import { updateObject } from "./update.ts";

const background: DeleteRequest = { propagationPolicy: "Background", dryRun: false };
const inDefault = (name: string) => ({ namespace: "default", name });
const mainRoad = { ...systemWrite, road: "main" as const };

function clusterWithPod(spec: object = {}, metadata: object = {}) {
  const cluster = createTestCluster();
  cluster.create("pods", podManifest("p", spec, metadata));
  const pods = cluster.context.registry.stored("pods");
  return {
    ...cluster,
    pods,
    remove: (request: Partial<DeleteRequest> = {}) =>
      deleteObject(cluster.context, pods, inDefault("p"), { ...background, ...request }),
  };
}

describe("create", () => {
  it("gives identity and resets what clients may not choose", () => {
    const { create } = createTestCluster();
    const created = create("pods", {
      ...podManifest("p", {}, { uid: "mine", generation: 7, selfLink: "/x", finalizers: [] }),
      status: { phase: "Running" },
    });
    expect(created.metadata).toMatchObject({ name: "p", namespace: "default" });
    expect(created.metadata.uid).not.toBe("mine");
    expect(created.metadata).not.toHaveProperty("generation");
    expect(created.metadata).not.toHaveProperty("selfLink");
    expect(created.metadata).not.toHaveProperty("finalizers");
    expect(created.status).toEqual({ phase: "Pending", qosClass: "BestEffort" });
  });

  it("draws a name from generateName", () => {
    const { create } = createTestCluster();
    const pod = podManifest("", {}, { generateName: "web-" });
    expect(create("pods", pod).metadata.name).toMatch(/^web-[a-z0-9]{5}$/);
  });

  it("refuses a name that is taken, in the real words", () => {
    const { create } = clusterWithPod();
    expect(() => create("pods", podManifest("p"))).toThrow('pods "p" already exists');
  });

  it("turns a secret's stringData into data", () => {
    const { create } = createTestCluster();
    const secret = create("secrets", {
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name: "s" },
      type: "Opaque",
      data: { a: "b2xk", b: "Yg==" },
      stringData: { a: "new" },
    });
    expect(secret).not.toHaveProperty("stringData");
    expect(secret.data).toEqual({ a: "bmV3", b: "Yg==" });
  });
});

describe("update", () => {
  it("refuses a stale version, in the real words", () => {
    const { context, pods, get } = clusterWithPod();
    const stale = get("pods", "p");
    const change = (label: string) => (current: typeof stale) => {
      current.metadata.labels = { label };
      return current;
    };
    updateObject(context, pods, inDefault("p"), change("a"), mainRoad);
    expect(() =>
      updateObject(context, pods, inDefault("p"), () => change("b")(stale), mainRoad),
    ).toThrow(
      'Operation cannot be fulfilled on pods "p": the object has been modified; please apply your changes to the latest version and try again',
    );
  });

  it("appends nothing when nothing changes", () => {
    const { context, pods } = clusterWithPod();
    const before = context.store.currentRevision();
    updateObject(context, pods, inDefault("p"), (current) => current, mainRoad);
    expect(context.store.currentRevision()).toBe(before);
  });

  it("keeps the status on the main road and the spec on the status road", () => {
    const { context, pods, get } = clusterWithPod();
    updateObject(
      context,
      pods,
      inDefault("p"),
      (current) => ({ ...current, status: { phase: "Failed" } }),
      mainRoad,
    );
    expect(get("pods", "p").status).toMatchObject({ phase: "Pending" });
    const status = pods.subresources.find((s) => s.name === "status");
    if (status?.type !== "part") throw new Error("pods have no status");
    updateObject(
      context,
      pods,
      inDefault("p"),
      (current) => ({ ...current, spec: {}, status: { phase: "Running" } }),
      { ...systemWrite, road: status },
    );
    expect(get("pods", "p")).toMatchObject({
      spec: { restartPolicy: "Always" },
      status: { phase: "Running", qosClass: "BestEffort" },
    });
  });

  it("refuses another name", () => {
    const { context, pods } = clusterWithPod();
    const rename = (current: { metadata: { name?: string } }) => {
      current.metadata.name = "q";
      return current as never;
    };
    expect(() => updateObject(context, pods, inDefault("p"), rename, mainRoad)).toThrow(
      /metadata.name: Invalid value: "q": field is immutable/,
    );
  });
});

describe("delete", () => {
  it("removes a pod without a node at once", () => {
    const { remove, find } = clusterWithPod();
    expect(remove().gone).toBe(true);
    expect(find("pods", "p")).toBeUndefined();
  });

  it("leaves a running pod its grace period, which may be shortened but not lengthened", () => {
    const { remove, find } = clusterWithPod({ nodeName: "n" });
    expect(remove().object.metadata).toMatchObject({
      deletionTimestamp: "2026-01-01T00:00:30Z",
      deletionGracePeriodSeconds: 30,
    });
    expect(remove({ gracePeriodSeconds: 60 }).object.metadata).toMatchObject({
      deletionGracePeriodSeconds: 30,
    });
    expect(remove({ gracePeriodSeconds: 5 }).object.metadata).toMatchObject({
      deletionTimestamp: "2026-01-01T00:00:05Z",
      deletionGracePeriodSeconds: 5,
    });
    expect(remove({ gracePeriodSeconds: 0 }).gone).toBe(true);
    expect(find("pods", "p")).toBeUndefined();
  });

  it("checks preconditions", () => {
    const { remove } = clusterWithPod();
    expect(() => remove({ uid: "other" })).toThrow(/Precondition failed: UID in precondition/);
    expect(() => remove({ resourceVersion: "1" })).toThrow(/ResourceVersion in precondition: 1/);
  });

  it("waits for finalizers, and goes with the last one", () => {
    const { context, pods, remove, find } = clusterWithPod({}, { finalizers: ["example.com/a"] });
    expect(remove().gone).toBe(false);
    expect(find("pods", "p")?.metadata.deletionTimestamp).toBeDefined();
    updateObject(
      context,
      pods,
      inDefault("p"),
      (current) => {
        current.metadata.finalizers = [];
        return current;
      },
      mainRoad,
    );
    expect(find("pods", "p")).toBeUndefined();
  });

  it("changes nothing in a dry run", () => {
    const { remove, find } = clusterWithPod();
    expect(remove({ dryRun: true }).gone).toBe(true);
    expect(find("pods", "p")?.metadata).not.toHaveProperty("deletionTimestamp");
  });
});

describe("list", () => {
  function clusterWithConfigMaps(count: number) {
    const cluster = createTestCluster();
    for (let i = 0; i < count; i += 1) {
      cluster.create("configmaps", {
        apiVersion: "v1",
        kind: "ConfigMap",
        metadata: { name: `c${i}`, labels: { odd: String(i % 2 === 1) } },
      });
    }
    const definition = cluster.context.registry.stored("configmaps");
    return {
      ...cluster,
      list: (query: string) =>
        listObjects(cluster.context, definition, "default", new URLSearchParams(query)),
    };
  }

  it("pages through a snapshot, whatever is written meanwhile", () => {
    const { list, create } = clusterWithConfigMaps(5);
    const first = list("limit=2");
    expect(first.items.map((item) => item.metadata.name)).toEqual(["c0", "c1"]);
    expect(first.metadata.remainingItemCount).toBe(4);
    create("configmaps", { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "c11" } });
    const names: Array<string | undefined> = [];
    let page = first;
    while (page.metadata.continue !== undefined) {
      page = list(`limit=2&continue=${page.metadata.continue}`);
      names.push(...page.items.map((item) => item.metadata.name));
    }
    expect(names).toEqual(["c2", "c3", "c4", "kube-root-ca.crt"]);
    expect(page.metadata.resourceVersion).toBe(first.metadata.resourceVersion);
  });

  it("counts the limit after the selector and then does not tell how many remain", () => {
    const { list } = clusterWithConfigMaps(5);
    const page = list("labelSelector=odd%3Dtrue&limit=1");
    expect(page.items).toHaveLength(1);
    expect(page.metadata.continue).toBeDefined();
    expect(page.metadata).not.toHaveProperty("remainingItemCount");
  });

  it("says when the snapshot of a page is gone", () => {
    const { list, context, create } = clusterWithConfigMaps(3);
    const token = list("limit=1").metadata.continue;
    create("configmaps", { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "z" } });
    context.store.compact(context.store.currentRevision());
    expect(() => list(`limit=1&continue=${token}`)).toThrow(/too old/);
  });

  it("refuses versions of the future and continue tokens that are none", () => {
    const { list } = clusterWithConfigMaps(1);
    expect(() => list("resourceVersion=9999")).toThrow(/Too large resource version: 9999/);
    expect(() => list("resourceVersion=x")).toThrow(/invalid syntax/);
    expect(() => list("continue=%7B%7D")).toThrow(/continue key is not valid/);
  });

  it("shows an older state on resourceVersionMatch=Exact", () => {
    const { list, create } = clusterWithConfigMaps(1);
    const { resourceVersion } = list("").metadata;
    create("configmaps", { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "later" } });
    const exact = list(`resourceVersion=${resourceVersion}&resourceVersionMatch=Exact`);
    expect(exact.items.map((item) => item.metadata.name)).toEqual(["c0", "kube-root-ca.crt"]);
    expect(list(`resourceVersion=${resourceVersion}`).items).toHaveLength(3);
  });

  it("keeps nodes apart from namespaces' objects", () => {
    const cluster = createTestCluster();
    cluster.create("nodes", nodeManifest("n", {}), "");
    expect(cluster.get("nodes", "n").metadata).not.toHaveProperty("namespace");
  });
});
