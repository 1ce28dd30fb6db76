/**
 * How lists and maps of each field merge: the struct tags patchStrategy, patchMergeKey, listType,
 * listMapKey and mapType of kubernetes/api v0.32 (core/v1, apps/v1, batch/v1, node/v1, policy/v1
 * types.go) and apimachinery meta/v1 types.go. Keyed by Go struct and JSON name. The models we
 * generate from do not carry these tags; schema.test.ts compares with the published OpenAPI v3.
 */

export interface MergeFact {
  /** x-kubernetes-patch-strategy as published; "merge,retainKeys" is one published value. */
  readonly strategy?: "merge" | "retainKeys" | "merge,retainKeys" | "replace";
  readonly mergeKey?: string;
  readonly listType?: "map" | "set" | "atomic";
  readonly listMapKeys?: readonly string[];
  readonly mapType?: "atomic" | "granular";
}

/** The usual form: a list of objects merged by one key, which is its list-map-key too. */
function byKey(mergeKey: string, more: MergeFact = {}): MergeFact {
  return { strategy: "merge", mergeKey, listType: "map", listMapKeys: [mergeKey], ...more };
}

const container: Readonly<Record<string, MergeFact>> = {
  env: byKey("name"),
  // The merge key is narrower than the list-map-keys: kubernetes/kubernetes issue 108255.
  ports: byKey("containerPort", { listMapKeys: ["containerPort", "protocol"] }),
  volumeDevices: byKey("devicePath"),
  volumeMounts: byKey("mountPath"),
};

const conditions = { conditions: byKey("type") };
const atomicMap: MergeFact = { mapType: "atomic" };

export const mergeFacts: Readonly<Record<string, Readonly<Record<string, MergeFact>>>> = {
  ComponentStatus: conditions,
  Container: container,
  ContainerStatus: {
    allocatedResourcesStatus: byKey("name"),
    volumeMounts: byKey("mountPath"),
  },
  DaemonSetStatus: conditions,
  DeploymentSpec: { strategy: { strategy: "retainKeys" } },
  DeploymentStatus: conditions,
  EphemeralContainer: container,
  JobStatus: { conditions: { strategy: "merge", mergeKey: "type", listType: "atomic" } },
  NamespaceStatus: conditions,
  NodeSpec: { podCIDRs: { strategy: "merge", listType: "set" } },
  NodeStatus: { ...conditions, addresses: byKey("type") },
  ObjectMeta: {
    finalizers: { strategy: "merge", listType: "set" },
    ownerReferences: byKey("uid"),
  },
  PersistentVolumeClaimStatus: {
    ...conditions,
    allocatedResourceStatuses: { mapType: "granular" },
  },
  PersistentVolumeSpec: { claimRef: { mapType: "granular" } },
  PodDisruptionBudgetSpec: { selector: { strategy: "replace" } },
  PodDisruptionBudgetStatus: conditions,
  PodFailurePolicyOnExitCodesRequirement: { values: { listType: "set" } },
  PodSpec: {
    containers: byKey("name"),
    ephemeralContainers: byKey("name"),
    hostAliases: byKey("ip"),
    imagePullSecrets: byKey("name"),
    initContainers: byKey("name"),
    nodeSelector: atomicMap,
    resourceClaims: byKey("name", { strategy: "merge,retainKeys" }),
    schedulingGates: byKey("name"),
    topologySpreadConstraints: byKey("topologyKey", {
      listMapKeys: ["topologyKey", "whenUnsatisfiable"],
    }),
    volumes: byKey("name", { strategy: "merge,retainKeys" }),
  },
  PodStatus: {
    ...conditions,
    hostIPs: { strategy: "merge", mergeKey: "ip", listType: "atomic" },
    podIPs: byKey("ip"),
    resourceClaimStatuses: byKey("name", { strategy: "merge,retainKeys" }),
  },
  ReplicaSetStatus: conditions,
  ReplicationControllerSpec: { selector: atomicMap },
  ReplicationControllerStatus: conditions,
  ResourceRequirements: { claims: { listType: "map", listMapKeys: ["name"] } },
  ResourceStatus: { resources: { listType: "map", listMapKeys: ["resourceID"] } },
  Scheduling: { nodeSelector: atomicMap },
  ServiceAccount: { secrets: byKey("name") },
  ServiceSpec: {
    ports: byKey("port", { listMapKeys: ["port", "protocol"] }),
    selector: atomicMap,
  },
  ServiceStatus: conditions,
  StatefulSetStatus: conditions,
  UncountedTerminatedPods: { failed: { listType: "set" }, succeeded: { listType: "set" } },
};

/** Structs that are replaced as a whole by server-side apply (+structType=atomic). */
export const atomicStructs: ReadonlySet<string> = new Set([
  "ConfigMapKeySelector",
  "EndpointAddress",
  "EndpointPort",
  "LabelSelector",
  "LocalObjectReference",
  "NodeSelector",
  "NodeSelectorTerm",
  "ObjectFieldSelector",
  "ObjectReference",
  "OwnerReference",
  "ResourceFieldSelector",
  "ScopeSelector",
  "SecretKeySelector",
  "SecretReference",
  "TypedLocalObjectReference",
]);
