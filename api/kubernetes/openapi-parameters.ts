/**
 * Parameters of operations in OpenAPI documents. kubectl looks for fieldValidation and dryRun among
 * them before it sends either. Source: the published v3 documents; meta/v1 ListOptions, CreateOptions,
 * PatchOptions, UpdateOptions, DeleteOptions.
 */

interface ParameterText {
  readonly type: "boolean" | "integer" | "string";
  readonly description: string;
}

const texts: Readonly<Record<string, ParameterText>> = {
  allowWatchBookmarks: {
    type: "boolean",
    description: 'allowWatchBookmarks requests watch events with type "BOOKMARK".',
  },
  continue: {
    type: "string",
    description: "The continue option should be set when retrieving more results from the server.",
  },
  dryRun: {
    type: "string",
    description:
      "When present, indicates that modifications should not be persisted. An invalid or unrecognized dryRun directive will result in an error response and no further processing of the request. Valid values are: - All: all dry run stages will be processed",
  },
  fieldManager: {
    type: "string",
    description:
      "fieldManager is a name associated with the actor or entity that is making these changes.",
  },
  fieldSelector: {
    type: "string",
    description:
      "A selector to restrict the list of returned objects by their fields. Defaults to everything.",
  },
  fieldValidation: {
    type: "string",
    description:
      "fieldValidation instructs the server on how to handle objects in the request (POST/PUT/PATCH) containing unknown or duplicate fields. Valid values are: - Ignore - Warn - Strict",
  },
  force: {
    type: "boolean",
    description: 'Force is going to "force" Apply requests.',
  },
  gracePeriodSeconds: {
    type: "integer",
    description: "The duration in seconds before the object should be deleted.",
  },
  ignoreStoreReadErrorWithClusterBreakingPotential: {
    type: "boolean",
    description: "Not used by this server.",
  },
  labelSelector: {
    type: "string",
    description:
      "A selector to restrict the list of returned objects by their labels. Defaults to everything.",
  },
  limit: {
    type: "integer",
    description: "limit is a maximum number of responses to return for a list call.",
  },
  orphanDependents: {
    type: "boolean",
    description: "Deprecated: please use the PropagationPolicy.",
  },
  propagationPolicy: {
    type: "string",
    description: "Whether and how garbage collection will be performed.",
  },
  resourceVersion: {
    type: "string",
    description:
      "resourceVersion sets a constraint on what resource versions a request may be served from.",
  },
  resourceVersionMatch: {
    type: "string",
    description: "resourceVersionMatch determines how resourceVersion is applied to list calls.",
  },
  sendInitialEvents: {
    type: "boolean",
    description:
      "sendInitialEvents=true may be set together with watch=true: the watch begins with synthetic events for the objects there are.",
  },
  timeoutSeconds: {
    type: "integer",
    description: "Timeout for the list/watch call.",
  },
  watch: {
    type: "boolean",
    description:
      "Watch for changes to the described resources and return them as a stream of add, update, and remove notifications.",
  },
};

const writing = ["dryRun", "fieldManager", "fieldValidation"];
const deleting = [
  "dryRun",
  "gracePeriodSeconds",
  "ignoreStoreReadErrorWithClusterBreakingPotential",
  "orphanDependents",
  "propagationPolicy",
];
const listing = [
  "continue",
  "fieldSelector",
  "labelSelector",
  "limit",
  "resourceVersion",
  "resourceVersionMatch",
  "sendInitialEvents",
  "timeoutSeconds",
];

const byVerb: Readonly<Record<string, readonly string[]>> = {
  create: writing,
  delete: deleting,
  deletecollection: [...deleting, ...listing],
  get: [],
  list: ["allowWatchBookmarks", ...listing, "watch"],
  patch: [...writing, "force"],
  update: writing,
};

/** Query parameters of one verb, by name. */
export function operationParameters(verb: string): object[] {
  return [...(byVerb[verb] ?? [])].sort().map((name) => ({
    ...(texts[name] && { description: texts[name].description }),
    in: "query",
    name,
    schema: { type: texts[name]?.type ?? "string", uniqueItems: true },
  }));
}

/** The parameters all operations of a path share. */
export function pathParameters(path: string): object[] {
  const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name = ""]) => ({
    description:
      name === "namespace"
        ? "object name and auth scope, such as for teams and projects"
        : "name of the object",
    in: "path",
    name,
    required: true,
    schema: { type: "string", uniqueItems: true },
  }));
  const pretty = {
    description: "If 'true', then the output is pretty printed.",
    in: "query",
    name: "pretty",
    schema: { type: "string", uniqueItems: true },
  };
  return [...inPath.sort((a, b) => (a.name < b.name ? -1 : 1)), pretty];
}
