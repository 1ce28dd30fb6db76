import { describe, expect, it } from "vitest";
import type { Container, EnvVar } from "../../proto/kubernetes/gen/types.ts";
import type { ConfigMapObject, PodObject, SecretObject } from "../objects.ts";
import { containerEnvironment } from "./environment.ts";
import { fieldRefValue, type PodFacts, resourceFieldValue } from "./field-ref.ts";

const facts: PodFacts = {
  nodeName: "n1",
  hostIp: "10.224.0.4",
  podIp: "10.244.0.7",
  allocatable: { cpuMillis: 3860, memoryBytes: 8 * 1024 ** 3, ephemeralStorageBytes: 1024 ** 3 },
};
const pod: PodObject = {
  metadata: {
    name: "p",
    namespace: "ns",
    uid: "u-1",
    labels: { tier: "back", app: 'a"b' },
    annotations: { "x/y": "z" },
  },
  spec: { containers: [], serviceAccountName: "robot" },
};
const base64 = (text: string) => Buffer.from(text).toString("base64");
const configMaps: Record<string, ConfigMapObject> = {
  cfg: { metadata: { name: "cfg", uid: "c" }, data: { a: "1", b: "2" } },
};
const secrets: Record<string, SecretObject> = {
  sec: { metadata: { name: "sec", uid: "s" }, data: { pw: base64("geheim") } },
};
const data = {
  configMap: async (_: string, name: string) => configMaps[name],
  secret: async (_: string, name: string) => secrets[name],
};

async function envOf(container: Partial<Container>) {
  const env = await containerEnvironment({ name: "c", ...container }, { pod, data, facts });
  return Object.fromEntries(env);
}

describe("containerEnvironment", () => {
  it("puts env over envFrom, with prefixes", async () => {
    const env = await envOf({
      envFrom: [{ configMapRef: { name: "cfg" }, prefix: "P_" }, { secretRef: { name: "sec" } }],
      env: [{ name: "P_a", value: "mine" }],
    });
    expect(env).toEqual({ P_a: "mine", P_b: "2", pw: "geheim" });
  });

  it("expands references to variables that came before", async () => {
    const env = await envOf({
      env: [
        { name: "A", value: "1" },
        { name: "B", value: "$(A)-$(LATER)-$$(A)" },
        { name: "LATER", value: "x" },
      ],
    });
    expect(env.B).toBe("1-$(LATER)-$(A)");
  });

  it("does not expand what came from a configMap", async () => {
    configMaps.dollar = { metadata: { name: "dollar", uid: "d" }, data: { k: "$(A)" } };
    const valueFrom = { configMapKeyRef: { name: "dollar", key: "k" } };
    expect(
      (
        await envOf({
          env: [
            { name: "A", value: "1" },
            { name: "K", valueFrom },
          ],
        })
      ).K,
    ).toBe("$(A)");
  });

  it.each<[EnvVar["valueFrom"], string]>([
    [{ configMapKeyRef: { name: "no", key: "k" } }, 'configmap "no" not found'],
    [{ secretKeyRef: { name: "no", key: "k" } }, 'secret "no" not found'],
    [{ configMapKeyRef: { name: "cfg", key: "k" } }, "couldn't find key k in ConfigMap ns/cfg"],
    [{ secretKeyRef: { name: "sec", key: "k" } }, "couldn't find key k in Secret ns/sec"],
  ])("refuses %j in the kubelet's words", async (valueFrom, message) => {
    await expect(
      envOf({ env: [{ name: "X", ...(valueFrom ? { valueFrom } : {}) }] }),
    ).rejects.toThrow(message);
  });

  it("leaves an optional variable out", async () => {
    const valueFrom = { configMapKeyRef: { name: "no", key: "k", optional: true } };
    const envFrom = [{ secretRef: { name: "no", optional: true } }];
    expect(await envOf({ envFrom, env: [{ name: "X", valueFrom }] })).toEqual({});
  });
});

describe("fieldRefValue", () => {
  it.each([
    ["metadata.name", "p"],
    ["metadata.namespace", "ns"],
    ["metadata.uid", "u-1"],
    ["metadata.labels['tier']", "back"],
    ["metadata.labels['none']", ""],
    ["metadata.annotations['x/y']", "z"],
    ["metadata.labels", 'app="a\\"b"\ntier="back"'],
    ["spec.nodeName", "n1"],
    ["spec.serviceAccountName", "robot"],
    ["status.hostIP", "10.224.0.4"],
    ["status.podIP", "10.244.0.7"],
  ])("reads %s", (fieldPath, value) => {
    expect(fieldRefValue(pod, { fieldPath }, facts)).toBe(value);
  });

  it("refuses a path nobody knows", () => {
    expect(() => fieldRefValue(pod, { fieldPath: "spec.x" }, facts)).toThrow(
      "unsupported fieldPath: spec.x",
    );
  });
});

describe("resourceFieldValue", () => {
  const container: Container = {
    name: "c",
    resources: { limits: { cpu: "1500m", memory: "64Mi" }, requests: { cpu: "100m" } },
  };
  it.each([
    ["limits.cpu", undefined, "2"],
    ["limits.cpu", "1m", "1500"],
    ["requests.cpu", "1m", "100"],
    ["limits.memory", "1Mi", "64"],
    ["requests.memory", "1", "67108864"],
    ["limits.ephemeral-storage", "1Mi", "1024"],
  ])("gives %s in units of %s as %s", (resource, divisor, value) => {
    const selector = { resource, ...(divisor === undefined ? {} : { divisor }) };
    expect(resourceFieldValue(pod, selector, container, facts)).toBe(value);
  });

  it("tells a container without a limit what the node has", () => {
    expect(resourceFieldValue(pod, { resource: "limits.cpu" }, { name: "c" }, facts)).toBe("4");
  });
});
