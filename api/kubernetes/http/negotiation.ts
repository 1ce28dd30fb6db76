/** The Accept header: JSON or YAML, and which transformation of the object. */
import { apiError } from "../../errors.ts";

export interface Negotiated {
  readonly encoding: "json" | "yaml";
  readonly as: "object" | "Table" | "PartialObjectMetadata";
  /** Version of meta.k8s.io or apidiscovery.k8s.io that was asked for. */
  readonly version: string;
  /** The kind asked for with apidiscovery.k8s.io. */
  readonly discovery: boolean;
}

export interface MediaRange {
  readonly type: string;
  readonly params: Readonly<Record<string, string>>;
}

const plain: Negotiated = { encoding: "json", as: "object", version: "", discovery: false };

/** The first range that can be served; 406 when there is none (protobuf only, CBOR only). */
export function negotiate(accept: string | undefined): Negotiated {
  if (accept === undefined || accept.trim() === "") return plain;
  for (const range of parseAccept(accept)) {
    const encoding = encodingOf(range.type);
    if (encoding === undefined) continue;
    const { as, g: group = "", v: version = "" } = range.params;
    if (as === undefined) return { ...plain, encoding };
    if (group === "meta.k8s.io" && (version === "v1" || version === "v1beta1")) {
      if (as === "Table") return { encoding, as, version, discovery: false };
      if (as === "PartialObjectMetadata" || as === "PartialObjectMetadataList") {
        return { encoding, as: "PartialObjectMetadata", version, discovery: false };
      }
    }
    if (group === "apidiscovery.k8s.io" && as === "APIGroupDiscoveryList") {
      if (version === "v2" || version === "v2beta1") {
        return { encoding, as: "object", version, discovery: true };
      }
    }
  }
  throw apiError(
    "NOT_ACCEPTABLE",
    "only the following media types are accepted: application/json, application/yaml",
  );
}

function encodingOf(type: string): "json" | "yaml" | undefined {
  if (type === "application/json" || type === "*/*" || type === "application/*") return "json";
  return type === "application/yaml" ? "yaml" : undefined;
}

/** Media ranges in the client's order of preference; types are in lower case. */
export function parseAccept(header: string): MediaRange[] {
  const ranges = header.split(",").map((part) => {
    const [type = "", ...parameters] = part.split(";").map((text) => text.trim());
    const params = Object.fromEntries(
      parameters.map((parameter) => {
        const [name = "", value = ""] = parameter.split("=");
        return [name.trim().toLowerCase(), value.trim().replace(/^"|"$/g, "")];
      }),
    );
    return { type: type.toLowerCase(), params };
  });
  const quality = (range: MediaRange) => Number(range.params.q ?? "1");
  return ranges.filter((range) => quality(range) > 0).sort((a, b) => quality(b) - quality(a));
}
