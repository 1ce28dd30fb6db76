/** A cluster in memory for unit tests: real store, registry, admission; no listener, a clock that stands still. */
import { silentLogger } from "../../common/log.ts";
import { createManualClock, type ManualClock } from "../../test/fakes/manual-clock.ts";
import { createBetterSqliteStore } from "../store/better-sqlite.ts";
import type { ApiContext } from "./context.ts";
import { createObject } from "./generic/create.ts";
import { getObject } from "./generic/keys.ts";
import { systemWrite } from "./generic/options.ts";
import type { KubeObject } from "./object.ts";
import { createRegistry } from "./registry.ts";
import { allResources } from "./resources/index.ts";
import { seedCluster } from "./seed.ts";

export interface TestCluster {
  readonly context: ApiContext;
  readonly clock: ManualClock;
  create(resource: string, object: object, namespace?: string): KubeObject;
  get(resource: string, name: string, namespace?: string): KubeObject;
  find(resource: string, name: string, namespace?: string): KubeObject | undefined;
  names(resource: string): string[];
}

export function createTestCluster(): TestCluster {
  const clock = createManualClock();
  const context: ApiContext = {
    store: createBetterSqliteStore({ file: ":memory:" }),
    registry: createRegistry(allResources),
    clock,
    log: silentLogger,
    caPem: "-----BEGIN CERTIFICATE-----",
  };
  seedCluster(context);
  const find = (resource: string, name: string, namespace = "default") =>
    context.store.get({
      resource,
      namespace: context.registry.stored(resource).namespaced ? namespace : "",
      name,
    });
  return {
    context,
    clock,
    create: (resource, object, namespace = "default") =>
      createObject(
        context,
        context.registry.stored(resource),
        namespace,
        structuredClone(object) as KubeObject,
        systemWrite,
      ),
    get: (resource, name, namespace = "default") =>
      getObject(context, context.registry.stored(resource), { namespace, name }),
    find,
    names: (resource) =>
      [...context.store.list({ resource }).objects].map((object) => object.metadata.name ?? ""),
  };
}

/** As it comes from decoding and defaulting. */
export function podManifest(name: string, spec: object = {}, metadata: object = {}): KubeObject {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, ...metadata },
    spec: {
      containers: [
        {
          name: "c",
          image: "busybox",
          imagePullPolicy: "Always",
          terminationMessagePath: "/dev/termination-log",
          terminationMessagePolicy: "File",
          resources: {},
        },
      ],
      restartPolicy: "Always",
      dnsPolicy: "ClusterFirst",
      schedulerName: "default-scheduler",
      securityContext: {},
      terminationGracePeriodSeconds: 30,
      ...spec,
    },
  };
}

export function nodeManifest(name: string, allocatable: object, spec: object = {}): KubeObject {
  return {
    apiVersion: "v1",
    kind: "Node",
    metadata: { name, labels: { "kubernetes.io/hostname": name } },
    spec,
    status: {
      allocatable,
      conditions: [{ type: "Ready", status: "True", reason: "KubeletReady" }],
    },
  };
}
