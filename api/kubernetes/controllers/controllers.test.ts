import { afterEach, describe, expect, it } from "vitest";
import { settle } from "../../../test/fakes/manual-clock.ts";
import { createTestCluster, nodeManifest, podManifest } from "../context.fixture.ts";
import { deleteObject } from "../generic/delete.ts";
import type { PropagationPolicy } from "../generic/delete-options.ts";
import { systemWrite } from "../generic/options.ts";
import { updateObject } from "../generic/update.ts";
import { runControllers } from "./index.ts";

const stops: AbortController[] = [];
afterEach(() => {
  for (const stop of stops.splice(0)) stop.abort(new Error("the test is over"));
});

const room = { cpu: "4", memory: "8Gi", pods: "30" };

function runningCluster() {
  const cluster = createTestCluster();
  const stop = new AbortController();
  stops.push(stop);
  runControllers(cluster.context, stop.signal);
  return {
    ...cluster,
    node: (name = "n", spec: object = {}) =>
      cluster.create("nodes", nodeManifest(name, room, spec)),
    remove(
      resource: string,
      name: string,
      gracePeriodSeconds?: number,
      propagationPolicy: PropagationPolicy = "Background",
    ) {
      const definition = cluster.context.registry.stored(resource);
      const key = { namespace: definition.namespaced ? "default" : "", name };
      const request = { propagationPolicy, gracePeriodSeconds, dryRun: false };
      return deleteObject(cluster.context, definition, key, request);
    },
    eventReasons: () =>
      [...cluster.context.store.list({ resource: "events" }).objects].map((e) => e.reason),
  };
}

describe("scheduler", () => {
  it("binds a pod once there is a node, and tells both", async () => {
    const { create, get, node, eventReasons } = runningCluster();
    create("pods", podManifest("p"));
    await settle();
    expect(get("pods", "p").status).toMatchObject({
      conditions: [
        {
          type: "PodScheduled",
          status: "False",
          reason: "Unschedulable",
          message: "no nodes available to schedule pods",
        },
      ],
    });
    node();
    await settle();
    expect(get("pods", "p")).toMatchObject({
      spec: { nodeName: "n" },
      status: { conditions: [{ type: "PodScheduled", status: "True" }] },
    });
    expect(eventReasons()).toEqual(expect.arrayContaining(["FailedScheduling", "Scheduled"]));
  });

  it("uses the room another pod leaves", async () => {
    const { create, get, node, remove } = runningCluster();
    node();
    await settle();
    const large = (name: string) => {
      const manifest = podManifest(name);
      Object.assign((manifest.spec as { containers: object[] }).containers[0] ?? {}, {
        resources: { requests: { cpu: "3" } },
      });
      return manifest;
    };
    create("pods", large("first"));
    await settle();
    create("pods", large("second"));
    await settle();
    expect(get("pods", "second").spec).not.toHaveProperty("nodeName");
    remove("pods", "first", 0);
    await settle();
    expect(get("pods", "second").spec).toMatchObject({ nodeName: "n" });
  });

  it("leaves other schedulers' pods alone", async () => {
    const { create, get, node } = runningCluster();
    node();
    create("pods", podManifest("p", { schedulerName: "mine" }));
    await settle();
    expect(get("pods", "p").spec).not.toHaveProperty("nodeName");
  });
});

describe("namespace controller", () => {
  const namespace = (name: string) => ({ apiVersion: "v1", kind: "Namespace", metadata: { name } });

  it("fills a new namespace", async () => {
    const { create, find } = runningCluster();
    create("namespaces", namespace("t"), "");
    await settle();
    expect(find("serviceaccounts", "default", "t")).toBeDefined();
    expect(find("configmaps", "kube-root-ca.crt", "t")?.data).toHaveProperty(["ca.crt"]);
  });

  it("puts back what was deleted", async () => {
    const { remove, find } = runningCluster();
    remove("serviceaccounts", "default");
    await settle();
    expect(find("serviceaccounts", "default")).toBeDefined();
  });

  it("empties a namespace before it goes, and waits for its pods", async () => {
    const { create, find, remove, node, context } = runningCluster();
    node();
    create("namespaces", namespace("t"), "");
    await settle();
    create("pods", podManifest("p"), "t");
    await settle();
    expect(remove("namespaces", "t").gone).toBe(false);
    await settle();
    expect(find("namespaces", "t")).toMatchObject({ status: { phase: "Terminating" } });
    expect(find("serviceaccounts", "default", "t")).toBeUndefined();
    expect(find("pods", "p", "t")?.metadata.deletionTimestamp).toBeDefined();
    expect(() => create("pods", podManifest("q"), "t")).toThrow(
      "unable to create new content in namespace t because it is being terminated",
    );
    deleteObject(
      context,
      context.registry.stored("pods"),
      { namespace: "t", name: "p" },
      { propagationPolicy: "Background", gracePeriodSeconds: 0, dryRun: false },
    );
    await settle();
    expect(find("namespaces", "t")).toBeUndefined();
  });
});

describe("garbage collector", () => {
  const configMap = (name: string, owner?: { metadata: { name?: string; uid?: string } }) => ({
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: {
      name,
      ...(owner === undefined
        ? {}
        : {
            ownerReferences: [
              {
                apiVersion: "v1",
                kind: "ConfigMap",
                name: owner.metadata.name,
                uid: owner.metadata.uid,
              },
            ],
          }),
    },
  });

  function family() {
    const cluster = runningCluster();
    const owner = cluster.create("configmaps", configMap("owner"));
    cluster.create("configmaps", configMap("child", owner));
    return cluster;
  }

  it("takes the dependents with the owner", async () => {
    const { remove, find } = family();
    await settle();
    expect(find("configmaps", "child")).toBeDefined();
    remove("configmaps", "owner");
    await settle();
    expect(find("configmaps", "child")).toBeUndefined();
  });

  it("takes the dependents first on Foreground", async () => {
    const { remove, find } = family();
    expect(remove("configmaps", "owner", undefined, "Foreground").gone).toBe(false);
    await settle();
    expect(find("configmaps", "child")).toBeUndefined();
    expect(find("configmaps", "owner")).toBeUndefined();
  });

  it("leaves the dependents on Orphan", async () => {
    const { remove, find } = family();
    remove("configmaps", "owner", undefined, "Orphan");
    await settle();
    expect(find("configmaps", "owner")).toBeUndefined();
    expect(find("configmaps", "child")?.metadata).not.toHaveProperty("ownerReferences");
  });

  it("deletes what is born without its owner, and spares owners of kinds it does not know", async () => {
    const { create, find } = runningCluster();
    create("configmaps", configMap("orphan", { metadata: { name: "gone", uid: "u" } }));
    create("configmaps", {
      ...configMap("owned"),
      metadata: {
        name: "owned",
        ownerReferences: [{ apiVersion: "example.com/v1", kind: "Foo", name: "f", uid: "u" }],
      },
    });
    await settle();
    expect(find("configmaps", "orphan")).toBeUndefined();
    expect(find("configmaps", "owned")).toBeDefined();
  });
});

describe("node lifecycle", () => {
  const lease = (renewTime: string) => ({
    apiVersion: "coordination.k8s.io/v1",
    kind: "Lease",
    metadata: { name: "n" },
    spec: { holderIdentity: "n", leaseDurationSeconds: 40, renewTime },
  });

  function renew(cluster: ReturnType<typeof runningCluster>, renewTime: string) {
    updateObject(
      cluster.context,
      cluster.context.registry.stored("leases.coordination.k8s.io"),
      { namespace: "kube-node-lease", name: "n" },
      (current) => ({ ...current, spec: lease(renewTime).spec }),
      systemWrite,
    );
  }

  it("lifts the taint of a new node that is ready", async () => {
    const { get, node } = runningCluster();
    expect(node().spec).toMatchObject({
      taints: [{ key: "node.kubernetes.io/not-ready", effect: "NoSchedule" }],
    });
    await settle();
    expect(get("nodes", "n").spec).toEqual({});
  });

  it("marks a silent node Unknown after 40 s, not one that renews its lease", async () => {
    const cluster = runningCluster();
    const { clock, create, get, node, eventReasons } = cluster;
    node();
    create("leases.coordination.k8s.io", lease("2026-01-01T00:00:00.000000Z"), "kube-node-lease");
    create("pods", podManifest("p"));
    await settle();
    await clock.advance(35_000);
    renew(cluster, "2026-01-01T00:00:35.000000Z");
    await clock.advance(35_000);
    expect(get("nodes", "n").status).toMatchObject({ conditions: [{ status: "True" }] });
    await clock.advance(15_000);
    expect(get("nodes", "n")).toMatchObject({
      spec: {
        taints: [
          { key: "node.kubernetes.io/unreachable", effect: "NoSchedule" },
          { key: "node.kubernetes.io/unreachable", effect: "NoExecute" },
        ],
      },
      status: {
        conditions: expect.arrayContaining([
          expect.objectContaining({
            type: "Ready",
            status: "Unknown",
            message: "Kubelet stopped posting node status.",
          }),
        ]),
      },
    });
    expect(eventReasons()).toContain("NodeNotReady");
  });

  it("taints a cordoned node", async () => {
    const { get, node } = runningCluster();
    node("n", { unschedulable: true });
    await settle();
    expect(get("nodes", "n").spec).toMatchObject({
      taints: [{ key: "node.kubernetes.io/unschedulable", effect: "NoSchedule" }],
    });
  });
});

describe("expiry", () => {
  it("drops events after an hour and keeps younger ones", async () => {
    const { clock, create, names } = runningCluster();
    const event = (name: string) => ({
      apiVersion: "v1",
      kind: "Event",
      metadata: { name },
      involvedObject: { kind: "Pod", namespace: "default", name: "p" },
      lastTimestamp: new Date(clock.nowMs()).toISOString(),
    });
    create("events", event("old"));
    await clock.advance(30 * 60_000);
    create("events", event("young"));
    await clock.advance(31 * 60_000);
    expect(names("events")).toEqual(["young"]);
  });

  it("deletes the pods of a node that does not come back", async () => {
    const { clock, create, find, node, remove } = runningCluster();
    node();
    create("pods", podManifest("p"));
    await settle();
    remove("nodes", "n");
    await clock.advance(30_000);
    expect(find("pods", "p")).toBeDefined();
    await clock.advance(60_000);
    expect(find("pods", "p")).toBeUndefined();
  });

  it("compacts old revisions and keeps a few minutes of them", async () => {
    const { clock, context, create } = runningCluster();
    const before = context.store.currentRevision();
    create("configmaps", { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "c" } });
    await clock.advance(6 * 60_000);
    expect(context.store.compactedRevision()).toBeLessThanOrEqual(before);
    await clock.advance(10 * 60_000);
    expect(context.store.compactedRevision()).toBeGreaterThan(before);
  });
});
