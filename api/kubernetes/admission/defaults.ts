/**
 * The defaults that Kubernetes' Go code sets when it decodes an object. No data file has them.
 * Source: kubernetes pkg/apis/core/v1/defaults.go, pkg/apis/core/v1/conversion.go (stringData),
 * pkg/apis/apps/v1, batch/v1 defaults.go, pkg/registry/core/namespace/strategy.go.
 */
import type {
  Container,
  Namespace,
  Node,
  Pod,
  PodSpec,
  PodTemplateSpec,
  Probe,
  Secret,
  Service,
  Volume,
} from "../../../proto/kubernetes/gen/types.ts";
import type { GroupVersionKind } from "../schema/definitions.ts";
import { setField } from "../schema/records.ts";

/** Modes of files in volumes: rw-r--r--. */
const defaultFileMode = 0o644;
const defaultGraceSeconds = 30;
const defaultTokenSeconds = 3600;

type Defaulter = (object: never) => void;

const defaulters: Readonly<Record<string, Defaulter>> = {
  "/Namespace": defaultNamespace,
  "/Node": defaultNode,
  "/Pod": defaultPod,
  "/Secret": defaultSecret,
  "/Service": defaultService,
  "apps/DaemonSet": defaultTemplateOf,
  "apps/Deployment": defaultReplicas,
  "apps/ReplicaSet": defaultReplicas,
  "apps/StatefulSet": defaultReplicas,
  "batch/Job": defaultTemplateOf,
};

/** Sets the defaults of a kind in place. Idempotent; kinds without Go-coded defaults stay as they are. */
export function applyDefaults(gvk: GroupVersionKind, object: object): void {
  (defaulters[`${gvk.group}/${gvk.kind}`] as ((object: object) => void) | undefined)?.(object);
}

function defaultNamespace(namespace: Namespace): void {
  const { metadata } = namespace;
  if (metadata?.name)
    metadata.labels = { ...metadata.labels, "kubernetes.io/metadata.name": metadata.name };
  namespace.spec ??= {};
  // The namespace controller takes it away again when all content is gone.
  if (metadata?.deletionTimestamp === undefined) namespace.spec.finalizers ??= ["kubernetes"];
  namespace.status ??= {};
  namespace.status.phase ??= "Active";
}

function defaultNode(node: Node): void {
  const { status } = node;
  if (status?.capacity && !status.allocatable) status.allocatable = { ...status.capacity };
}

function defaultSecret(secret: Secret): void {
  secret.type ||= "Opaque";
  if (!secret.stringData) return;
  // stringData is write-only: it is stored as data.
  secret.data ??= {};
  for (const [key, value] of Object.entries(secret.stringData))
    setField(secret.data, key, Buffer.from(value).toString("base64"));
  delete secret.stringData;
}

function defaultService(service: Service): void {
  service.spec ??= {};
  const { spec } = service;
  spec.sessionAffinity ||= "None";
  spec.type ||= "ClusterIP";
  if (spec.type !== "ExternalName") spec.internalTrafficPolicy ??= "Cluster";
  for (const port of spec.ports ?? []) {
    port.protocol ||= "TCP";
    port.targetPort ||= port.port;
  }
}

function defaultReplicas(object: {
  spec?: { replicas?: number; template?: PodTemplateSpec };
}): void {
  if (object.spec) object.spec.replicas ??= 1;
  defaultTemplateOf(object);
}

function defaultTemplateOf(object: { spec?: { template?: PodTemplateSpec } }): void {
  const spec = object.spec?.template?.spec;
  if (spec) defaultPodSpec(spec);
}

/** Pods have more defaults than pod templates. */
function defaultPod(pod: Pod): void {
  const { spec } = pod;
  if (!spec) return;
  defaultPodSpec(spec);
  spec.enableServiceLinks ??= true;
  for (const container of [...(spec.containers ?? []), ...(spec.initContainers ?? [])]) {
    const { resources } = container;
    if (resources?.limits) resources.requests = { ...resources.limits, ...resources.requests };
    if (!spec.hostNetwork) continue;
    for (const port of container.ports ?? []) port.hostPort ||= port.containerPort;
  }
}

function defaultPodSpec(spec: PodSpec): void {
  spec.restartPolicy ||= "Always";
  spec.dnsPolicy ||= "ClusterFirst";
  spec.schedulerName ||= "default-scheduler";
  spec.securityContext ??= {};
  spec.terminationGracePeriodSeconds ??= defaultGraceSeconds;
  // Each of the two names is kept for clients that know only one: conversion.go.
  const account = spec.serviceAccountName || spec.serviceAccount;
  if (account) {
    spec.serviceAccountName = account;
    spec.serviceAccount = account;
  }
  for (const volume of spec.volumes ?? []) defaultVolume(volume);
  for (const list of ["containers", "initContainers", "ephemeralContainers"] as const)
    for (const container of spec[list] ?? []) defaultContainer(container);
}

function defaultContainer(container: Container): void {
  container.imagePullPolicy ||= pullPolicyOf(container.image ?? "");
  container.terminationMessagePath ||= "/dev/termination-log";
  container.terminationMessagePolicy ||= "File";
  // Go has a struct here, not a pointer: it is always written.
  container.resources ??= {};
  for (const port of container.ports ?? []) port.protocol ||= "TCP";
  for (const { valueFrom } of container.env ?? [])
    if (valueFrom?.fieldRef) valueFrom.fieldRef.apiVersion ||= "v1";
  for (const kind of ["livenessProbe", "readinessProbe", "startupProbe"] as const) {
    const probe = container[kind];
    if (probe) defaultProbe(probe);
  }
  for (const hook of ["postStart", "preStop"] as const)
    defaultHttpGet(container.lifecycle?.[hook]?.httpGet);
}

/** Always for the tag "latest" and for no tag, which means the same. Source: util/parsers. */
export function pullPolicyOf(image: string): "Always" | "IfNotPresent" {
  if (image.includes("@")) return "IfNotPresent";
  const tag = /:([^/:]+)$/.exec(image)?.[1] ?? "latest";
  return tag === "latest" ? "Always" : "IfNotPresent";
}

function defaultProbe(probe: Probe): void {
  probe.timeoutSeconds ||= 1;
  probe.periodSeconds ||= 10;
  probe.successThreshold ||= 1;
  probe.failureThreshold ||= 3;
  defaultHttpGet(probe.httpGet);
  if (probe.grpc) probe.grpc.service ??= "";
}

function defaultHttpGet(action: Probe["httpGet"]): void {
  if (!action) return;
  action.path ||= "/";
  action.scheme ||= "HTTP";
}

function defaultVolume(volume: Volume): void {
  // A volume without a source is an empty directory.
  if (Object.keys(volume).every((key) => key === "name")) volume.emptyDir = {};
  const { configMap, secret, downwardAPI, projected, hostPath, image, iscsi, rbd, azureDisk } =
    volume;
  for (const source of [configMap, secret, downwardAPI, projected])
    if (source) source.defaultMode ??= defaultFileMode;
  if (hostPath) hostPath.type ??= "";
  if (image) image.pullPolicy ||= pullPolicyOf(image.reference ?? "");
  if (iscsi) iscsi.iscsiInterface ||= "default";
  if (rbd) {
    rbd.pool ||= "rbd";
    rbd.user ||= "admin";
    rbd.keyring ||= "/etc/ceph/keyring";
  }
  if (azureDisk) {
    azureDisk.cachingMode ??= "ReadWrite";
    azureDisk.kind ??= "Shared";
    azureDisk.fsType ??= "ext4";
    azureDisk.readOnly ??= false;
  }
  const files = [
    ...(downwardAPI?.items ?? []),
    ...(projected?.sources ?? []).flatMap((source) => source.downwardAPI?.items ?? []),
  ];
  for (const { fieldRef } of files) if (fieldRef) fieldRef.apiVersion ||= "v1";
  for (const { serviceAccountToken } of projected?.sources ?? [])
    if (serviceAccountToken) serviceAccountToken.expirationSeconds ??= defaultTokenSeconds;
}
