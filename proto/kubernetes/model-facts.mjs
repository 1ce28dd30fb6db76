// What the models of @kubernetes/client-node do not say: which group a type belongs to, which
// strings are quantities, and which fields are newer than the Kubernetes level we serve (v1.32).
// Source: kubernetes/api and kubernetes/apimachinery types.go. Data only.

/** Groups in the order in which shared types are given to a package: meta first, then core. */
export const packages = [
  {
    group: "",
    openapi: "io.k8s.apimachinery.pkg.apis.meta.v1",
    roots: [
      "APIGroup",
      "APIGroupList",
      "APIResourceList",
      "APIVersions",
      "Condition",
      "DeleteOptions",
      "FieldSelectorRequirement",
      "LabelSelector",
      "ListMeta",
      "ObjectMeta",
      "Status",
      "WatchEvent",
    ],
  },
  {
    group: "",
    openapi: "io.k8s.api.core.v1",
    roots: [
      "Binding",
      "ComponentStatus",
      "ComponentStatusList",
      "ConfigMap",
      "ConfigMapList",
      "CoreV1Event",
      "CoreV1EventList",
      "Endpoints",
      "EndpointsList",
      "LimitRange",
      "LimitRangeList",
      "Namespace",
      "NamespaceList",
      "Node",
      "NodeList",
      "PersistentVolume",
      "PersistentVolumeList",
      "PersistentVolumeClaim",
      "PersistentVolumeClaimList",
      "Pod",
      "PodList",
      "PodTemplate",
      "PodTemplateList",
      "ReplicationController",
      "ReplicationControllerList",
      "ResourceQuota",
      "ResourceQuotaList",
      "Secret",
      "SecretList",
      "Service",
      "ServiceList",
      "ServiceAccount",
      "ServiceAccountList",
    ],
  },
  {
    group: "node.k8s.io",
    openapi: "io.k8s.api.node.v1",
    roots: ["RuntimeClass", "RuntimeClassList"],
  },
  {
    group: "coordination.k8s.io",
    openapi: "io.k8s.api.coordination.v1",
    roots: ["Lease", "LeaseList"],
  },
  {
    group: "events.k8s.io",
    openapi: "io.k8s.api.events.v1",
    roots: ["EventsV1Event", "EventsV1EventList"],
  },
  {
    group: "apps",
    openapi: "io.k8s.api.apps.v1",
    roots: [
      "ControllerRevision",
      "ControllerRevisionList",
      "DaemonSet",
      "DaemonSetList",
      "Deployment",
      "DeploymentList",
      "ReplicaSet",
      "ReplicaSetList",
      "StatefulSet",
      "StatefulSetList",
    ],
  },
  {
    group: "batch",
    openapi: "io.k8s.api.batch.v1",
    roots: ["CronJob", "CronJobList", "Job", "JobList"],
  },
  { group: "autoscaling", openapi: "io.k8s.api.autoscaling.v1", roots: ["Scale"] },
  {
    group: "authentication.k8s.io",
    openapi: "io.k8s.api.authentication.v1",
    roots: ["AuthenticationV1TokenRequest", "SelfSubjectReview", "TokenReview"],
  },
  {
    group: "authorization.k8s.io",
    openapi: "io.k8s.api.authorization.v1",
    roots: [
      "LocalSubjectAccessReview",
      "SelfSubjectAccessReview",
      "SelfSubjectRulesReview",
      "SubjectAccessReview",
    ],
  },
  {
    group: "policy",
    openapi: "io.k8s.api.policy.v1",
    roots: ["Eviction", "PodDisruptionBudget", "PodDisruptionBudgetList"],
  },
  {
    group: "scheduling.k8s.io",
    openapi: "io.k8s.api.scheduling.v1",
    roots: ["PriorityClass", "PriorityClassList"],
  },
];

/** Fields (or values of maps) that are resource.Quantity in Go; the models say "string". */
export const quantityFields = {
  ContainerStatus: ["allocatedResources"],
  EmptyDirVolumeSource: ["sizeLimit"],
  LimitRangeItem: ["default", "defaultRequest", "max", "maxLimitRequestRatio", "min"],
  NodeStatus: ["allocatable", "capacity"],
  Overhead: ["podFixed"],
  PersistentVolumeClaimStatus: ["allocatedResources", "capacity"],
  PersistentVolumeSpec: ["capacity"],
  PodSpec: ["overhead"],
  ResourceFieldSelector: ["divisor"],
  ResourceQuotaSpec: ["hard"],
  ResourceQuotaStatus: ["hard", "used"],
  ResourceRequirements: ["limits", "requests"],
  VolumeResourceRequirements: ["limits", "requests"],
};

/** Fields that came with v1.33 or v1.34: a v1.32 server calls them unknown. */
export const since133 = {
  Container: ["restartPolicyRules"],
  ContainerStatus: ["stopSignal"],
  DeploymentStatus: ["terminatingReplicas"],
  EnvVarSource: ["fileKeyRef"],
  EphemeralContainer: ["restartPolicyRules"],
  Lifecycle: ["stopSignal"],
  NodeSystemInfo: ["swap"],
  PodCondition: ["observedGeneration"],
  PodSpec: ["hostnameOverride"],
  PodStatus: ["extendedResourceClaimStatus", "observedGeneration"],
  ReplicaSetStatus: ["terminatingReplicas"],
  VolumeProjection: ["podCertificate"],
};

/** Fields that were required in v1.32 and are no longer. */
export const requiredUntil133 = { StatefulSetSpec: ["serviceName"] };
