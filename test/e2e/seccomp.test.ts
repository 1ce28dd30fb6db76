// seccompProfile of pods, in a micro-VM and on the shared kernel alike.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { applyReady, deletePods, pod, previewClass, waitFor } from "../support/pods.ts";
import { type Simulator, startSimulator } from "../support/start-simulator.ts";

const noMkdir = {
  defaultAction: "SCMP_ACT_ALLOW",
  architectures: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
  syscalls: [{ names: ["mkdir", "mkdirat"], action: "SCMP_ACT_ERRNO", errnoRet: 28 }],
};

describe("seccomp profiles of pods", () => {
  let simulator: Simulator;
  beforeAll(async () => {
    simulator = await startSimulator();
    const folder = join(simulator.home, "state", simulator.instance, "seccomp");
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "no-mkdir.json"), JSON.stringify(noMkdir));
  });
  afterAll(async () => {
    await simulator?.[Symbol.asyncDispose]();
  });

  it.each([
    ["in a micro-VM", "vm", { runtimeClassName: previewClass }],
    ["on the shared kernel", "runc", {}],
  ])("hold %s, for containers and for exec", async (_, name, options) => {
    const { kubectl } = simulator;
    const profile = (seccompProfile: object) => ({ securityContext: { seccompProfile } });
    await applyReady(
      kubectl,
      pod(name, {
        ...options,
        containers: [
          {},
          profile({ type: "Unconfined" }),
          profile({ type: "Localhost", localhostProfile: "no-mkdir.json" }),
        ],
        spec: profile({ type: "RuntimeDefault" }),
      }),
    );
    const script =
      "grep ^Seccomp: /proc/1/status /proc/self/status; mkdir /tmp/made 2>&1; unshare -m true 2>&1 || true";
    const seen = (container: string) =>
      kubectl.ok(["exec", name, "-c", container, "--", "sh", "-c", script]);
    const modes = (mode: number) =>
      `/proc/1/status:Seccomp:\t${mode}\n/proc/self/status:Seccomp:\t${mode}\n`;
    // Namespaces need CAP_SYS_ADMIN as well: the last line is the same for all.
    expect(await seen(name)).toMatch(new RegExp(`^${modes(2)}unshare`));
    expect(await seen(`${name}-1`)).toMatch(new RegExp(`^${modes(0)}unshare`));
    expect(await seen(`${name}-2`)).toMatch(new RegExp(`^${modes(2)}mkdir: .*No space left`));
    await deletePods(kubectl, name);
  });

  it("are named when they are missing", async () => {
    const { kubectl } = simulator;
    const seccompProfile = { type: "Localhost", localhostProfile: "missing.json" };
    await kubectl.apply(pod("missing", { containers: [{ securityContext: { seccompProfile } }] }));
    await waitFor(
      kubectl,
      "missing",
      "jsonpath={.status.containerStatuses[0].state.waiting.reason}=CreateContainerConfigError",
    );
    expect(await kubectl.ok(["describe", "pod", "missing"])).toMatch(
      /cannot load seccomp profile ".*missing\.json"/,
    );
    await deletePods(kubectl, "missing");
  });
});
