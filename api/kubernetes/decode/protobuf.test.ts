import fc from "fast-check";
import protobuf from "protobufjs";
import { describe, expect, it } from "vitest";
import { isSimError } from "../../../common/errors.ts";
import { definitions } from "../schema/definitions.ts";
import { hasReference, referenceDescriptors } from "../schema/reference-openapi.fixture.ts";
import { decodeBody } from "./body.ts";
import { wireMessages } from "./field-numbers.ts";
import { decodeProtobuf } from "./protobuf.ts";

const contentType = "application/vnd.kubernetes.protobuf";

describe("wire messages", () => {
  it("name only fields of their definitions", () => {
    for (const [name, message] of wireMessages) {
      const definition = definitions.get(name);
      if (!definition) continue; // embedded structs have no definition
      for (const field of message.values())
        if (field.embedded === undefined)
          expect([name, Object.keys(definition.properties)]).toEqual([
            name,
            expect.arrayContaining([field.name]),
          ]);
        else expect([name, wireMessages.has(field.embedded)]).toEqual([name, true]);
    }
  });
});

/** Every garbage answer is a 4xx of ours: no crash, no hang. */
function refusesOrDecodes(bytes: Uint8Array): void {
  try {
    decodeProtobuf(bytes);
  } catch (error) {
    expect(isSimError(error) && error.kind).toBe("user");
  }
}

const envelopeOf = (raw: Uint8Array) =>
  Buffer.concat([
    Buffer.from("k8s\0", "latin1"),
    Buffer.from([0x0a, 9, 0x0a, 2, ...Buffer.from("v1"), 0x12, 3, ...Buffer.from("Pod")]),
    Buffer.from([0x12, ...varint(raw.length)]),
    raw,
  ]);

function varint(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...varint(value >>> 7)];
}

describe("garbage", () => {
  it("is refused without the magic", () => {
    expect(() => decodeBody(contentType, Buffer.from("{}"))).toThrow(
      /expected prefix \[107 56 115 0\]/,
    );
  });

  it("never does more than refuse", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (raw) => {
        refusesOrDecodes(Buffer.concat([Buffer.from("k8s\0", "latin1"), raw]));
        refusesOrDecodes(envelopeOf(raw));
      }),
      { numRuns: 2000 },
    );
  });

  it("is refused when it nests without end", () => {
    // PodSpec.affinity.podAffinity… cannot recurse, so nest groups, which skipping would follow.
    const groups = new Uint8Array(100_000).fill(0x0b);
    expect(() => decodeProtobuf(envelopeOf(groups))).toThrow(/illegal wireType/);
  });
});

describe.skipIf(!hasReference)("against the published descriptors", () => {
  const root = protobuf.Root.fromJSON(
    (hasReference ? referenceDescriptors() : {}) as protobuf.INamespace,
  );
  const lookup = (name: string) =>
    root.lookupType(
      name
        .replace("io.k8s.apimachinery", "k8s.io.apimachinery")
        .replace("io.k8s.api.", "k8s.io.api."),
    );
  const Unknown = () =>
    protobuf.Root.fromJSON({
      nested: {
        TypeMeta: {
          fields: { apiVersion: { type: "string", id: 1 }, kind: { type: "string", id: 2 } },
        },
        Unknown: {
          fields: {
            typeMeta: { type: "TypeMeta", id: 1 },
            raw: { type: "bytes", id: 2 },
            contentEncoding: { type: "string", id: 3 },
            contentType: { type: "string", id: 4 },
          },
        },
      },
    }).lookupType("Unknown");

  const encode = (apiVersion: string, kind: string, type: string, message: object) => {
    const messageType = lookup(type);
    const raw = messageType.encode(messageType.fromObject(message)).finish();
    const envelope = Unknown();
    return Buffer.concat([
      Buffer.from("k8s\0", "latin1"),
      envelope
        .encode(
          envelope.fromObject({
            typeMeta: { apiVersion, kind },
            raw,
            contentEncoding: "",
            contentType: "",
          }),
        )
        .finish(),
    ]);
  };
  const roundTrip = (apiVersion: string, kind: string, type: string, message: object) =>
    decodeBody(contentType, encode(apiVersion, kind, type, message)).object;

  it("numbers every field of every listed message as published", () => {
    for (const [name, message] of wireMessages) {
      const published = Object.values(lookup(name).fields).map((field) => field.id);
      expect([name, ...[...message.keys()].sort((a, b) => a - b)]).toEqual([
        name,
        ...published.sort((a, b) => a - b),
      ]);
      for (const [number, field] of message) {
        const theirs = lookup(name).fieldsById[number]?.name.toLowerCase();
        if (field.embedded === undefined)
          expect([name, theirs]).toEqual([name, field.name.toLowerCase()]);
      }
    }
  });

  it("reads a config map as kubectl create configmap sends it", () => {
    expect(
      roundTrip("v1", "ConfigMap", "io.k8s.api.core.v1.ConfigMap", {
        metadata: {
          name: "c",
          generateName: "",
          namespace: "default",
          uid: "",
          generation: 0,
          creationTimestamp: {},
        },
        data: { a: "1", empty: "" },
        binaryData: { b: Buffer.from([0, 255]).toString("base64") },
      }),
    ).toEqual({
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: "c", namespace: "default" },
      data: { a: "1", empty: "" },
      binaryData: { b: "AP8=" },
    });
  });

  it("reads delete options with a zero grace period", () => {
    expect(
      roundTrip("v1", "DeleteOptions", "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions", {
        gracePeriodSeconds: 0,
        propagationPolicy: "Background",
        preconditions: { uid: "u" },
        dryRun: ["All"],
      }),
    ).toEqual({
      apiVersion: "v1",
      kind: "DeleteOptions",
      gracePeriodSeconds: 0,
      propagationPolicy: "Background",
      preconditions: { uid: "u" },
      dryRun: ["All"],
    });
  });

  it("reads reviews, evictions, leases and runtime classes", () => {
    expect(
      roundTrip(
        "authorization.k8s.io/v1",
        "SelfSubjectAccessReview",
        "io.k8s.api.authorization.v1.SelfSubjectAccessReview",
        {
          metadata: {},
          spec: {
            resourceAttributes: { namespace: "default", verb: "get", resource: "pods", group: "" },
          },
          status: { allowed: false },
        },
      ),
    ).toEqual({
      apiVersion: "authorization.k8s.io/v1",
      kind: "SelfSubjectAccessReview",
      metadata: {},
      spec: { resourceAttributes: { namespace: "default", verb: "get", resource: "pods" } },
      status: { allowed: false },
    });
    expect(
      roundTrip("policy/v1", "Eviction", "io.k8s.api.policy.v1.Eviction", {
        metadata: { name: "p" },
        deleteOptions: { gracePeriodSeconds: 5 },
      }),
    ).toMatchObject({ metadata: { name: "p" }, deleteOptions: { gracePeriodSeconds: 5 } });
    expect(
      roundTrip("coordination.k8s.io/v1", "Lease", "io.k8s.api.coordination.v1.Lease", {
        spec: {
          holderIdentity: "n",
          leaseDurationSeconds: 40,
          renewTime: { seconds: 1735689600, nanos: 123456000 },
        },
      }),
    ).toMatchObject({ spec: { holderIdentity: "n", renewTime: "2025-01-01T00:00:00.123456Z" } });
    expect(
      roundTrip("node.k8s.io/v1", "RuntimeClass", "io.k8s.api.node.v1.RuntimeClass", {
        handler: "kata",
        overhead: { podFixed: { memory: { string: "600Mi" } } },
        scheduling: { tolerations: [{ key: "k", operator: "Exists", tolerationSeconds: 0 }] },
      }),
    ).toMatchObject({
      handler: "kata",
      overhead: { podFixed: { memory: "600Mi" } },
      scheduling: { tolerations: [{ key: "k", operator: "Exists", tolerationSeconds: 0 }] },
    });
  });

  it("reads a pod: embedded structs, ports by name or number, times, owner references, fields", () => {
    const pod = roundTrip("v1", "Pod", "io.k8s.api.core.v1.Pod", {
      metadata: {
        name: "p",
        creationTimestamp: { seconds: 1735689600 },
        ownerReferences: [
          { apiVersion: "v1", kind: "Node", name: "n", uid: "u", controller: false },
        ],
        managedFields: [{ manager: "m", fieldsV1: { Raw: Buffer.from('{"f:spec":{}}') } }],
      },
      spec: {
        hostNetwork: false,
        enableServiceLinks: false,
        terminationGracePeriodSeconds: 0,
        containers: [
          {
            name: "c",
            args: ["", "x"],
            livenessProbe: {
              handler: { httpGet: { path: "/", port: { type: 1, strVal: "web" } } },
              periodSeconds: 3,
            },
            readinessProbe: { handler: { tcpSocket: { port: { type: 0, intVal: 80 } } } },
            env: [
              {
                name: "E",
                valueFrom: {
                  configMapKeyRef: {
                    localObjectReference: { name: "cm" },
                    key: "k",
                    optional: false,
                  },
                },
              },
            ],
            resources: { limits: { cpu: { string: "2" } } },
          },
        ],
        ephemeralContainers: [
          { ephemeralContainerCommon: { name: "d", image: "i" }, targetContainerName: "c" },
        ],
        volumes: [
          {
            name: "v",
            volumeSource: { configMap: { localObjectReference: { name: "cm" }, defaultMode: 0 } },
          },
        ],
        securityContext: { supplementalGroups: [1, 2] },
      },
      status: {},
    });
    expect(pod).toEqual({
      apiVersion: "v1",
      kind: "Pod",
      metadata: {
        name: "p",
        creationTimestamp: "2025-01-01T00:00:00Z",
        ownerReferences: [
          { apiVersion: "v1", kind: "Node", name: "n", uid: "u", controller: false },
        ],
        managedFields: [{ manager: "m", fieldsV1: { "f:spec": {} } }],
      },
      spec: {
        enableServiceLinks: false,
        terminationGracePeriodSeconds: 0,
        containers: [
          {
            name: "c",
            args: ["", "x"],
            livenessProbe: { httpGet: { path: "/", port: "web" }, periodSeconds: 3 },
            readinessProbe: { tcpSocket: { port: 80 } },
            env: [
              {
                name: "E",
                valueFrom: { configMapKeyRef: { name: "cm", key: "k", optional: false } },
              },
            ],
            resources: { limits: { cpu: "2" } },
          },
        ],
        ephemeralContainers: [{ name: "d", image: "i", targetContainerName: "c" }],
        volumes: [{ name: "v", configMap: { name: "cm", defaultMode: 0 } }],
        securityContext: { supplementalGroups: [1, 2] },
      },
      status: {},
    });
  });

  it("reads every truncation of a pod as a refusal or an object", () => {
    const bytes = encode("v1", "Pod", "io.k8s.api.core.v1.Pod", {
      metadata: { name: "p", labels: { a: "b" } },
      spec: { containers: [{ name: "c", image: "busybox", ports: [{ containerPort: 80 }] }] },
    });
    for (let length = 0; length < bytes.length; length += 1)
      refusesOrDecodes(bytes.subarray(0, length));
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.nat(255), (at, value) => {
        const broken = Buffer.from(bytes);
        broken[at] = value;
        refusesOrDecodes(broken);
      }),
      { numRuns: 2000 },
    );
  });
});
