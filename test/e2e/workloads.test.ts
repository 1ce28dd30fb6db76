// What a pod may ask of its containers, on the shared kernel and in a sandbox alike: one table, both twins.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  applyReady,
  deletePods,
  idle,
  pageImage,
  pod,
  previewClass,
  waitFor,
} from "../support/pods.ts";
import { type Simulator, startSimulator } from "../support/start-simulator.ts";

const twins = [
  { kind: "trusted", options: {} },
  { kind: "sandboxed", options: { runtimeClassName: previewClass } },
] as const;

describe.each(twins)("$kind pod", ({ kind, options }) => {
  let simulator: Simulator;
  beforeAll(async () => {
    simulator = await startSimulator();
  });
  afterAll(async () => {
    await simulator?.[Symbol.asyncDispose]();
  });
  const shell = async (name: string, script: string, container = name) =>
    (
      await simulator.kubectl.ok(["exec", name, "-c", container, "--", "sh", "-c", script])
    ).trimEnd();

  it("runs init containers in order and shares volumes between containers", async () => {
    const { kubectl } = simulator;
    const mount = { volumeMounts: [{ name: "work", mountPath: "/work" }] };
    const init = (name: string, script: string) => ({
      name,
      image: pageImage,
      command: ["sh", "-c", script],
      ...mount,
    });
    await applyReady(
      kubectl,
      pod("shared", {
        ...options,
        containers: [mount, { ...mount }],
        spec: {
          initContainers: [
            init("one", "echo one >> /work/order"),
            init("two", "echo two >> /work/order"),
          ],
          volumes: [{ name: "work", emptyDir: {} }],
        },
      }),
    );
    expect(await shell("shared", "cat /work/order")).toBe("one\ntwo");
    await shell("shared", "echo hello > /work/from-first");
    expect(await shell("shared", "cat /work/from-first", "shared-1")).toBe("hello");
    await deletePods(kubectl, "shared");
  });

  it("fills environment and volumes from configMaps, secrets and the downward API", async () => {
    const { kubectl } = simulator;
    await kubectl.ok(["create", "configmap", "settings", "--from-literal=colour=blue"]);
    await kubectl.ok(["create", "secret", "generic", "token", "--from-literal=key=s3cret"]);
    await applyReady(
      kubectl,
      pod("configured", {
        ...options,
        metadata: { labels: { tier: "web" } },
        containers: [
          {
            workingDir: "/tmp",
            args: [],
            env: [
              {
                name: "COLOUR",
                valueFrom: { configMapKeyRef: { name: "settings", key: "colour" } },
              },
              { name: "KEY", valueFrom: { secretKeyRef: { name: "token", key: "key" } } },
              { name: "NAME", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } },
              { name: "IP", valueFrom: { fieldRef: { fieldPath: "status.podIP" } } },
              { name: "BOTH", value: "$(COLOUR)-$(NAME)" },
            ],
            volumeMounts: [
              { name: "settings", mountPath: "/etc/settings" },
              { name: "all", mountPath: "/etc/all" },
              { name: "ram", mountPath: "/ram" },
            ],
          },
        ],
        spec: {
          volumes: [
            { name: "settings", configMap: { name: "settings" } },
            {
              name: "all",
              projected: {
                sources: [
                  { secret: { name: "token" } },
                  {
                    downwardAPI: {
                      items: [{ path: "labels", fieldRef: { fieldPath: "metadata.labels" } }],
                    },
                  },
                ],
              },
            },
            { name: "ram", emptyDir: { medium: "Memory" } },
          ],
        },
      }),
    );
    expect(await shell("configured", "echo $COLOUR $KEY $NAME $BOTH; pwd")).toBe(
      "blue s3cret configured blue-configured\n/tmp",
    );
    const ip = await kubectl.ok(["get", "pod", "configured", "-o", "jsonpath={.status.podIP}"]);
    expect(await shell("configured", "echo $IP")).toBe(ip);
    expect(await shell("configured", "cat /etc/settings/colour /etc/all/key /etc/all/labels")).toBe(
      `blues3crettier="web"`,
    );
    expect(await shell("configured", "stat -f -c %T /ram")).toBe("tmpfs");
    await kubectl.ok(["delete", "configmap/settings", "secret/token"]);
    await deletePods(kubectl, "configured");
  });

  it("honours the security context", async () => {
    const { kubectl } = simulator;
    await applyReady(
      kubectl,
      pod("secure", {
        ...options,
        containers: [
          {
            securityContext: {
              runAsUser: 1000,
              runAsGroup: 3000,
              readOnlyRootFilesystem: true,
              allowPrivilegeEscalation: false,
              capabilities: { drop: ["ALL"] },
            },
          },
          { securityContext: { capabilities: { add: ["NET_ADMIN"] } } },
        ],
        spec: { securityContext: { supplementalGroups: [4000] } },
      }),
    );
    expect(await shell("secure", "id -u; id -g; id -G")).toBe("1000\n3000\n3000 4000");
    const status = await shell("secure", "grep -E '^(CapEff|CapBnd|NoNewPrivs)' /proc/self/status");
    expect(status.replace(/\s+/g, " ")).toBe(
      "CapEff: 0000000000000000 CapBnd: 0000000000000000 NoNewPrivs: 1",
    );
    const touch = await kubectl(["exec", "secure", "-c", "secure", "--", "touch", "/x"]);
    expect(touch.exitCode).toBe(1);
    expect(touch.stderr).toContain("Read-only file system");
    const effective = await shell("secure", "grep CapEff /proc/self/status", "secure-1");
    const netAdmin = 1n << 12n;
    expect(BigInt(`0x${effective.split(/\s+/)[1]}`) & netAdmin).toBe(netAdmin);
    await deletePods(kubectl, "secure");
  });

  it("restarts by policy and reports exit codes", async () => {
    const { kubectl } = simulator;
    const once = (name: string, script: string, restartPolicy: string) =>
      kubectl.apply(
        pod(name, {
          ...options,
          containers: [{ command: ["sh", "-c", script] }],
          spec: { restartPolicy },
        }),
      );
    await once("done", "echo finished", "Never");
    await waitFor(kubectl, "done", "jsonpath={.status.phase}=Succeeded");
    expect(await kubectl.ok(["logs", "done"])).toBe("finished\n");
    await once("broken", "exit 7", "Never");
    await waitFor(kubectl, "broken", "jsonpath={.status.phase}=Failed");
    const code = "jsonpath={.status.containerStatuses[0].state.terminated.exitCode}";
    expect(await kubectl.ok(["get", "pod", "broken", "-o", code])).toBe("7");
    await once("flaky", "exit 3", "OnFailure");
    await waitFor(kubectl, "flaky", "jsonpath={.status.containerStatuses[0].restartCount}=1");
    const last = "jsonpath={.status.containerStatuses[0].lastState.terminated.exitCode}";
    expect(await kubectl.ok(["get", "pod", "flaky", "-o", last])).toBe("3");
    await waitFor(
      kubectl,
      "flaky",
      "jsonpath={.status.containerStatuses[0].state.waiting.reason}=CrashLoopBackOff",
    );
    await deletePods(kubectl, "done", "broken", "flaky");
  });

  it("reports a command that does not exist at once", async () => {
    const { kubectl } = simulator;
    await kubectl.apply(
      pod("absent", {
        ...options,
        containers: [{ command: ["/no/such/program"] }],
        spec: { restartPolicy: "Never" },
      }),
    );
    await waitFor(kubectl, "absent", "jsonpath={.status.phase}=Failed");
    const state = "jsonpath={.status.containerStatuses[0].state.terminated}";
    const terminated = JSON.parse(await kubectl.ok(["get", "pod", "absent", "-o", state]));
    expect(terminated).toMatchObject({ exitCode: 128, reason: "StartError" });
    expect(terminated.message).toContain("/no/such/program");
    expect(terminated.message).toContain("no such file or directory");
    await deletePods(kubectl, "absent");
  });

  it("sends SIGTERM, waits for the grace period, then SIGKILL", async () => {
    const { kubectl } = simulator;
    const polite = "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.2; done";
    const deaf = "trap '' TERM; echo up; while :; do sleep 0.2; done";
    await applyReady(
      kubectl,
      pod("polite", { ...options, containers: [{ command: ["sh", "-c", polite] }] }),
      pod("deaf", { ...options, containers: [{ command: ["sh", "-c", deaf] }] }),
    );
    const followed = kubectl(["logs", "-f", "polite"]);
    await deletePods(kubectl, "polite");
    expect((await followed).stdout).toBe("up\nbye\n");
    // Its five seconds of grace end in SIGKILL: the deletion ends all the same.
    await deletePods(kubectl, "deaf");
  });

  it("keeps names and addresses to itself", async () => {
    const { kubectl } = simulator;
    await applyReady(kubectl, pod("a", options), pod("b", options));
    expect(await shell("a", "hostname; grep -c a$ /etc/hosts")).toBe("a\n1");
    const ip = await kubectl.ok(["get", "pod", "b", "-o", "jsonpath={.status.podIP}"]);
    const own = await kubectl.ok(["get", "pod", "a", "-o", "jsonpath={.status.podIP}"]);
    expect(await shell("a", "ip -4 -o addr show eth0")).toContain(` ${own}/24 `);
    expect(await shell("a", `timeout 5 sh -c 'ip route get ${ip}' | head -n 1`)).toContain(ip);
    await deletePods(kubectl, "a", "b");
  });

  it(`is a ${kind} pod in the eyes of its kernel`, async () => {
    const { kubectl } = simulator;
    await applyReady(kubectl, pod("kernel", { ...options, containers: [{ command: idle }] }));
    const node = await kubectl.ok([
      "get",
      "node",
      "-o",
      "jsonpath={.items[0].status.nodeInfo.kernelVersion}",
    ]);
    const seen = await shell("kernel", "uname -r");
    expect(seen === node).toBe(kind === "trusted");
    await deletePods(kubectl, "kernel");
  });
});
