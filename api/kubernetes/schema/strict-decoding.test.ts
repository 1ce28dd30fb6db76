import { describe, expect, it } from "vitest";
import { checkFields, checkTypes, strictDecodingError } from "./strict-decoding.ts";

const pod = { group: "", version: "v1", kind: "Pod" };
const withContainer = (container: object) => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "p" },
  spec: { containers: [container] },
});

describe("checkFields", () => {
  it("names unknown fields by their path, in document order", () => {
    expect(
      checkFields(pod, {
        ...withContainer({ name: "c", bogus: 1, ports: [{ containerPort: 80, x: { y: 1 } }] }),
        other: true,
      }),
    ).toEqual([
      'unknown field "spec.containers[0].bogus"',
      'unknown field "spec.containers[0].ports[0].x"',
      'unknown field "other"',
    ]);
  });

  it("is case-sensitive and lets maps have any key", () => {
    expect(
      checkFields(pod, {
        Spec: {},
        metadata: { labels: { anything: "x", constructor: "y" } },
      }),
    ).toEqual(['unknown field "Spec"']);
    expect(checkFields(pod, { spec: JSON.parse('{"__proto__":{},"constructor":1}') })).toEqual([
      'unknown field "spec.__proto__"',
      'unknown field "spec.constructor"',
    ]);
  });

  it("does not know fields that came after v1.32", () => {
    expect(checkFields(pod, withContainer({ name: "c", restartPolicyRules: [] }))).toEqual([
      'unknown field "spec.containers[0].restartPolicyRules"',
    ]);
  });

  it("says nothing of kinds it has no definition for", () => {
    expect(checkFields({ group: "x", version: "v1", kind: "Foo" }, { a: 1 })).toEqual([]);
  });

  it("makes the real server's answer to fieldValidation=Strict", () => {
    expect(strictDecodingError(pod, ['unknown field "spec.bogus"']).message).toBe(
      'Pod in version "v1" cannot be handled as a Pod: strict decoding error: unknown field "spec.bogus"',
    );
  });
});

describe("checkTypes", () => {
  const refusal = (object: unknown, gvk = pod) => {
    try {
      checkTypes(gvk, object);
    } catch (error) {
      return (error as Error).message.replace(/^.*cannot be handled as a \w+: /, "");
    }
    return undefined;
  };

  it.each([
    [
      withContainer({ name: "c", ports: "x" }),
      "json: cannot unmarshal string into Go struct field Container.spec.containers.ports of type []v1.ContainerPort",
    ],
    [
      { spec: { containers: {} } },
      "json: cannot unmarshal object into Go struct field PodSpec.spec.containers of type []v1.Container",
    ],
    [
      withContainer({ name: "c", env: [{ name: "A", value: 5 }] }),
      "json: cannot unmarshal number into Go struct field EnvVar.spec.containers.env.value of type string",
    ],
    [
      withContainer({ name: "c", ports: [{ containerPort: "80" }] }),
      "json: cannot unmarshal string into Go struct field ContainerPort.spec.containers.ports.containerPort of type int32",
    ],
    [
      withContainer({ name: "c", ports: [{ containerPort: 1.5 }] }),
      "json: cannot unmarshal number 1.5 into Go struct field ContainerPort.spec.containers.ports.containerPort of type int32",
    ],
    [
      { metadata: { labels: { a: true } } },
      "json: cannot unmarshal bool into Go struct field ObjectMeta.metadata.labels of type string",
    ],
    [
      { spec: { restartPolicy: 1 } },
      "json: cannot unmarshal number into Go struct field PodSpec.spec.restartPolicy of type v1.RestartPolicy",
    ],
    [
      { spec: { nodeSelector: ["a"] } },
      "json: cannot unmarshal array into Go struct field PodSpec.spec.nodeSelector of type map[string]string",
    ],
    [
      withContainer({ name: "c", resources: { limits: { memory: "lots" } } }),
      "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
    ],
    [
      withContainer({ name: "c", livenessProbe: { httpGet: { port: false } } }),
      "json: cannot unmarshal bool into Go struct field HTTPGetAction.spec.containers.livenessProbe.httpGet.port of type int32",
    ],
    [
      { metadata: { creationTimestamp: "yesterday" } },
      'parsing time "yesterday" as "2006-01-02T15:04:05Z07:00": cannot parse "yesterday" as "2006"',
    ],
    [["x"], "json: cannot unmarshal array into Go value of type v1.Pod"],
  ])("refuses %j", (object, message) => {
    expect(refusal(object)).toBe(message);
  });

  it("refuses base64 that is none, at the byte", () => {
    const secret = { group: "", version: "v1", kind: "Secret" };
    expect(refusal({ data: { a: "dGVz!A==" } }, secret)).toBe(
      "illegal base64 data at input byte 4",
    );
    expect(refusal({ data: { a: "dGVzd" } }, secret)).toBe("illegal base64 data at input byte 4");
    expect(refusal({ data: { a: "dGVzdA==" } }, secret)).toBeUndefined();
  });

  it("takes nulls, numbers as quantities, and names or numbers as ports", () => {
    expect(
      refusal({
        metadata: { creationTimestamp: null },
        spec: {
          containers: [
            {
              name: "c",
              args: null,
              resources: { limits: { cpu: 2 } },
              livenessProbe: { httpGet: { port: "web" } },
              readinessProbe: { tcpSocket: { port: 80 } },
            },
          ],
        },
      }),
    ).toBeUndefined();
  });
});
