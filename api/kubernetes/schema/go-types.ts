/**
 * The Go type names that appear in the real server's decoding errors. Structs are called by their
 * definition's name; named strings and maps are listed here. Source: kubernetes/api core/v1 types.go.
 */
import { type FieldType, shortName } from "./definitions.ts";

/** Struct and field → named Go type (of the field, or of a list's element). */
const named: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  Capabilities: { add: "v1.Capability", drop: "v1.Capability" },
  Container: containerNames(),
  ContainerPort: { protocol: "v1.Protocol" },
  ContainerStatus: { allocatedResources: "v1.ResourceList" },
  EmptyDirVolumeSource: { medium: "v1.StorageMedium" },
  EphemeralContainer: containerNames(),
  HTTPGetAction: { scheme: "v1.URIScheme" },
  HostPathVolumeSource: { type: "v1.HostPathType" },
  LabelSelectorRequirement: { operator: "v1.LabelSelectorOperator" },
  LimitRangeItem: {
    default: "v1.ResourceList",
    defaultRequest: "v1.ResourceList",
    max: "v1.ResourceList",
    min: "v1.ResourceList",
    type: "v1.LimitType",
  },
  NamespaceSpec: { finalizers: "v1.FinalizerName" },
  NamespaceStatus: { phase: "v1.NamespacePhase" },
  NodeAddress: { type: "v1.NodeAddressType" },
  NodeCondition: { status: "v1.ConditionStatus", type: "v1.NodeConditionType" },
  NodeSelectorRequirement: { operator: "v1.NodeSelectorOperator" },
  NodeStatus: {
    allocatable: "v1.ResourceList",
    capacity: "v1.ResourceList",
    phase: "v1.NodePhase",
  },
  ObjectMeta: { uid: "types.UID" },
  ObjectReference: { uid: "types.UID" },
  Overhead: { podFixed: "v1.ResourceList" },
  OwnerReference: { uid: "types.UID" },
  PodCondition: { status: "v1.ConditionStatus", type: "v1.PodConditionType" },
  PodOS: { name: "v1.OSName" },
  PodSecurityContext: {
    fsGroupChangePolicy: "v1.PodFSGroupChangePolicy",
    supplementalGroupsPolicy: "v1.SupplementalGroupsPolicy",
  },
  PodSpec: {
    dnsPolicy: "v1.DNSPolicy",
    overhead: "v1.ResourceList",
    preemptionPolicy: "v1.PreemptionPolicy",
    restartPolicy: "v1.RestartPolicy",
  },
  PodStatus: { phase: "v1.PodPhase", qosClass: "v1.PodQOSClass" },
  Preconditions: { uid: "types.UID" },
  ResourceQuotaSpec: { hard: "v1.ResourceList", scopes: "v1.ResourceQuotaScope" },
  ResourceRequirements: { limits: "v1.ResourceList", requests: "v1.ResourceList" },
  SeccompProfile: { type: "v1.SeccompProfileType" },
  Secret: { type: "v1.SecretType" },
  SecurityContext: { procMount: "v1.ProcMountType" },
  ServicePort: { protocol: "v1.Protocol" },
  ServiceSpec: { sessionAffinity: "v1.ServiceAffinity", type: "v1.ServiceType" },
  Taint: { effect: "v1.TaintEffect" },
  Toleration: { effect: "v1.TaintEffect", operator: "v1.TolerationOperator" },
  TopologySpreadConstraint: { whenUnsatisfiable: "v1.UnsatisfiableConstraintAction" },
  VolumeMount: {
    mountPropagation: "v1.MountPropagationMode",
    recursiveReadOnly: "v1.RecursiveReadOnlyMode",
  },
};

function containerNames(): Record<string, string> {
  return {
    imagePullPolicy: "v1.PullPolicy",
    restartPolicy: "v1.ContainerRestartPolicy",
    terminationMessagePolicy: "v1.TerminationMessagePolicy",
  };
}

/** The Go type of a field, e.g. `[]v1.Container`, `map[string]string`, `v1.RestartPolicy`. */
export function goTypeOf(type: FieldType, struct?: string, field?: string): string {
  const alias = struct === undefined || field === undefined ? undefined : named[struct]?.[field];
  if (type.array) return `[]${alias ?? goTypeOf(type.array)}`;
  if (alias !== undefined) return alias;
  if (type.map) return `map[string]${goTypeOf(type.map)}`;
  if (type.ref !== undefined) return `v1.${shortName(type.ref)}`;
  switch (type.format) {
    case "byte":
      return "[]uint8";
    case "int32":
    case "int64":
      return type.format;
    case "double":
      return "float64";
    case "quantity":
      return "resource.Quantity";
    case "int-or-string":
      return "int32";
  }
  return type.type === "boolean" ? "bool" : "string";
}
