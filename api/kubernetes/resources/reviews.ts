/**
 * Kinds that are answered, not stored: who am I, may I. Everybody with a certificate of this cluster
 * may do everything here, so the answer to "may I" is yes.
 */
import { rfc3339 } from "../../../common/clock.ts";
import { defineResource, type ResourceForm } from "../define-resource.ts";

const virtual = {
  version: "v1",
  namespaced: false,
  verbs: ["create"],
  columns: [{ name: "Name", description: "Reviews have no name." }],
  cells: () => [""],
} as const satisfies Partial<ResourceForm>;

const reason = "katasim allows everything to holders of a certificate of the cluster";

export const selfSubjectReviews = defineResource({
  ...virtual,
  group: "authentication.k8s.io",
  kind: "SelfSubjectReview",
  plural: "selfsubjectreviews",
  review: (context, body, user) => ({
    ...body,
    metadata: { creationTimestamp: rfc3339(context.clock.nowMs()) },
    status: { userInfo: { username: user.name, groups: user.groups } },
  }),
});

export const selfSubjectAccessReviews = defineResource({
  ...virtual,
  group: "authorization.k8s.io",
  kind: "SelfSubjectAccessReview",
  plural: "selfsubjectaccessreviews",
  review: (_context, body) => ({ ...body, status: { allowed: true, reason } }),
});

export const selfSubjectRulesReviews = defineResource({
  ...virtual,
  group: "authorization.k8s.io",
  kind: "SelfSubjectRulesReview",
  plural: "selfsubjectrulesreviews",
  review: (_context, body) => ({
    ...body,
    status: {
      resourceRules: [{ verbs: ["*"], apiGroups: ["*"], resources: ["*"] }],
      nonResourceRules: [{ verbs: ["*"], nonResourceURLs: ["*"] }],
      incomplete: false,
    },
  }),
});
