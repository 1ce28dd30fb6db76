import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Container } from "../../proto/kubernetes/gen/types.ts";
import type { ContainerStatus } from "../runtime-port.ts";
import type { ContainerKind, ContainerView } from "./pod-containers.ts";
import { planPod } from "./pod-plan.ts";

const image = { requested: "i", resolved: "i", id: "sha256:0", sizeBytes: 1 };

/** "none" = never made; a number = has ended with it in this sandbox. */
type State = "none" | "created" | "running" | number;

function view(
  kind: ContainerKind,
  name: string,
  state: State,
  more: Partial<Container> = {},
): ContainerView {
  const spec = { name, image: "i", ...more };
  if (state === "none") return { kind, spec };
  const current: ContainerStatus = {
    id: name,
    sandboxId: "s",
    name,
    attempt: 0,
    state: typeof state === "number" ? "exited" : state,
    createdAtMs: 0,
    image,
    logPath: "",
    ...(typeof state === "number" ? { exitCode: state } : {}),
  };
  if (typeof state !== "number") return { kind, spec, current };
  return {
    kind,
    spec,
    current,
    newestEnd: { attempt: 0, imageId: "", state: { exitCode: state } },
  };
}

const plan = (restartPolicy: string, containers: ContainerView[], sandboxReady = true) => {
  const decided = planPod({ spec: { containers: [], restartPolicy }, sandboxReady, containers });
  return decided.kind === "run" ? decided.start.map(({ spec }) => spec.name) : decided.kind;
};
const sidecar = { restartPolicy: "Always" };

describe("planPod", () => {
  it.each<[string, string, ContainerView[], unknown]>([
    [
      "starts all apps side by side",
      "Always",
      [view("app", "a", "none"), view("app", "b", "none")],
      ["a", "b"],
    ],
    [
      "waits for a running init container",
      "Always",
      [view("init", "i", "running"), view("app", "a", "none")],
      [],
    ],
    [
      "goes on after a successful init container",
      "Always",
      [view("init", "i", 0), view("app", "a", "none")],
      ["a"],
    ],
    [
      "repeats a failed init container",
      "OnFailure",
      [view("init", "i", 1), view("app", "a", "none")],
      ["i"],
    ],
    [
      "ends with a failed init container under Never",
      "Never",
      [view("init", "i", 1), view("app", "a", "none")],
      "finish",
    ],
    [
      "starts a sidecar before what follows it",
      "Always",
      [view("init", "s", "none", sidecar), view("init", "i", "none"), view("app", "a", "none")],
      ["s"],
    ],
    [
      "does not wait for a sidecar's end",
      "Always",
      [view("init", "s", "running", sidecar), view("app", "a", "none")],
      ["a"],
    ],
    [
      "restarts a sidecar beside a running app, also under Never",
      "Never",
      [view("init", "s", 0, sidecar), view("app", "a", "running")],
      ["s"],
    ],
    [
      "does not initialize anew when an app runs",
      "Always",
      [view("init", "i", "none"), view("app", "a", "running")],
      [],
    ],
    ["restarts what ended under Always", "Always", [view("app", "a", 0)], ["a"]],
    [
      "restarts only failures under OnFailure",
      "OnFailure",
      [view("app", "a", 0), view("app", "b", 1)],
      ["b"],
    ],
    [
      "finishes when all have succeeded",
      "OnFailure",
      [view("app", "a", 0), view("app", "b", 0)],
      "finish",
    ],
    [
      "finishes although a sidecar runs",
      "Never",
      [view("init", "s", "running", sidecar), view("app", "a", 0)],
      "finish",
    ],
    ["starts what was created and never started", "Never", [view("app", "a", "created")], ["a"]],
    [
      "starts an ephemeral container once",
      "Always",
      [view("app", "a", "running"), view("ephemeral", "d", "none")],
      ["d"],
    ],
    [
      "does not repeat an ephemeral container",
      "Always",
      [view("app", "a", "running"), view("ephemeral", "d", 1)],
      [],
    ],
  ])("%s", (_name, policy, containers, expected) => {
    expect(plan(policy, containers)).toEqual(expected);
  });

  it("makes the first sandbox whatever the policy", () => {
    expect(plan("Never", [view("app", "a", "none")], false)).toBe("createSandbox");
  });

  it("does not make another sandbox under Never once something has run", () => {
    expect(plan("Never", [view("app", "a", 137)], false)).toBe("finish");
    expect(plan("Always", [view("app", "a", 137)], false)).toBe("createSandbox");
  });

  const states = fc.constantFrom<State>("none", "created", "running", 0, 1);
  const policies = fc.constantFrom("Always", "OnFailure", "Never");

  it("never starts what runs, and never finishes while an app runs", () => {
    fc.assert(
      fc.property(
        policies,
        fc.array(states),
        fc.array(states, { minLength: 1 }),
        (policy, inits, apps) => {
          const containers = [
            ...inits.map((state, at) => view("init", `i${at}`, state)),
            ...apps.map((state, at) => view("app", `a${at}`, state)),
          ];
          const decided = planPod({
            spec: { containers: [], restartPolicy: policy },
            sandboxReady: true,
            containers,
          });
          if (decided.kind === "run") {
            expect(decided.start.filter(({ current }) => current?.state === "running")).toEqual([]);
          } else {
            expect(apps).not.toContain("running");
          }
        },
      ),
    );
  });

  it("under Never starts nothing that has ended", () => {
    fc.assert(
      fc.property(fc.array(states, { minLength: 1 }), (apps) => {
        const containers = apps.map((state, at) => view("app", `a${at}`, state));
        const decided = planPod({
          spec: { containers: [], restartPolicy: "Never" },
          sandboxReady: true,
          containers,
        });
        const started = decided.kind === "run" ? decided.start : [];
        expect(started.filter(({ newestEnd }) => newestEnd !== undefined)).toEqual([]);
      }),
    );
  });
});
