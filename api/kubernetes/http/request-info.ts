/** What a URL asks for. Source: apiserver pkg/endpoints/request/requestinfo.go. */

export interface ResourcePath {
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  /** Empty for cluster-scoped requests and for lists over all namespaces. */
  readonly namespace: string;
  /** Empty for collections. */
  readonly name: string;
  readonly subresource: string;
  /** What follows the subresource: the path a proxy request forwards. */
  readonly rest: string;
}

/** Undefined for discovery and other non-resource paths. Segments are percent-decoded. */
export function parseResourcePath(path: string): ResourcePath | undefined {
  const segments = path.split("/").slice(1).map(decodeSegment);
  if (segments.some((segment) => segment === undefined)) return undefined;
  const parts = segments as string[];
  const root = parts.shift();
  const group = root === "api" ? "" : root === "apis" ? parts.shift() : undefined;
  const version = parts.shift();
  if (group === undefined || !version || parts.length === 0 || parts[0] === "") return undefined;

  let namespace = "";
  // /namespaces/<ns>/<plural> is a place; /namespaces/<ns>[/status|/finalize] is the Namespace itself.
  if (parts[0] === "namespaces" && parts.length >= 3 && !isNamespacePart(parts)) {
    namespace = parts[1] ?? "";
    parts.splice(0, 2);
  }
  const [plural = "", name = "", subresource = "", ...rest] = parts;
  return { group, version, plural, namespace, name, subresource, rest: rest.join("/") };
}

function isNamespacePart(parts: readonly string[]): boolean {
  return parts.length === 3 && (parts[2] === "status" || parts[2] === "finalize");
}

function decodeSegment(segment: string): string | undefined {
  try {
    return decodeURIComponent(segment);
  } catch {
    return undefined;
  }
}
