// Volumes as kubectl's user sees them, on the shared kernel and in a sandbox alike: one table, both twins.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { applyReady, deletePods, pageImage, pod, previewClass, waitFor } from "../support/pods.ts";
import { type Simulator, startSimulator } from "../support/start-simulator.ts";
import { waitUntil } from "../support/wait-until.ts";

const twins = [
  { kind: "trusted", options: {} },
  { kind: "sandboxed", options: { runtimeClassName: previewClass } },
] as const;

describe.each(twins)("volumes of a $kind pod", ({ kind, options }) => {
  let simulator: Simulator;
  let folder: string;
  beforeAll(async () => {
    simulator = await startSimulator();
    folder = join(simulator.home, "host-data");
    mkdirSync(folder);
  });
  afterAll(async () => {
    await simulator?.[Symbol.asyncDispose]();
  });
  const shell = async (name: string, script: string, container = name) =>
    (
      await simulator.kubectl.ok(["exec", name, "-c", container, "--", "sh", "-c", script])
    ).trimEnd();
  const until = (what: string, holds: () => Promise<boolean>) =>
    waitUntil(holds, { what, timeoutMs: 30_000 });
  const configMap = (name: string, data: object, binaryData: object = {}) => ({
    ...{ apiVersion: "v1", kind: "ConfigMap", metadata: { name }, data, binaryData },
  });

  it("shows changes of configMaps, secrets and labels while it runs", async () => {
    const { kubectl } = simulator;
    await kubectl.apply(configMap("settings", { colour: "blue", gone: "x" }));
    await kubectl.ok(["create", "secret", "generic", "token", "--from-literal=key=old"]);
    const mounts = [
      { name: "settings", mountPath: "/etc/settings" },
      { name: "all", mountPath: "/etc/all" },
      { name: "settings", mountPath: "/etc/colour", subPath: "colour" },
    ];
    const labels = [{ path: "labels", fieldRef: { fieldPath: "metadata.labels" } }];
    await applyReady(
      kubectl,
      pod("live", {
        ...options,
        containers: [{ volumeMounts: mounts }, { volumeMounts: mounts.slice(0, 1) }],
        spec: {
          volumes: [
            { name: "settings", configMap: { name: "settings" } },
            {
              name: "all",
              projected: {
                sources: [{ secret: { name: "token" } }, { downwardAPI: { items: labels } }],
              },
            },
          ],
        },
      }),
    );
    expect(await shell("live", "cat /etc/settings/colour /etc/colour /etc/all/key")).toBe(
      "blueblueold",
    );
    await kubectl.apply(configMap("settings", { colour: "green", more: "y" }));
    const green = async () => (await shell("live", "cat /etc/settings/colour")) === "green";
    await until("the new colour", green);
    expect(await shell("live", "ls /etc/settings; cat /etc/colour")).toBe("colour\nmore\nblue");
    expect(await shell("live", "cat /etc/settings/colour", "live-1")).toBe("green");
    await kubectl.ok(["patch", "secret", "token", "-p", '{"stringData":{"key":"new"}}']);
    await until("the new key", async () => (await shell("live", "cat /etc/all/key")) === "new");
    await kubectl.ok(["label", "pod", "live", "tier=web"]);
    await until("the label", async () =>
      (await shell("live", "cat /etc/all/labels")).includes('tier="web"'),
    );
    await kubectl.ok(["delete", "configmap/settings", "secret/token"]);
    await deletePods(kubectl, "live");
  });

  it("carries large and binary keys with their modes and the pod's group", async () => {
    const { kubectl } = simulator;
    const binary = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
    const large = "x".repeat(900_000);
    // Not applied: the annotation that `apply` keeps would be too large.
    const manifest = configMap("big", { large }, { raw: binary.toString("base64") });
    await kubectl.ok(["create", "-f", "-"], { stdin: JSON.stringify(manifest) });
    await applyReady(
      kubectl,
      pod("big", {
        ...options,
        containers: [{ volumeMounts: [{ name: "big", mountPath: "/big" }] }],
        spec: {
          securityContext: { runAsUser: 1000, fsGroup: 2000 },
          volumes: [
            {
              name: "big",
              configMap: {
                name: "big",
                defaultMode: 0o400,
                items: [
                  { key: "large", path: "deep/large" },
                  { key: "raw", path: "raw", mode: 0o600 },
                ],
              },
            },
          ],
        },
      }),
    );
    expect(await shell("big", "wc -c < /big/deep/large; od -An -tu1 /big/raw | wc -w")).toBe(
      "900000\n256",
    );
    expect(await shell("big", "stat -L -c '%a %g' /big/deep/large /big/raw")).toBe(
      "440 2000\n640 2000",
    );
    await kubectl.ok(["delete", "configmap/big"]);
    await deletePods(kubectl, "big");
  });

  it("shares emptyDirs between containers, init containers and sub paths", async () => {
    const { kubectl } = simulator;
    const work = { name: "work", mountPath: "/work" };
    const ram = { name: "ram", mountPath: "/ram" };
    await applyReady(
      kubectl,
      pod("dirs", {
        ...options,
        containers: [
          { volumeMounts: [work, ram] },
          { volumeMounts: [{ ...work, mountPath: "/sub", subPath: "a/b" }, ram] },
        ],
        spec: {
          initContainers: [
            {
              ...{ name: "init", image: pageImage },
              command: ["sh", "-c", "mkdir -p /work/a/b && echo init > /work/a/b/file"],
              volumeMounts: [work],
            },
          ],
          volumes: [
            { name: "work", emptyDir: { sizeLimit: "64Mi" } },
            { name: "ram", emptyDir: { medium: "Memory", sizeLimit: "8Mi" } },
          ],
        },
      }),
    );
    expect(
      await shell("dirs", "cat /sub/file; echo more > /sub/more; echo ram > /ram/f", "dirs-1"),
    ).toBe("init");
    expect(
      await shell(
        "dirs",
        "cat /work/a/b/more /ram/f; stat -f -c %T /ram; df -k /ram | awk 'NR==2 {print $2}'",
      ),
    ).toBe("more\nram\ntmpfs\n8192");
    if (kind === "sandboxed") {
      // Elsewhere the limit is for eviction; here it is the size of the volume's disk.
      const full = await shell(
        "dirs",
        "dd if=/dev/zero of=/work/full bs=1M count=100 2>&1 || true",
      );
      expect(full).toContain("No space left on device");
      expect(await shell("dirs", "stat -f -c %T /work")).toBe("ext2/ext3");
    }
    await deletePods(kubectl, "dirs");
  });

  it("shares hostPath folders both ways, and read-only ones one way", async () => {
    const { kubectl } = simulator;
    writeFileSync(join(folder, "file"), "host");
    mkdirSync(join(folder, "fixed"));
    writeFileSync(join(folder, "fixed/file"), "fixed");
    await applyReady(
      kubectl,
      pod("host", {
        ...options,
        containers: [
          {
            volumeMounts: [
              { name: "data", mountPath: "/data" },
              { name: "data", mountPath: "/fixed", subPath: "fixed", readOnly: true },
              { name: "made", mountPath: "/made" },
              { name: "null", mountPath: "/null" },
            ],
          },
        ],
        spec: {
          volumes: [
            { name: "data", hostPath: { path: folder, type: "Directory" } },
            { name: "made", hostPath: { path: join(folder, "made"), type: "DirectoryOrCreate" } },
            { name: "null", hostPath: { path: "/dev/null", type: "CharDevice" } },
          ],
        },
      }),
    );
    expect(
      await shell(
        "host",
        "cat /data/file; echo pod > /data/reply; chown 12:34 /data/reply; echo x > /made/x",
      ),
    ).toBe("host");
    expect(readFileSync(join(folder, "reply"), "utf8")).toBe("pod\n");
    expect(existsSync(join(folder, "made/x"))).toBe(true);
    writeFileSync(join(folder, "later"), "later");
    expect(await shell("host", "cat /data/later; stat -c %u:%g /data/reply; test -c /null")).toBe(
      "later12:34",
    );
    const write = await kubectl(["exec", "host", "--", "sh", "-c", "echo x > /fixed/file"]);
    expect(write.stderr).toContain("Read-only file system");
    const events = await kubectl.ok(["get", "events", "--field-selector=reason=HostPathShared"]);
    expect(events.includes("hostPath volumes reach through")).toBe(kind === "sandboxed");
    await deletePods(kubectl, "host");
    expect(readFileSync(join(folder, "fixed/file"), "utf8")).toBe("fixed");
    rmSync(join(folder, "fixed"), { recursive: true });
  });

  it("reports a hostPath that is not what its type says", async () => {
    const { kubectl } = simulator;
    const volumes = [{ name: "v", hostPath: { path: join(folder, "file"), type: "Directory" } }];
    await kubectl.apply(
      pod("typed", {
        ...options,
        containers: [{ volumeMounts: [{ name: "v", mountPath: "/v" }] }],
        spec: { volumes },
      }),
    );
    const reason = ["get", "events", "--field-selector=reason=FailedMount"];
    await until("the refusal", async () =>
      (await kubectl.ok(reason)).includes("hostPath type check failed"),
    );
    await deletePods(kubectl, "typed");
  });

  it("reports the termination message, or the log's end", async () => {
    const { kubectl } = simulator;
    const once = (name: string, script: string, more: object = {}) =>
      pod(name, {
        ...options,
        containers: [{ command: ["sh", "-c", script], ...more }],
        spec: { restartPolicy: "Never" },
      });
    await kubectl.apply(once("word", "echo farewell > /dev/termination-log; exit 3"));
    await kubectl.apply(
      once("path", "printf own > /tmp/message", { terminationMessagePath: "/tmp/message" }),
    );
    await kubectl.apply(
      once("logs", "echo to the log; exit 1", {
        terminationMessagePolicy: "FallbackToLogsOnError",
      }),
    );
    const message = "jsonpath={.status.containerStatuses[0].state.terminated.message}";
    await waitFor(kubectl, "word", "jsonpath={.status.phase}=Failed");
    expect(await kubectl.ok(["get", "pod", "word", "-o", message])).toBe("farewell\n");
    await waitFor(kubectl, "path", "jsonpath={.status.phase}=Succeeded");
    expect(await kubectl.ok(["get", "pod", "path", "-o", message])).toBe("own");
    await waitFor(kubectl, "logs", "jsonpath={.status.phase}=Failed");
    expect(await kubectl.ok(["get", "pod", "logs", "-o", message])).toBe("to the log\n");
    await deletePods(kubectl, "word", "path", "logs");
  });
});
