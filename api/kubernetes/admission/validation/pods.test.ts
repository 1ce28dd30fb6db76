import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { containerProblems, pod, podProblems, problems } from "./problems.fixture.ts";

describe("pods", () => {
  it("of the plainest kind are good", () => {
    expect(podProblems({})).toEqual([]);
    expect(podProblems({ runtimeClassName: "kata-mshv-vm-isolation" })).toEqual([]);
  });

  it("need containers with unique DNS label names", () => {
    expect(podProblems({ containers: [] })).toEqual(["spec.containers: Required value"]);
    expect(
      podProblems({
        containers: [
          { name: "c", image: "x" },
          { name: "c", image: "x" },
        ],
      }),
    ).toEqual(['spec.containers[1].name: Duplicate value: "c"']);
    expect(containerProblems({ name: "My_C" })).toEqual([
      "spec.containers[0].name: Invalid value: \"My_C\": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
    ]);
    expect(podProblems({ initContainers: [{ name: "c", image: "x" }] })).toEqual([
      'spec.initContainers[0].name: Duplicate value: "c"',
    ]);
  });

  it("mount only volumes they have", () => {
    expect(containerProblems({ volumeMounts: [{ name: "v", mountPath: "/x" }] })).toEqual([
      'spec.containers[0].volumeMounts[0].name: Not found: "v"',
    ]);
    expect(
      containerProblems(
        {
          volumeMounts: [
            { name: "v", mountPath: "/x" },
            { name: "v", mountPath: "/x" },
          ],
        },
        { volumes: [{ name: "v", emptyDir: {} }] },
      ),
    ).toEqual([
      'spec.containers[0].volumeMounts[1].mountPath: Invalid value: "/x": must be unique',
    ]);
  });

  it("have sound volumes", () => {
    expect(
      podProblems({
        volumes: [
          { name: "a", emptyDir: {}, hostPath: { path: "/x" } },
          { name: "b", configMap: { name: "x", defaultMode: 0o1000 } },
          { name: "b", hostPath: { path: "/a/../b" } },
          { name: "d", secret: {} },
        ],
      }),
    ).toEqual([
      "spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type",
      "spec.volumes[1].configMap.defaultMode: Invalid value: 512: must be a number between 0 and 0777 (octal), both inclusive",
      "spec.volumes[2].hostPath.path: Invalid value: \"/a/../b\": must not contain '..'",
      "spec.volumes[3].secret.secretName: Required value",
    ]);
  });

  it("request no more than their limits", () => {
    expect(
      containerProblems({ resources: { limits: { cpu: "1" }, requests: { cpu: "2" } } }),
    ).toEqual([
      'spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1',
    ]);
    expect(containerProblems({ resources: { limits: { memory: "-1" } } })).toContain(
      'spec.containers[0].resources.limits[memory]: Invalid value: "-1": must be greater than or equal to 0',
    );
    expect(containerProblems({ resources: { limits: { gpu: "1" } } })).toEqual(
      expect.arrayContaining([
        'spec.containers[0].resources.limits[gpu]: Invalid value: "gpu": must be a standard resource type or fully qualified',
        'spec.containers[0].resources.limits[gpu]: Invalid value: "gpu": must be a standard resource for containers',
      ]),
    );
    expect(containerProblems({ resources: { requests: { "example.com/gpu": "1" } } })).toEqual([
      "spec.containers[0].resources.limits: Required value: Limit must be set for non overcommitable resources",
    ]);
  });

  it("have ports in range, named well and used once", () => {
    expect(
      containerProblems({
        ports: [
          { containerPort: 0 },
          { containerPort: 70000, protocol: "ICMP" },
          { containerPort: 80, name: "Web--" },
          { containerPort: 81, hostPort: 9 },
          { containerPort: 82, hostPort: 9 },
        ],
      }),
    ).toEqual([
      "spec.containers[0].ports[0].containerPort: Required value",
      "spec.containers[0].ports[1].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
      'spec.containers[0].ports[1].protocol: Unsupported value: "ICMP": supported values: "SCTP", "TCP", "UDP"',
      'spec.containers[0].ports[2].name: Invalid value: "Web--": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)',
      'spec.containers[0].ports[2].name: Invalid value: "Web--": must not contain consecutive hyphens',
      'spec.containers[0].ports[2].name: Invalid value: "Web--": must not begin or end with a hyphen',
      'spec.containers[0].ports[4].hostPort: Duplicate value: "TCP//9"',
    ]);
  });

  it("on the host's network use the same port there", () => {
    expect(
      containerProblems({ ports: [{ containerPort: 80, hostPort: 81 }] }, { hostNetwork: true }),
    ).toEqual([
      "spec.containers[0].ports[0].hostPort: Invalid value: 81: must match `containerPort` when `hostNetwork` is true",
    ]);
  });

  it("have environment variables with one source each", () => {
    expect(
      containerProblems({
        env: [
          { name: "A=B" },
          { name: "", value: "x" },
          { name: "C", valueFrom: {} },
          { name: "D", value: "x", valueFrom: { fieldRef: { fieldPath: "status.podIP" } } },
          { name: "E", valueFrom: { fieldRef: { fieldPath: "spec.nope" } } },
          { name: "F", valueFrom: { configMapKeyRef: { name: "c", key: "" } } },
          { name: "G", valueFrom: { fieldRef: { fieldPath: "metadata.labels['a']" } } },
        ],
      }),
    ).toEqual([
      "spec.containers[0].env[0].name: Invalid value: \"A=B\": a valid environment variable name must consist only of printable ASCII characters other than '='",
      "spec.containers[0].env[1].name: Required value",
      'spec.containers[0].env[2].valueFrom: Invalid value: "": must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`',
      'spec.containers[0].env[3].valueFrom: Invalid value: "": may not be specified when `value` is not empty',
      'spec.containers[0].env[4].valueFrom.fieldRef.fieldPath: Invalid value: "spec.nope": error converting fieldPath: field label not supported: spec.nope',
      "spec.containers[0].env[5].valueFrom.configMapKeyRef.key: Required value",
    ]);
  });

  it("have probes with one handler", () => {
    expect(
      containerProblems({
        livenessProbe: { httpGet: { port: 0 }, successThreshold: 2 },
        readinessProbe: { exec: { command: ["x"] }, tcpSocket: { port: 1 } },
        startupProbe: { periodSeconds: -1 },
      }),
    ).toEqual([
      "spec.containers[0].livenessProbe.httpGet.port: Invalid value: 0: must be between 1 and 65535, inclusive",
      "spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1",
      "spec.containers[0].readinessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type",
      "spec.containers[0].startupProbe: Required value: must specify a handler type",
      "spec.containers[0].startupProbe.periodSeconds: Invalid value: -1: must be greater than or equal to 0",
    ]);
    expect(
      podProblems({
        initContainers: [{ name: "i", image: "x", livenessProbe: { exec: { command: ["x"] } } }],
      }),
    ).toEqual([
      "spec.initContainers[0].livenessProbe: Forbidden: may not be set for init containers without restartPolicy=Always",
    ]);
  });

  it("have security contexts that do not contradict themselves", () => {
    expect(
      containerProblems({
        securityContext: { privileged: true, allowPrivilegeEscalation: false, runAsUser: -1 },
      }),
    ).toEqual([
      "spec.containers[0].securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive",
      expect.stringContaining(
        "cannot set `allowPrivilegeEscalation` to false and `privileged` to true",
      ),
    ]);
  });

  it("have tolerations that can match", () => {
    expect(
      podProblems({
        tolerations: [
          { operator: "Equal", value: "x" },
          { key: "a", operator: "Exists", tolerationSeconds: 1 },
          { key: "a", operator: "In" },
          { key: "a", effect: "NoWay" },
        ],
      }),
    ).toEqual([
      'spec.tolerations[0].operator: Invalid value: "Equal": operator must be Exists when `key` is empty, which means "match all values and all keys"',
      "spec.tolerations[1].effect: Invalid value: \"\": effect must be 'NoExecute' when `tolerationSeconds` is set",
      'spec.tolerations[2].operator: Unsupported value: "In": supported values: "Equal", "Exists"',
      'spec.tolerations[3].effect: Unsupported value: "NoWay": supported values: "NoSchedule", "PreferNoSchedule", "NoExecute"',
    ]);
  });

  it("are created without ephemeral containers", () => {
    expect(podProblems({ ephemeralContainers: [{ name: "e", image: "x" }] })).toEqual([
      "spec.ephemeralContainers: Forbidden: cannot be set on create",
    ]);
  });

  it("never make validation throw, whatever they hold of the right types", () => {
    const text = fc.string();
    const container = fc.record(
      {
        name: text,
        image: text,
        env: fc.array(fc.record({ name: text, value: text }, { requiredKeys: ["name"] })),
        resources: fc.record({
          limits: fc.dictionary(text, fc.constantFrom("1", "1Gi", "-5")),
          requests: fc.dictionary(text, fc.constantFrom("1", "1Gi", "-5")),
        }),
        volumeMounts: fc.array(fc.record({ name: text, mountPath: text })),
      },
      { requiredKeys: [] },
    );
    const spec = fc.record(
      {
        containers: fc.array(container),
        restartPolicy: text,
        nodeSelector: fc.dictionary(text, text),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(spec, fc.option(spec, { nil: undefined }), (next, old) => {
        problems(
          "v1",
          "Pod",
          { metadata: { name: "p" }, spec: next },
          old && { metadata: { name: "p" }, spec: old },
        );
      }),
    );
  });
});

describe("pod updates", () => {
  const update = (before: object, after: object) => problems("v1", "Pod", pod(after), pod(before));

  it("may change images, add tolerations and shorten deadlines", () => {
    expect(
      update(
        { activeDeadlineSeconds: 10, tolerations: [{ key: "a", operator: "Exists" }] },
        {
          activeDeadlineSeconds: 5,
          containers: [{ name: "c", image: "busybox:2", imagePullPolicy: "Always" }],
          tolerations: [
            { key: "a", operator: "Exists" },
            { key: "b", operator: "Exists" },
          ],
        },
      ),
    ).toEqual([]);
  });

  it("may say what was the default anyway", () => {
    expect(update({}, { hostNetwork: false, restartPolicy: "Always", hostname: "" })).toEqual([]);
  });

  it("may change nothing else", () => {
    const [message, ...rest] = update({ hostname: "a" }, { hostname: "b" });
    expect(rest).toEqual([]);
    expect(message).toBe(
      'spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n  core.PodSpec{\n- \tHostname: "a",\n+ \tHostname: "b",\n  }\n',
    );
  });

  it("may not add containers, drop tolerations or lengthen deadlines", () => {
    const two = [
      { name: "c", image: "x" },
      { name: "d", image: "x" },
    ];
    expect(update({}, { containers: two })).toEqual([
      "spec.containers: Forbidden: pod updates may not add or remove containers",
    ]);
    expect(update({ tolerations: [{ key: "a", operator: "Exists" }] }, {})).toContain(
      "spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds",
    );
    expect(update({ activeDeadlineSeconds: 5 }, { activeDeadlineSeconds: 6 })).toEqual([
      "spec.activeDeadlineSeconds: Invalid value: 6: must be less than or equal to previous value",
    ]);
  });
});
