/**
 * The published protobuf field numbers, as data. Types are not repeated here: the definitions have
 * them, and the decoder derives the wire type from the field.
 *
 * Notation, one message a line (continued by indented lines): `Message: field=number …`
 *   field*=n       a pointer to a scalar in Go: its zero value means something and is kept. All other
 *                  scalars are written even when unset, so their zero value is dropped as Go's
 *                  omitempty does.
 *   ^Message=n     an embedded struct: in JSON its fields stand in the parent.
 * Source: kubernetes/api generated.proto of each group and apimachinery meta/v1 generated.proto, v0.32.
 */

import { coreFieldNumbers } from "./field-numbers-core.ts";

export interface WireField {
  readonly name: string;
  readonly keepsZero: boolean;
  /** Set for an embedded struct: the message whose fields stand in this one. */
  readonly embedded?: string;
}

/** Field number → field. */
export type WireMessage = ReadonlyMap<number, WireField>;

const metaFieldNumbers = `
DeleteOptions: gracePeriodSeconds*=1 preconditions=2 orphanDependents*=3 propagationPolicy*=4
  dryRun=5 ignoreStoreReadErrorWithClusterBreakingPotential*=6
FieldSelectorRequirement: key=1 operator=2 values=3
LabelSelector: matchLabels=1 matchExpressions=2
LabelSelectorRequirement: key=1 operator=2 values=3
ManagedFieldsEntry: manager=1 operation=2 apiVersion=3 time=4 fieldsType=6 fieldsV1=7
  subresource=8
ObjectMeta: name=1 generateName=2 namespace=3 selfLink=4 uid=5 resourceVersion=6 generation=7
  creationTimestamp=8 deletionTimestamp=9 deletionGracePeriodSeconds*=10 labels=11 annotations=12
  ownerReferences=13 finalizers=14 managedFields=17
OwnerReference: kind=1 name=3 uid=4 apiVersion=5 controller*=6 blockOwnerDeletion*=7
Preconditions: uid*=1 resourceVersion*=2
`;

const groupFieldNumbers: Readonly<Record<string, string>> = {
  authentication: `
BoundObjectReference: kind=1 apiVersion=2 name=3 uid=4
ExtraValue: items=1
SelfSubjectReview: metadata=1 status=2
SelfSubjectReviewStatus: userInfo=1
TokenRequest: metadata=1 spec=2 status=3
TokenRequestSpec: audiences=1 boundObjectRef=3 expirationSeconds*=4
TokenRequestStatus: token=1 expirationTimestamp=2
UserInfo: username=1 uid=2 groups=3 extra=4
`,
  authorization: `
ExtraValue: items=1
FieldSelectorAttributes: rawSelector=1 requirements=2
LabelSelectorAttributes: rawSelector=1 requirements=2
NonResourceAttributes: path=1 verb=2
NonResourceRule: verbs=1 nonResourceURLs=2
ResourceAttributes: namespace=1 verb=2 group=3 version=4 resource=5 subresource=6 name=7
  fieldSelector=8 labelSelector=9
ResourceRule: verbs=1 apiGroups=2 resources=3 resourceNames=4
SelfSubjectAccessReview: metadata=1 spec=2 status=3
SelfSubjectAccessReviewSpec: resourceAttributes=1 nonResourceAttributes=2
SelfSubjectRulesReview: metadata=1 spec=2 status=3
SelfSubjectRulesReviewSpec: namespace=1
SubjectAccessReview: metadata=1 spec=2 status=3
SubjectAccessReviewSpec: resourceAttributes=1 nonResourceAttributes=2 user=3 groups=4 extra=5
  uid=6
SubjectAccessReviewStatus: allowed=1 reason=2 evaluationError=3 denied=4
SubjectRulesReviewStatus: resourceRules=1 nonResourceRules=2 incomplete=3 evaluationError=4
`,
  coordination: `
Lease: metadata=1 spec=2
LeaseSpec: holderIdentity*=1 leaseDurationSeconds*=2 acquireTime=3 renewTime=4 leaseTransitions*=5
  strategy*=6 preferredHolder*=7
`,
  events: `
Event: metadata=1 eventTime=2 series=3 reportingController=4 reportingInstance=5 action=6 reason=7
  regarding=8 related=9 note=10 type=11 deprecatedSource=12 deprecatedFirstTimestamp=13
  deprecatedLastTimestamp=14 deprecatedCount=15
EventSeries: count=1 lastObservedTime=2
`,
  node: `
Overhead: podFixed=1
RuntimeClass: metadata=1 handler=2 overhead=3 scheduling=4
Scheduling: nodeSelector=1 tolerations=2
`,
  policy: `
Eviction: metadata=1 deleteOptions=2
`,
};

/** Messages by the OpenAPI name of their definition, e.g. `io.k8s.api.core.v1.Pod`. */
export const wireMessages: ReadonlyMap<string, WireMessage> = new Map([
  ...parse("io.k8s.apimachinery.pkg.apis.meta.v1", metaFieldNumbers),
  ...parse("io.k8s.api.core.v1", coreFieldNumbers),
  ...Object.entries(groupFieldNumbers).flatMap(([group, text]) => [
    ...parse(`io.k8s.api.${group}.v1`, text),
  ]),
]);

/** Fields that Go writes even when empty, though OpenAPI calls them optional. */
const alwaysWritten = new Set(["reportingComponent", "reportingInstance"]);

/**
 * Whether a field's zero value is kept: true for pointers, false for plain scalars, undefined for
 * messages that are not listed here.
 */
export function keepsZero(definitionName: string, field: string): boolean | undefined {
  const message = wireMessages.get(definitionName);
  return message && (alwaysWritten.has(field) || keepsZeroIn(message, field));
}

function keepsZeroIn(message: WireMessage, field: string): boolean | undefined {
  for (const wire of message.values()) {
    if (wire.embedded !== undefined) {
      const embedded = wireMessages.get(wire.embedded);
      const found = embedded && keepsZeroIn(embedded, field);
      if (found !== undefined) return found;
    } else if (wire.name === field) {
      return wire.keepsZero;
    }
  }
  return undefined;
}

/** What Go's omitempty leaves out. */
export function isZero(value: unknown): boolean {
  return value === "" || value === 0 || value === false;
}

function parse(packageName: string, text: string): Map<string, WireMessage> {
  const messages = new Map<string, Map<number, WireField>>();
  let current = new Map<number, WireField>();
  for (const word of text.split(/\s+/).filter((part) => part !== "")) {
    if (word.endsWith(":")) {
      current = new Map();
      messages.set(`${packageName}.${word.slice(0, -1)}`, current);
      continue;
    }
    const [, mark, name = "", star, number] = /^(\^?)(\w+)(\*?)=(\d+)$/.exec(word) ?? [];
    const field: WireField = { name, keepsZero: star === "*" };
    current.set(
      Number(number),
      mark === "^" ? { ...field, embedded: `${packageName}.${name}` } : field,
    );
  }
  return messages;
}
