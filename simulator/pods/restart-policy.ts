/** Whether a container runs (again): kubelet container/helpers.go ShouldContainerBeRestarted. Pure. */
import type { PodSpec } from "../../proto/kubernetes/gen/types.ts";
import { isSidecar } from "../sizing/pod-resources.ts";
import type { ContainerView } from "./pod-containers.ts";

/** The policy that holds for this container: a sidecar's own one goes before the pod's. */
export function restartPolicyOf(view: Pick<ContainerView, "kind" | "spec">, spec: PodSpec): string {
  if (view.kind === "ephemeral") return "Never";
  if (isSidecarView(view)) return "Always";
  return spec.restartPolicy ?? "Always";
}

export function isSidecarView(view: Pick<ContainerView, "kind" | "spec">): boolean {
  return view.kind === "init" && isSidecar(view.spec);
}

/** For a container that does not run now. */
export function shouldStart(view: ContainerView, spec: PodSpec): boolean {
  if (view.current?.state === "created") return true;
  const policy = restartPolicyOf(view, spec);
  if (view.kind === "init" && !isSidecarView(view)) {
    // Every new sandbox is initialized anew; one that succeeded in this sandbox is done.
    return view.current === undefined || (exitCodeOf(view) !== 0 && policy !== "Never");
  }
  if (view.newestEnd === undefined || policy === "Always") return true;
  return policy === "OnFailure" && exitCodeOf(view) !== 0;
}

function exitCodeOf(view: ContainerView): number | undefined {
  return view.newestEnd?.state.exitCode;
}
