/**
 * Image names as Docker and containerd read them: `nginx` is `docker.io/library/nginx:latest`.
 * Source of the grammar: distribution/reference (normalize.go, regexp.go).
 */
import { imageError } from "./errors.ts";

export interface ImageReference {
  /** Registry host, with port: "docker.io". */
  readonly domain: string;
  /** "library/nginx" */
  readonly path: string;
  readonly tag?: string;
  /** "sha256:…" */
  readonly digest?: string;
  /** The full name; with a digest the tag is left out, as the digest alone decides. */
  readonly canonical: string;
}

const domainPattern =
  /^(?:(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])(?:\.(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]))*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?$/;
const pathPattern =
  /^[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*$/;
const tagPattern = /^[\w][\w.-]{0,127}$/;
const digestPattern = /^sha256:[a-f0-9]{64}$/;
// reference.NameTotalLengthMax
const maxNameLength = 255;

/** Rejects with kubelet's text (pkg/kubelet/images/image_manager.go applyDefaultImageTag). */
export function parseReference(name: string): ImageReference {
  const fail = (why: string) =>
    imageError(
      "IMAGE_NAME_INVALID",
      `Failed to apply default image tag "${name}": couldn't parse image name "${name}": invalid reference format${why}`,
      {
        hint: "Use a name such as registry.example/team/app:v1, all in lower case before the tag.",
      },
    );
  const [beforeDigest = "", digest, ...more] = name.split("@");
  if (more.length > 0 || (digest !== undefined && !digestPattern.test(digest))) throw fail("");
  // A colon after the last slash starts the tag; one before it belongs to the registry's port.
  const slash = beforeDigest.lastIndexOf("/");
  const colon = beforeDigest.indexOf(":", slash + 1);
  const repository = colon === -1 ? beforeDigest : beforeDigest.slice(0, colon);
  const tag = colon === -1 ? undefined : beforeDigest.slice(colon + 1);
  if (tag !== undefined && !tagPattern.test(tag)) throw fail("");
  const { domain, path } = splitDomain(repository);
  if (!domainPattern.test(domain)) throw fail("");
  if (!pathPattern.test(path)) {
    const lower = path !== path.toLowerCase() && pathPattern.test(path.toLowerCase());
    throw fail(lower ? ": repository name must be lowercase" : "");
  }
  if (`${domain}/${path}`.length > maxNameLength) {
    throw fail(`: repository name must not be more than ${maxNameLength} characters`);
  }
  const effectiveTag = digest === undefined ? (tag ?? "latest") : tag;
  return {
    domain,
    path,
    ...(effectiveTag === undefined ? {} : { tag: effectiveTag }),
    ...(digest === undefined ? {} : { digest }),
    canonical:
      digest === undefined ? `${domain}/${path}:${effectiveTag}` : `${domain}/${path}@${digest}`,
  };
}

function splitDomain(repository: string): { domain: string; path: string } {
  const slash = repository.indexOf("/");
  const first = slash === -1 ? "" : repository.slice(0, slash);
  const isDomain = /[.:]/.test(first) || first === "localhost" || first !== first.toLowerCase();
  if (!isDomain) {
    return {
      domain: "docker.io",
      path: slash === -1 ? `library/${repository}` : repository,
    };
  }
  const path = repository.slice(slash + 1);
  if (first !== "docker.io" && first !== "index.docker.io") return { domain: first, path };
  return { domain: "docker.io", path: path.includes("/") ? path : `library/${path}` };
}
