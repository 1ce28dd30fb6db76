/** Every resource this API serves, in the order discovery lists them. */
import { configMaps } from "./config-maps.ts";
import { events, eventsV1 } from "./events.ts";
import { leases } from "./leases.ts";
import { namespaces } from "./namespaces.ts";
import { nodes } from "./nodes.ts";
import { pods } from "./pods.ts";
import { priorityClasses } from "./priority-classes.ts";
import {
  selfSubjectAccessReviews,
  selfSubjectReviews,
  selfSubjectRulesReviews,
} from "./reviews.ts";
import { runtimeClasses } from "./runtime-classes.ts";
import { secrets } from "./secrets.ts";
import { serviceAccounts } from "./service-accounts.ts";

export const allResources = [
  configMaps,
  events,
  namespaces,
  nodes,
  pods,
  secrets,
  serviceAccounts,
  eventsV1,
  selfSubjectReviews,
  selfSubjectAccessReviews,
  selfSubjectRulesReviews,
  leases,
  runtimeClasses,
  priorityClasses,
];
