/**
 * Our entries in a user's kubeconfig text: pure functions over YAML documents, so that comments, order and
 * unknown fields of everything else stay as they are.
 */
import { type Document, isMap, isSeq, parseDocument, type YAMLMap, YAMLSeq } from "yaml";
import { cliError } from "../errors.ts";

/** Certificates embedded, so that the file works when it is copied. Base64 of PEM. */
export interface ClusterEntry {
  /** `katasim-<name>`: cluster, user and context alike. */
  readonly name: string;
  readonly server: string;
  readonly certificateAuthorityData: string;
  readonly clientCertificateData: string;
  readonly clientKeyData: string;
}

const sections = ["clusters", "users", "contexts"] as const;

/** A kubeconfig of our own with nothing else in it. */
export function kubeconfigText(entry: ClusterEntry): string {
  return mergeKubeconfig("", entry, { switchContext: true });
}

/** The text with our entries replaced in place or appended. Throws KUBECONFIG_INVALID. */
export function mergeKubeconfig(
  text: string,
  entry: ClusterEntry,
  options: { readonly switchContext: boolean },
): string {
  const document = parseKubeconfig(text);
  const bodies = {
    clusters: {
      cluster: {
        server: entry.server,
        "certificate-authority-data": entry.certificateAuthorityData,
      },
    },
    users: {
      user: {
        "client-certificate-data": entry.clientCertificateData,
        "client-key-data": entry.clientKeyData,
      },
    },
    contexts: { context: { cluster: entry.name, user: entry.name } },
  };
  for (const section of sections) {
    const list = sectionOf(document, section);
    const node = document.createNode({ name: entry.name, ...bodies[section] });
    const index = list.items.findIndex((item) => nameOf(item) === entry.name);
    if (index >= 0) list.items[index] = node;
    else list.items.push(node);
  }
  if (options.switchContext) document.set("current-context", entry.name);
  return document.toString({ lineWidth: 0 });
}

/** The text without our entries; undefined when there was nothing of ours. */
export function removeFromKubeconfig(text: string, name: string): string | undefined {
  const document = parseKubeconfig(text);
  let changed = false;
  for (const section of sections) {
    const list = document.get(section);
    if (!isSeq(list)) continue;
    const kept = list.items.filter((item) => nameOf(item) !== name);
    if (kept.length === list.items.length) continue;
    list.items = kept;
    // An empty block sequence would print as nothing: kubectl writes [] too.
    if (kept.length === 0) list.flow = true;
    changed = true;
  }
  if (document.get("current-context") === name) {
    document.set("current-context", "");
    changed = true;
  }
  return changed ? document.toString({ lineWidth: 0 }) : undefined;
}

/** Our entry as it stands in the text, if it is whole. */
export function findInKubeconfig(text: string, name: string): ClusterEntry | undefined {
  const document = parseKubeconfig(text);
  const field = (section: string, body: string, key: string): string | undefined => {
    const list = document.get(section);
    if (!isSeq(list)) return undefined;
    const item = list.items.find((candidate) => nameOf(candidate) === name);
    const value = isMap(item) ? item.getIn([body, key]) : undefined;
    return typeof value === "string" ? value : undefined;
  };
  const server = field("clusters", "cluster", "server");
  const ca = field("clusters", "cluster", "certificate-authority-data");
  const certificate = field("users", "user", "client-certificate-data");
  const key = field("users", "user", "client-key-data");
  if (!server || !ca || !certificate || !key) return undefined;
  return {
    name,
    server,
    certificateAuthorityData: ca,
    clientCertificateData: certificate,
    clientKeyData: key,
  };
}

function parseKubeconfig(text: string): Document {
  const document = parseDocument(text);
  const first = document.errors[0];
  if (first !== undefined) {
    throw cliError("KUBECONFIG_INVALID", "the kubeconfig is not valid YAML", {
      cause: first,
      hint: "repair it by hand, or use --kubeconfig FILE for another one",
    });
  }
  if (document.contents === null) {
    const fresh = parseDocument("apiVersion: v1\nkind: Config\npreferences: {}\n") as Document;
    fresh.commentBefore = document.commentBefore;
    return fresh;
  }
  if (!isMap(document.contents)) {
    throw cliError("KUBECONFIG_INVALID", "the kubeconfig is not a YAML mapping", {
      hint: "a kubeconfig starts with: apiVersion: v1",
    });
  }
  return document as Document;
}

function sectionOf(document: Document, section: string): YAMLSeq {
  const present = document.get(section);
  if (isSeq(present)) {
    present.flow = false;
    return present;
  }
  // kubectl writes `clusters: null` into an empty file; anything else is not ours to overwrite.
  if (present !== undefined && present !== null) {
    throw cliError("KUBECONFIG_INVALID", `${section} of the kubeconfig is not a list`);
  }
  const list = new YAMLSeq();
  document.set(section, list);
  return list;
}

function nameOf(item: unknown): unknown {
  return isMap(item) ? (item as YAMLMap).get("name") : undefined;
}
