/**
 * The certificates of one instance, kept in `paths.pki` (0600): made once, used again after a
 * restart, renewed before they run out. Whoever holds the admin key is the cluster's administrator.
 */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { isIP } from "node:net";
import { join } from "node:path";
import { messageOf } from "../../common/errors.ts";
import { apiError } from "../errors.ts";
import { createAuthority, type KeyPair, type LeafRequest, signLeaf } from "./authority.ts";

export type { KeyPair } from "./authority.ts";

export interface Credentials {
  readonly caPem: string;
  /** O=system:masters: what the admin kubeconfig holds. */
  readonly admin: KeyPair;
  /** CN=system:node:<name>, O=system:nodes: what the node agent shows the API server. */
  readonly node: KeyPair;
  /** What the node agent's kubelet endpoints serve with. */
  readonly kubeletServing: KeyPair;
  /** What the API server shows those endpoints. */
  readonly kubeletClient: KeyPair;
  readonly serving: KeyPair;
}

export interface CertificatesOptions {
  /** Folder; made with mode 0700. */
  readonly dir: string;
  readonly nodeName: string;
  /** The address the API server listens on. */
  readonly host: string;
  readonly nowMs: number;
}

// A certificate that ends within a month is made anew at start: an instance seldom runs longer.
const renewBeforeMs = 30 * 24 * 60 * 60 * 1000;

/** The first address of the service network: what `kubernetes.default.svc` is in AKS by default. */
const kubernetesServiceIp = "10.0.0.1";

export async function openCertificates(options: CertificatesOptions): Promise<Credentials> {
  const { dir, nodeName, host, nowMs } = options;
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const authority =
    (await readPair(dir, "ca", nowMs)) ??
    (await writePair(dir, "ca", await createAuthority("kubernetes", nowMs)));
  const issue = async (name: string, request: LeafRequest): Promise<KeyPair> => {
    const kept = await readPair(dir, name, nowMs);
    if (kept !== undefined && isFor(kept, authority, request)) return kept;
    return writePair(dir, name, await signLeaf(authority, request, nowMs));
  };
  return {
    caPem: authority.certPem,
    serving: await issue("apiserver", {
      commonName: "kube-apiserver",
      usage: "server",
      dnsNames: [
        "localhost",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
      ],
      ipAddresses: unique(["127.0.0.1", "::1", kubernetesServiceIp, ...(isIP(host) ? [host] : [])]),
    }),
    admin: await issue("admin", {
      commonName: "katasim-admin",
      organizations: ["system:masters"],
      usage: "client",
    }),
    node: await issue("node", {
      commonName: `system:node:${nodeName}`,
      organizations: ["system:nodes"],
      usage: "client",
    }),
    kubeletServing: await issue("kubelet", {
      commonName: `system:node:${nodeName}`,
      organizations: ["system:nodes"],
      usage: "server",
      dnsNames: [nodeName, "localhost"],
      ipAddresses: ["127.0.0.1", "::1"],
    }),
    kubeletClient: await issue("apiserver-kubelet-client", {
      commonName: "kube-apiserver-kubelet-client",
      organizations: ["system:masters"],
      usage: "client",
    }),
  };
}

/** Undefined when the pair is absent, near its end or its halves do not belong together. */
async function readPair(dir: string, name: string, nowMs: number): Promise<KeyPair | undefined> {
  const certPem = await readIfThere(join(dir, `${name}.crt`));
  const keyPem = await readIfThere(join(dir, `${name}.key`));
  if (certPem === undefined || keyPem === undefined) return undefined;
  try {
    const certificate = new X509Certificate(certPem);
    if (Date.parse(certificate.validTo) - nowMs < renewBeforeMs) return undefined;
    if (!certificate.checkPrivateKey(createPrivateKey(keyPem))) return undefined;
  } catch (error) {
    throw apiError(
      "PKI_UNREADABLE",
      `cannot read the certificate ${join(dir, name)}.crt or its key: ${messageOf(error)}`,
      { cause: error, hint: `remove ${join(dir, name)}.crt and .key; they are made anew at start` },
    );
  }
  return { certPem, keyPem };
}

async function writePair(dir: string, name: string, pair: KeyPair): Promise<KeyPair> {
  // The key first: a certificate without its key would be read as damage after a crash.
  await writeAtomically(join(dir, `${name}.key`), pair.keyPem);
  await writeAtomically(join(dir, `${name}.crt`), pair.certPem);
  return pair;
}

async function writeAtomically(file: string, text: string): Promise<void> {
  await writeFile(`${file}.new`, text, { mode: 0o600 });
  await rename(`${file}.new`, file);
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw apiError("PKI_UNREADABLE", `cannot read ${file}: ${messageOf(error)}`, {
      cause: error,
      hint: "run katasim as the user who made it, or give another --home",
    });
  }
}

/** The kept certificate still is what would be asked for today (node renamed, other address). */
function isFor(pair: KeyPair, authority: KeyPair, request: LeafRequest): boolean {
  const certificate = new X509Certificate(pair.certPem);
  const names = certificate.subjectAltName ?? "";
  return (
    certificate.verify(new X509Certificate(authority.certPem).publicKey) &&
    certificate.subject.split("\n").includes(`CN=${request.commonName}`) &&
    (request.dnsNames ?? []).every((name) => names.includes(`DNS:${name}`)) &&
    (request.ipAddresses ?? []).every((address) => certificate.checkIP(address) !== undefined)
  );
}

function unique(values: readonly string[]): readonly string[] {
  return [...new Set(values)];
}
