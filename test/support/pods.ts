/** Pod manifests for tests: a sleeping shell unless told otherwise. */
import { messageOf } from "../../common/errors.ts";
import type { Kubectl } from "./kubectl.ts";
import { waitUntil } from "./wait-until.ts";

export const pageImage = "mcr.microsoft.com/aks/fundamental/base-ubuntu:v0.0.11";
export const previewClass = "kata-mshv-vm-isolation";
export const gaClass = "kata-vm-isolation";

export interface PodOptions {
  readonly runtimeClassName?: string;
  /** Replaces the one container; name, image and command are filled in where absent. */
  readonly containers?: readonly object[];
  readonly spec?: object;
  readonly metadata?: object;
}

/** Ends at once on SIGTERM, so that deletions need not wait for the grace period. */
export const idle = ["/bin/sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1 & wait; done"];

export function pod(name: string, options: PodOptions = {}): object {
  const containers = options.containers ?? [{}];
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, ...options.metadata },
    spec: {
      ...(options.runtimeClassName === undefined
        ? {}
        : { runtimeClassName: options.runtimeClassName }),
      terminationGracePeriodSeconds: 5,
      containers: containers.map((container, index) => ({
        name: index === 0 ? name : `${name}-${index}`,
        image: pageImage,
        command: idle,
        ...container,
      })),
      ...options.spec,
    },
  };
}

/** Applies and waits; the failure shows what `kubectl describe` says. */
export async function applyReady(kubectl: Kubectl, ...manifests: readonly object[]) {
  for (const manifest of manifests) await kubectl.apply(manifest);
  for (const manifest of manifests) await waitReady(kubectl, nameOf(manifest));
}

export async function waitReady(kubectl: Kubectl, name: string) {
  await waitFor(kubectl, name, "condition=Ready");
}

/** Any `kubectl wait --for` expression, e.g. `jsonpath={.status.phase}=Succeeded`. */
export async function waitFor(kubectl: Kubectl, name: string, what: string) {
  const field = /^(jsonpath=.*\})=(.*)$/.exec(what);
  try {
    if (field) await waitForField(kubectl, name, String(field[1]), String(field[2]));
    else await kubectl.ok(["wait", `--for=${what}`, `pod/${name}`, `--timeout=${waitSeconds}s`]);
  } catch (error) {
    const description = await kubectl(["describe", "pod", name]);
    throw new Error(`pod ${name}: ${messageOf(error)}\n${description.stdout}${description.stderr}`);
  }
}

const waitSeconds = 90;

/** `wait --for=jsonpath` is newer than Debian 12's kubectl. */
async function waitForField(kubectl: Kubectl, name: string, path: string, wanted: string) {
  let seen = "";
  await waitUntil(
    async () => {
      seen = await kubectl.ok(["get", "pod", name, "-o", path]);
      return seen === wanted;
    },
    { what: `${path} to be ${wanted}`, timeoutMs: waitSeconds * 1000, describe: () => seen },
  );
}

export async function deletePods(kubectl: Kubectl, ...names: readonly string[]) {
  await kubectl.ok(["delete", "pod", ...names, "--ignore-not-found", "--timeout=60s"]);
}

function nameOf(manifest: object): string {
  return (manifest as { metadata: { name: string } }).metadata.name;
}
