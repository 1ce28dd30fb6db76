import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { applyDefaults, pullPolicyOf } from "./defaults.ts";

const core = (kind: string) => ({ group: "", version: "v1", kind });
const defaulted = <T extends object>(kind: string, object: T): T => {
  applyDefaults(core(kind), object);
  return object;
};

describe("applyDefaults", () => {
  it("fills a bare pod as the real server does", () => {
    expect(defaulted("Pod", { spec: { containers: [{ name: "c", image: "busybox" }] } })).toEqual({
      spec: {
        containers: [
          {
            name: "c",
            image: "busybox",
            imagePullPolicy: "Always",
            resources: {},
            terminationMessagePath: "/dev/termination-log",
            terminationMessagePolicy: "File",
          },
        ],
        dnsPolicy: "ClusterFirst",
        enableServiceLinks: true,
        restartPolicy: "Always",
        schedulerName: "default-scheduler",
        securityContext: {},
        terminationGracePeriodSeconds: 30,
      },
    });
  });

  it("keeps what is set, zeroes and false too", () => {
    const pod = {
      spec: {
        terminationGracePeriodSeconds: 0,
        enableServiceLinks: false,
        restartPolicy: "Never",
        securityContext: { runAsUser: 0 },
        containers: [{ name: "c", image: "x:1", imagePullPolicy: "Never" }],
      },
    };
    expect(defaulted("Pod", structuredClone(pod))).toMatchObject(pod);
  });

  it("copies limits to requests that lack, in pods only", () => {
    const container = {
      name: "c",
      resources: { limits: { cpu: "2", memory: "1Gi" }, requests: { cpu: "1" } },
    };
    expect(
      defaulted("Pod", { spec: { containers: [structuredClone(container)] } }).spec.containers[0]
        ?.resources.requests,
    ).toEqual({ cpu: "1", memory: "1Gi" });
    const deployment = {
      spec: { template: { spec: { containers: [structuredClone(container)] } } },
    };
    applyDefaults({ group: "apps", version: "v1", kind: "Deployment" }, deployment);
    expect(deployment.spec.template.spec.containers[0]?.resources.requests).toEqual({ cpu: "1" });
    expect(deployment.spec).toMatchObject({
      replicas: 1,
      template: { spec: { restartPolicy: "Always" } },
    });
  });

  it("fills probes, ports, volumes and field references", () => {
    const pod = {
      spec: {
        hostNetwork: true,
        serviceAccountName: "sa",
        containers: [
          {
            name: "c",
            ports: [{ containerPort: 80 }],
            env: [{ name: "A", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } }],
            livenessProbe: { httpGet: { port: 80 } },
          },
        ],
        volumes: [
          { name: "a", configMap: { name: "x" } },
          { name: "b" },
          { name: "c", hostPath: { path: "/x" } },
          { name: "d", projected: { sources: [{ serviceAccountToken: { path: "t" } }] } },
        ],
      },
    };
    expect(defaulted("Pod", pod)).toMatchObject({
      spec: {
        serviceAccount: "sa",
        containers: [
          {
            ports: [{ containerPort: 80, hostPort: 80, protocol: "TCP" }],
            env: [{ valueFrom: { fieldRef: { apiVersion: "v1" } } }],
            livenessProbe: {
              httpGet: { path: "/", port: 80, scheme: "HTTP" },
              timeoutSeconds: 1,
              periodSeconds: 10,
              successThreshold: 1,
              failureThreshold: 3,
            },
          },
        ],
        volumes: [
          { name: "a", configMap: { defaultMode: 420 } },
          { name: "b", emptyDir: {} },
          { name: "c", hostPath: { type: "" } },
          {
            name: "d",
            projected: {
              defaultMode: 420,
              sources: [{ serviceAccountToken: { expirationSeconds: 3600 } }],
            },
          },
        ],
      },
    });
  });

  it("stores a secret's stringData as data, over data of the same key", () => {
    expect(
      defaulted("Secret", { data: { a: "eA==", b: "eQ==" }, stringData: { a: "new" } }),
    ).toEqual({ type: "Opaque", data: { a: "bmV3", b: "eQ==" } });
  });

  it("gives a namespace its finalizer, label and phase", () => {
    expect(defaulted("Namespace", { metadata: { name: "n" } })).toEqual({
      metadata: { name: "n", labels: { "kubernetes.io/metadata.name": "n" } },
      spec: { finalizers: ["kubernetes"] },
      status: { phase: "Active" },
    });
  });

  it("gives a node its capacity as allocatable", () => {
    expect(defaulted("Node", { status: { capacity: { cpu: "2" } } })).toEqual({
      status: { capacity: { cpu: "2" }, allocatable: { cpu: "2" } },
    });
  });

  it("is idempotent and leaves other kinds alone", () => {
    const image = fc.constantFrom("a", "a:latest", "a:1", "r:5000/a", "r:5000/a:2", "a@sha256:0");
    fc.assert(
      fc.property(
        fc.array(fc.record({ name: fc.string(), image }), { maxLength: 3 }),
        (containers) => {
          const once = defaulted("Pod", { spec: { containers } });
          expect(defaulted("Pod", structuredClone(once))).toEqual(once);
        },
      ),
    );
    expect(defaulted("Foo", { a: 1 })).toEqual({ a: 1 });
  });
});

describe("pullPolicyOf", () => {
  it.each([
    ["busybox", "Always"],
    ["busybox:latest", "Always"],
    ["busybox:1.36", "IfNotPresent"],
    ["registry:5000/busybox", "Always"],
    ["registry:5000/busybox:1", "IfNotPresent"],
    ["busybox@sha256:0123", "IfNotPresent"],
    ["busybox:latest@sha256:0123", "IfNotPresent"],
  ])("is for %s %s", (image, policy) => {
    expect(pullPolicyOf(image)).toBe(policy);
  });
});
