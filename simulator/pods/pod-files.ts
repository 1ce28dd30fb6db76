/**
 * Files the kubelet makes for a pod and binds into its containers: /etc/hosts and the termination
 * log (kubelet_pods.go ensureHostsFile, kuberuntime_container.go makeMounts), and where logs go.
 * resolv.conf and hostname are the container runtime's, as with containerd.
 */
import { createHash } from "node:crypto";
import { chmod, mkdir, open, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Paths } from "../../common/paths.ts";
import type { PodObject } from "../objects.ts";

export type PodPaths = Pick<Paths, "pods" | "podLogs">;

export function podFolder(paths: PodPaths, uid: string): string {
  return join(paths.pods, uid);
}

/** `<ns>_<pod>_<uid>`: the kubelet's BuildPodLogsDirectory. */
export function podLogFolder(paths: PodPaths, pod: PodObject): string {
  const { namespace, name, uid } = pod.metadata;
  return join(paths.podLogs, `${namespace}_${name}_${uid}`);
}

export function containerLogFolder(paths: PodPaths, pod: PodObject, container: string): string {
  return join(podLogFolder(paths, pod), container);
}

/** At most 63 characters, as the kernel and DNS labels want (kubelet util.TruncatePodHostname). */
export function podHostname(pod: PodObject): string {
  return pod.spec.hostname || pod.metadata.name.slice(0, 63).replace(/[-.]+$/, "");
}

/** kubelet_pods.go managedHostsFileContent; tabs as there. */
export function hostsFile(pod: PodObject, podIp: string | undefined): string {
  const hostname = podHostname(pod);
  const { subdomain, hostAliases = [] } = pod.spec;
  const lines = [
    "# Kubernetes-managed hosts file.",
    "127.0.0.1\tlocalhost",
    "::1\tlocalhost ip6-localhost ip6-loopback",
    "fe00::0\tip6-localnet",
    "fe00::0\tip6-mcastprefix",
    "fe00::1\tip6-allnodes",
    "fe00::2\tip6-allrouters",
  ];
  if (podIp !== undefined) {
    const fqdn = `${hostname}.${subdomain}.${pod.metadata.namespace}.svc.cluster.local`;
    lines.push(subdomain ? `${podIp}\t${fqdn}\t${hostname}` : `${podIp}\t${hostname}`);
  }
  return `${lines.join("\n")}\n${hostAliasLines(hostAliases)}`;
}

function hostAliasLines(aliases: NonNullable<PodObject["spec"]["hostAliases"]>): string {
  if (aliases.length === 0) return "";
  const lines = aliases.map(({ ip, hostnames }) => `${ip}\t${(hostnames ?? []).join("\t")}\n`);
  return `\n# Entries added by HostAliases.\n${lines.join("")}`;
}

/** Written when it is missing or the pod's address is another one. */
export async function ensureHostsFile(
  paths: PodPaths,
  pod: PodObject,
  podIp: string | undefined,
): Promise<string> {
  const path = join(podFolder(paths, pod.metadata.uid), "etc-hosts");
  const text = pod.spec.hostNetwork
    ? `# Kubernetes-managed hosts file (host network).\n${await readFile("/etc/hosts", "utf8")}${hostAliasLines(pod.spec.hostAliases ?? [])}`
    : hostsFile(pod, podIp);
  await mkdir(podFolder(paths, pod.metadata.uid), { recursive: true, mode: 0o750 });
  if ((await readFile(path, "utf8").catch(() => undefined)) !== text) {
    await writeFile(path, text);
    await chmod(path, 0o644);
  }
  return path;
}

/** A fresh file that any user of the container may write; one per attempt. */
export async function makeTerminationLog(
  paths: PodPaths,
  pod: PodObject,
  container: string,
  attempt: number,
): Promise<string> {
  const path = terminationLogPath(paths, pod, container, attempt);
  await mkdir(join(path, ".."), { recursive: true, mode: 0o750 });
  await (await open(path, "w")).close();
  await chmod(path, 0o666);
  return path;
}

// What the kubelet reads at most, from the end (container/runtime.go MaxContainerTerminationMessageLength).
const maxTerminationMessageBytes = 4096;

/** What the container wrote before it ended; undefined when it wrote nothing. */
export async function readTerminationLog(
  paths: PodPaths,
  pod: PodObject,
  container: string,
  attempt: number,
): Promise<string | undefined> {
  const text = await readFile(terminationLogPath(paths, pod, container, attempt)).catch(
    () => undefined,
  );
  if (text === undefined || text.length === 0) return undefined;
  return text.subarray(-maxTerminationMessageBytes).toString("utf8");
}

function terminationLogPath(
  paths: PodPaths,
  pod: PodObject,
  container: string,
  attempt: number,
): string {
  const id = createHash("sha256").update(`${container}/${attempt}`).digest("hex").slice(0, 8);
  return join(podFolder(paths, pod.metadata.uid), "containers", container, id);
}

/** The log of this attempt and of the one before stay, as the kubelet keeps one dead container. */
export async function removeOldLogs(folder: string, newestAttempt: number): Promise<void> {
  for (const file of await readdir(folder).catch(() => [] as string[])) {
    const attempt = Number.parseInt(file, 10);
    if (attempt < newestAttempt - 1) await rm(join(folder, file), { force: true });
  }
}
