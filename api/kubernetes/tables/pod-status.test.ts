import { describe, expect, it } from "vitest";
import type { ContainerStatus, Pod, PodStatus } from "../../../proto/kubernetes/gen/types.ts";
import { summarizePod } from "./pod-status.ts";

const nowMs = Date.parse("2026-01-01T00:01:00Z");
const container = (name: string, more: object = {}) => ({ name, image: "x", ...more });

function status(name: string, state: object, more: Partial<ContainerStatus> = {}): ContainerStatus {
  return { name, image: "x", imageID: "", ready: false, restartCount: 0, state, ...more };
}

function pod(podStatus: PodStatus, spec: object = {}, metadata: object = {}): Pod {
  return { metadata, spec: { containers: [container("c")], ...spec }, status: podStatus };
}

const running = { running: { startedAt: "2026-01-01T00:00:00Z" } };
const exited = (exitCode: number, reason?: string) => ({ terminated: { exitCode, reason } });

describe("summarizePod", () => {
  it.each<[string, Pod, string, string]>([
    ["a pod nobody runs yet", pod({ phase: "Pending" }), "0/1", "Pending"],
    [
      "a container that is being made",
      pod({
        phase: "Pending",
        containerStatuses: [status("c", { waiting: { reason: "ContainerCreating" } })],
      }),
      "0/1",
      "ContainerCreating",
    ],
    [
      "a running pod",
      pod({ phase: "Running", containerStatuses: [status("c", running, { ready: true })] }),
      "1/1",
      "Running",
    ],
    [
      "a crash loop",
      pod({
        phase: "Running",
        containerStatuses: [status("c", { waiting: { reason: "CrashLoopBackOff" } })],
      }),
      "0/1",
      "CrashLoopBackOff",
    ],
    [
      "a finished pod",
      pod({ phase: "Succeeded", containerStatuses: [status("c", exited(0, "Completed"))] }),
      "0/1",
      "Completed",
    ],
    [
      "an exit code without a reason",
      pod({ phase: "Failed", containerStatuses: [status("c", exited(7))] }),
      "0/1",
      "ExitCode:7",
    ],
    ["an eviction", pod({ phase: "Failed", reason: "Evicted" }), "0/1", "Evicted"],
    [
      "one of two finished",
      pod(
        {
          phase: "Running",
          conditions: [{ type: "Ready", status: "True" }],
          containerStatuses: [
            status("c", exited(0, "Completed")),
            status("d", running, { ready: true }),
          ],
        },
        { containers: [container("c"), container("d")] },
      ),
      "1/2",
      "Running",
    ],
    [
      "one of two finished, the pod not ready",
      pod(
        {
          phase: "Running",
          conditions: [{ type: "Ready", status: "False" }],
          containerStatuses: [
            status("c", exited(0, "Completed")),
            status("d", running, { ready: true }),
          ],
        },
        { containers: [container("c"), container("d")] },
      ),
      "1/2",
      "NotReady",
    ],
    [
      "the second of three init containers",
      pod(
        {
          phase: "Pending",
          initContainerStatuses: [status("a", exited(0, "Completed")), status("b", running)],
          containerStatuses: [status("c", { waiting: { reason: "PodInitializing" } })],
        },
        { initContainers: [container("a"), container("b"), container("z")] },
      ),
      "0/1",
      "Init:1/3",
    ],
    [
      "a failing init container",
      pod(
        {
          phase: "Pending",
          initContainerStatuses: [status("a", { waiting: { reason: "CrashLoopBackOff" } })],
        },
        { initContainers: [container("a")] },
      ),
      "0/1",
      "Init:CrashLoopBackOff",
    ],
    [
      "an init container that ended without a reason",
      pod(
        { phase: "Failed", initContainerStatuses: [status("a", exited(3))] },
        { initContainers: [container("a")] },
      ),
      "0/1",
      "Init:ExitCode:3",
    ],
    [
      "a started sidecar beside the app",
      pod(
        {
          phase: "Running",
          initContainerStatuses: [status("s", running, { ready: true, started: true })],
          containerStatuses: [status("c", running, { ready: true })],
        },
        { initContainers: [container("s", { restartPolicy: "Always" })] },
      ),
      "2/2",
      "Running",
    ],
    [
      "a pod being deleted",
      pod(
        { phase: "Running", containerStatuses: [status("c", running, { ready: true })] },
        {},
        { deletionTimestamp: "2026-01-01T00:00:00Z" },
      ),
      "1/1",
      "Terminating",
    ],
    [
      "a pod on a lost node",
      pod(
        { phase: "Running", reason: "NodeLost" },
        {},
        { deletionTimestamp: "2026-01-01T00:00:00Z" },
      ),
      "0/1",
      "Unknown",
    ],
    [
      "scheduling gates",
      pod({
        phase: "Pending",
        conditions: [{ type: "PodScheduled", status: "False", reason: "SchedulingGated" }],
      }),
      "0/1",
      "SchedulingGated",
    ],
  ])("shows %s", (_what, shown, ready, words) => {
    expect(summarizePod(shown, nowMs)).toMatchObject({ ready, status: words });
  });

  it("says how long ago the last restart was", () => {
    const restarted = status("c", running, {
      ready: true,
      restartCount: 3,
      lastState: { terminated: { exitCode: 1, finishedAt: "2026-01-01T00:00:40Z" } },
    });
    const summary = summarizePod(pod({ phase: "Running", containerStatuses: [restarted] }), nowMs);
    expect(summary.restarts).toBe("3 (20s ago)");
  });
});
