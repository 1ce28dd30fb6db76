import { describe, expect, it } from "vitest";
import { gvkOf } from "../../schema/definitions.ts";
import { applyDefaults } from "../defaults.ts";
import { formatFieldErrors, validateObject } from "./index.ts";
import { pod, podProblems, problems } from "./problems.fixture.ts";

const podGvk = gvkOf("v1", "Pod");

describe("formatFieldErrors", () => {
  it("gives one error plainly and several in brackets, each once", () => {
    const gvk = podGvk;
    const broken = { metadata: { name: "x" }, spec: { containers: [{ name: "c" }] } };
    applyDefaults(gvk, broken);
    expect(formatFieldErrors("Pod", "x", validateObject(gvk, broken))).toBe(
      'Pod "x" is invalid: spec.containers[0].image: Required value',
    );
    const worse = pod({ containers: [{}, {}], restartPolicy: "Sometimes" });
    applyDefaults(gvk, worse);
    expect(formatFieldErrors("Pod", "p", validateObject(gvk, worse))).toBe(
      'Pod "p" is invalid: [spec.containers[0].name: Required value, spec.containers[0].image: Required value, spec.containers[1].name: Required value, spec.containers[1].image: Required value, spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never"]',
    );
  });
});

describe("names and metadata", () => {
  it("are DNS subdomains, in the real words", () => {
    expect(podProblems({}, { name: "Bad_Name" })).toEqual([
      "metadata.name: Invalid value: \"Bad_Name\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
    ]);
    expect(podProblems({}, { name: undefined })).toEqual([
      "metadata.name: Required value: name or generateName is required",
    ]);
    expect(problems("v1", "Namespace", { metadata: { name: "a.b" } })).toEqual([
      'metadata.name: Invalid value: "a.b": must not contain dots',
    ]);
    expect(problems("v1", "ConfigMap", { metadata: { name: "x".repeat(254) } })[0]).toMatch(
      /must be no more than 253 characters$/,
    );
  });

  it("have labels of the known form", () => {
    expect(podProblems({}, { labels: { "a b": "c d" } })).toEqual([
      "metadata.labels: Invalid value: \"a b\": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
      "metadata.labels: Invalid value: \"c d\": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
    ]);
    expect(podProblems({}, { labels: { "example.com/x": "", X: "y" } })).toEqual([]);
  });

  it("have at most 256 KiB of annotations and known finalizers", () => {
    expect(podProblems({}, { annotations: { a: "x".repeat(262144) } })).toEqual([
      "metadata.annotations: Too long: may not be more than 262144 bytes",
    ]);
    expect(podProblems({}, { finalizers: ["x", "example.com/y"] })).toEqual([
      'metadata.finalizers[0]: Invalid value: "x": name is neither a standard finalizer name nor is it fully qualified',
    ]);
  });
});

describe("other kinds", () => {
  const named = (rest: object) => ({ metadata: { name: "x" }, ...rest });

  it("RuntimeClass: the handler is a DNS label and stays", () => {
    const gv = "node.k8s.io/v1";
    expect(problems(gv, "RuntimeClass", named({ handler: "kata" }))).toEqual([]);
    expect(problems(gv, "RuntimeClass", named({ handler: "My.Handler" }))[0]).toMatch(
      /^handler: Invalid value: "My.Handler": a lowercase RFC 1123 label/,
    );
    expect(problems(gv, "RuntimeClass", named({ handler: "b" }), named({ handler: "a" }))).toEqual([
      'handler: Invalid value: "b": field is immutable',
    ]);
  });

  it("ConfigMap: keys and immutability", () => {
    expect(problems("v1", "ConfigMap", named({ data: { "a b": "x", "..": "y" } }))).toEqual([
      "data[a b]: Invalid value: \"a b\": a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')",
      "data[..]: Invalid value: \"..\": must not be '..'",
    ]);
    const frozen = named({ data: { a: "1" }, immutable: true });
    expect(problems("v1", "ConfigMap", named({ data: { a: "2" } }), frozen)).toEqual([
      "immutable: Forbidden: field is immutable when `immutable` is set",
      "data: Forbidden: field is immutable when `immutable` is set",
    ]);
    expect(problems("v1", "ConfigMap", frozen, frozen)).toEqual([]);
  });

  it("Secret: the type stays and brings keys", () => {
    expect(problems("v1", "Secret", named({ type: "kubernetes.io/tls", data: {} }))).toEqual([
      "data[tls.crt]: Required value",
      "data[tls.key]: Required value",
    ]);
    expect(problems("v1", "Secret", named({ type: "a" }), named({ type: "b" }))).toEqual([
      'type: Invalid value: "a": field is immutable',
    ]);
    expect(
      problems(
        "v1",
        "Secret",
        named({ data: { big: Buffer.alloc(1024 * 1024 + 1).toString("base64") } }),
      ),
    ).toEqual(["data: Too long: may not be more than 1048576 bytes"]);
  });

  it("Lease, Node, Event", () => {
    expect(
      problems("coordination.k8s.io/v1", "Lease", named({ spec: { leaseDurationSeconds: 0 } })),
    ).toEqual(["spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0"]);
    const taints = [
      { key: "a", effect: "NoSchedule" },
      { key: "a", effect: "NoSchedule" },
    ];
    expect(problems("v1", "Node", named({ spec: { taints } }))[0]).toMatch(
      /^metadata\.taints\[1\]: Duplicate value: .*taints must be unique by key and effect pair$/,
    );
    const event = { metadata: { name: "e", namespace: "a" }, involvedObject: { namespace: "b" } };
    expect(problems("v1", "Event", event)).toEqual([
      'involvedObject.namespace: Invalid value: "b": does not match event.namespace',
    ]);
  });
});
