/**
 * How the start of a pod's newest sandbox went, as the agent sees it: from the watch that brought the pod
 * to the status patch that said Running. Kept in the pod's folder, where `katasim sandbox show` finds it
 * beside what the runtime and the shim have written down; nothing is decided by it.
 */
import { readFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { writeFileAtomic } from "../../common/files/atomic-write.ts";
import { stepNow, type TimelineStep } from "../../common/timeline.ts";
import { type PodPaths, podFolder } from "./pod-files.ts";

export interface PodTimeline {
  readonly steps: readonly TimelineStep[];
  /** The first time that a step is reached counts; after the last one nothing is added. */
  reach(step: string, about?: string): void;
  /** "Running patched", the last step. */
  finish(): void;
  /** Another sandbox takes the place of one that died. */
  restart(): void;
  /** Writes what is new, unless the sandbox was made in an earlier life of the agent. */
  save(paths: PodPaths, uid: string, sandboxId: string): Promise<void>;
}

interface Stored {
  readonly sandboxId: string;
  readonly steps: readonly TimelineStep[];
}

export function createPodTimeline(): PodTimeline {
  let steps: TimelineStep[] = [stepNow("apply seen")];
  let finished = false;
  let savedSteps = 0;
  const reach = (step: string, about?: string) => {
    if (finished || steps.some((each) => each.step === step && each.about === about)) return;
    steps.push(stepNow(step, about));
  };
  return {
    get steps() {
      return steps;
    },
    reach,
    finish() {
      reach("Running patched");
      finished = true;
    },
    restart() {
      steps = [stepNow("sandbox changed")];
      finished = false;
      savedSteps = 0;
    },
    async save(paths, uid, sandboxId) {
      if (savedSteps === steps.length || !steps.some(({ step }) => step === "start slot")) return;
      savedSteps = steps.length;
      const file = timelineFile(paths, uid);
      await mkdir(dirname(file), { recursive: true });
      writeFileAtomic(file, JSON.stringify({ sandboxId, steps } satisfies Stored));
    },
  };
}

/** Empty for a sandbox that is not the newest of its pod. */
export function readPodTimeline(
  paths: PodPaths,
  uid: string,
  sandboxId: string,
): readonly TimelineStep[] {
  try {
    const stored = JSON.parse(readFileSync(timelineFile(paths, uid), "utf8")) as Stored;
    return stored.sandboxId === sandboxId ? stored.steps : [];
  } catch {
    return [];
  }
}

function timelineFile(paths: PodPaths, uid: string): string {
  return join(podFolder(paths, uid), "timeline.json");
}
