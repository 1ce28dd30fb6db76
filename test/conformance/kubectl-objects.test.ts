/**
 * What genuine kubectl 1.32 can do with objects, as a table: command, what it prints, exit code. No node
 * agent runs here; pod status is patched in as an agent would. Rows build on each other within a block.
 */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { kubectlBinary, runProgram, skippedBefore } from "../support/kubectl.ts";
import { pageImage, previewClass } from "../support/pods.ts";
import { startApiServer, type TestApiServer } from "../support/start-api-server.ts";

let api: TestApiServer;
let folder: string;

beforeAll(async () => {
  api = await startApiServer();
  folder = mkdtempSync("/tmp/kh-objects-");
  const editor = join(folder, "editor");
  writeFileSync(editor, '#!/bin/sh\nexec sed -i "s/color: blue/color: green/" "$1"\n');
  chmodSync(editor, 0o700);
  for (const [name, text] of Object.entries(manifests)) {
    writeFileSync(join(folder, name), typeof text === "string" ? text : JSON.stringify(text));
  }
});
afterAll(async () => {
  await api?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

const container = {
  name: "untrusted",
  image: pageImage,
  command: ["/bin/sh", "-ec", "while :; do echo '.'; sleep 5 ; done"],
};
const pod = (name: string, spec: object, labels: object = { color: "blue" }) => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name, labels },
  spec: { containers: [container], ...spec },
});

const manifests: Readonly<Record<string, object | string>> = {
  "untrusted.json": pod("untrusted", { runtimeClassName: previewClass }),
  "relabelled.json": pod("untrusted", { runtimeClassName: previewClass }, { color: "red" }),
  "changed.json": pod("untrusted", { runtimeClassName: "runc" }),
  "misspelt.json": pod("typo", { runtimeClassName: "kata-mhsv-vm-isolation" }),
  "host.json": pod("host", { runtimeClassName: previewClass, hostNetwork: true }),
  "unknown-field.json": pod("unknown", { runtimeClas: "x" }),
  "incomplete.yaml":
    "apiVersion: v1\nkind: Pod\nmetadata:\n  name: Bad_Name\nspec:\n  containers:\n  - name: c\n",
  "broken.yaml": "apiVersion: v1\nkind: Pod\n  metadata: {\n",
  "requests.json": pod("requests", {
    runtimeClassName: previewClass,
    containers: [{ ...container, resources: { requests: { cpu: "1" } } }],
  }),
  "node.json": {
    apiVersion: "v1",
    kind: "Node",
    metadata: { name: "n1", labels: { "node-role.kubernetes.io/agent": "" } },
    status: {
      allocatable: { cpu: "4", memory: "8Gi", pods: "30" },
      conditions: [{ type: "Ready", status: "True", reason: "KubeletReady", message: "ready" }],
      addresses: [{ type: "InternalIP", address: "10.224.0.4" }],
      nodeInfo: {
        kubeletVersion: "v1.32.4",
        osImage: "Azure Linux",
        kernelVersion: "6.6",
        containerRuntimeVersion: "containerd://2.0",
        architecture: "amd64",
        operatingSystem: "linux",
        bootID: "",
        machineID: "",
        systemUUID: "",
        kubeProxyVersion: "",
      },
    },
  },
  "running.json": {
    status: {
      phase: "Running",
      podIP: "10.244.0.7",
      podIPs: [{ ip: "10.244.0.7" }],
      conditions: [{ type: "Ready", status: "True" }],
      containerStatuses: [
        {
          name: "untrusted",
          ready: true,
          started: true,
          restartCount: 2,
          image: pageImage,
          imageID: "sha256:0",
          state: { running: { startedAt: "2026-01-01T00:00:00Z" } },
        },
      ],
    },
  },
  "crashing.json": {
    status: {
      conditions: [{ type: "Ready", status: "False" }],
      containerStatuses: [
        {
          name: "untrusted",
          ready: false,
          restartCount: 3,
          image: pageImage,
          imageID: "sha256:0",
          state: { waiting: { reason: "CrashLoopBackOff" } },
        },
      ],
    },
  },
  "quota-class.json": {
    apiVersion: "node.k8s.io/v1",
    kind: "RuntimeClass",
    metadata: { name: "mine" },
    handler: "kata-mine",
  },
};

/** A shell-like line; the answer's whole output (both streams) and exit code. */
interface Row {
  readonly command: string;
  readonly prints: string | RegExp;
  readonly exitCode?: number;
}

const row = (command: string, prints: string | RegExp, exitCode = 0): Row => ({
  command,
  prints,
  exitCode,
});

/** The table has later commands and words; what older ones can do is in kubectl-versions.test.ts. */
const skipped = skippedBefore(28, kubectlBinary());

function table(title: string, rows: readonly Row[]): void {
  describe.skipIf(skipped !== "")(`${skipped}${title}`, () => {
    it.each(rows.map((r) => [r.command, r] as const))("%s", async (_command, expected) => {
      const words = expected.command.match(/'[^']*'|\S+/g) ?? [];
      const outcome = await runProgram(
        kubectlBinary(),
        [`--kubeconfig=${api.kubeconfig}`, ...words.map((word) => word.replace(/^'|'$/g, ""))],
        {
          cwd: folder,
          env: { ...process.env, HOME: folder, KUBE_EDITOR: join(folder, "editor") },
          timeoutMs: 60_000,
        },
      );
      const said = outcome.stdout + outcome.stderr;
      if (typeof expected.prints === "string") expect(said.trimEnd()).toBe(expected.prints);
      else expect(said).toMatch(expected.prints);
      expect(outcome.exitCode, said).toBe(expected.exitCode);
    });
  });
}

const age = String.raw`\d+[smh]\S*`;

table("a new cluster", [
  row("version", /Server Version: v1\.32\.4/),
  row(
    "get namespaces -o name",
    "namespace/default\nnamespace/kube-node-lease\nnamespace/kube-public\nnamespace/kube-system",
  ),
  row(
    "get runtimeclass",
    new RegExp(
      `^NAME +HANDLER +AGE\nkata-mshv-vm-isolation +kata-mshv-vm-isolation +${age}\nkata-vm-isolation +kata-vm-isolation +${age}\nrunc +runc +${age}\n$`,
    ),
  ),
  row("get pods", "No resources found in default namespace."),
  row("get nodes", "No resources found"),
  row("get foos", `error: the server doesn't have a resource type "foos"`, 1),
  row("get pod nope", 'Error from server (NotFound): pods "nope" not found', 1),
  row("auth can-i create pods", "yes"),
  row("auth whoami -o jsonpath={.status.userInfo.username}", "katasim-admin"),
  row("api-resources --api-group=node.k8s.io -o name", "runtimeclasses.node.k8s.io"),
  row("explain pod.spec.runtimeClassName", /FIELD: runtimeClassName <string>/),
]);

table("a sandboxed pod from apply to delete", [
  row("apply -f untrusted.json", "pod/untrusted created"),
  row("apply -f untrusted.json", "pod/untrusted unchanged"),
  row(
    "get pod untrusted",
    new RegExp(`^NAME +READY +STATUS +RESTARTS +AGE\nuntrusted +0/1 +Pending +0 +${age}\n$`),
  ),
  row(
    "events --for pod/untrusted",
    /Warning +FailedScheduling +Pod\/untrusted +no nodes available to schedule pods/,
  ),
  row("create -f node.json", "node/n1 created"),
  row(
    "wait --for=jsonpath={.spec.nodeName}=n1 pod/untrusted --timeout=10s",
    "pod/untrusted condition met",
  ),
  row(
    "get node",
    new RegExp(`^NAME +STATUS +ROLES +AGE +VERSION\nn1 +Ready +agent +${age} +v1\\.32\\.4\n$`),
  ),
  row(
    "describe pod untrusted",
    /Runtime Class Name: +kata-mshv-vm-isolation[\s\S]*Normal +Scheduled .*Successfully assigned default\/untrusted to n1/,
  ),
  row(
    "patch pod untrusted --subresource=status --type=merge --patch-file=running.json",
    "pod/untrusted patched",
  ),
  row("wait --for=condition=Ready pod/untrusted --timeout=10s", "pod/untrusted condition met"),
  row(
    "get pod -o wide",
    new RegExp(`untrusted +1/1 +Running +2 +${age} +10\\.244\\.0\\.7 +n1 +<none> +<none>`),
  ),
  row(
    "patch pod untrusted --subresource=status --type=strategic --patch-file=crashing.json",
    "pod/untrusted patched",
  ),
  row(
    "get pod untrusted --no-headers",
    new RegExp(`^untrusted +0/1 +CrashLoopBackOff +3 +${age}\n$`),
  ),
  row("diff -f relabelled.json", /-\s+color: blue\n\+\s+color: red/, 1),
  row("apply -f relabelled.json", "pod/untrusted configured"),
  row(
    "apply -f changed.json",
    /The Pod "untrusted" is invalid: spec: Forbidden: pod updates may not change fields other than/,
    1,
  ),
  row("get pod -l color=red -o name", "pod/untrusted"),
  row("get pod --field-selector spec.nodeName=n1 -o name", "pod/untrusted"),
  row("get pod --sort-by=.metadata.name -A", /default +untrusted/),
  row("label pod untrusted tier=front", "pod/untrusted labeled"),
  row("label pod untrusted tier=back", /'tier' already has a value \(front\)/, 1),
  row("annotate pod untrusted note=x", "pod/untrusted annotated"),
  row("delete pod untrusted --wait=false", 'pod "untrusted" deleted'),
  row("get pod untrusted --no-headers", /Terminating/),
  row("delete pod untrusted --force --grace-period=0", /pod "untrusted" force deleted/),
  row("get pods", "No resources found in default namespace."),
  row("delete pod untrusted", 'Error from server (NotFound): pods "untrusted" not found', 1),
]);

table("what is refused, and how", [
  row(
    "apply -f misspelt.json",
    /^Error from server \(Forbidden\): error when creating "misspelt.json": pods "typo" is forbidden: pod rejected: RuntimeClass "kata-mhsv-vm-isolation" not found; did you mean "kata-mshv-vm-isolation"\?\n$/,
    1,
  ),
  row(
    "apply -f host.json",
    /pods "host" is forbidden: pod rejected: hostNetwork cannot be used with the sandboxed RuntimeClass/,
    1,
  ),
  row(
    "create -f unknown-field.json",
    /^Error from server \(BadRequest\): error when creating "unknown-field.json": Pod in version "v1" cannot be handled as a Pod: strict decoding error: unknown field "spec.runtimeClas"\n$/,
    1,
  ),
  row(
    "create -f unknown-field.json --validate=warn --dry-run=server",
    /Warning: unknown field "spec.runtimeClas"/,
  ),
  row(
    "create -f incomplete.yaml",
    /metadata.name: Invalid value: "Bad_Name"[\s\S]*spec.containers\[0\].image: Required value/,
    1,
  ),
  row("create -f broken.yaml", /error parsing broken.yaml/, 1),
  row(
    "create -f requests.json --dry-run=server",
    /^pod\/requests created \(server dry run\)\nWarning: sandbox sizing ignores requests: spec\.containers\[0\]\.resources\.requests\.cpu=1; set limits instead\n$/,
  ),
  row(
    "apply --server-side -f untrusted.json",
    /accepted media types include: application\/json-patch\+json, application\/merge-patch\+json, application\/strategic-merge-patch\+json; Server-side apply is not simulated/,
    1,
  ),
  row(
    "delete namespace default",
    'Error from server (Forbidden): namespaces "default" is forbidden: this namespace may not be deleted',
    1,
  ),
  row("get pod --field-selector spec.image=x", /field label not supported: spec.image/, 1),
  row(
    "create configmap c -n nowhere",
    'error: failed to create configmap: namespaces "nowhere" not found',
    1,
  ),
]);

table("configuration, typed commands in protobuf", [
  row("create configmap c1 --from-literal=color=blue", "configmap/c1 created"),
  row(
    "create configmap c1 --from-literal=a=b",
    'error: failed to create configmap: configmaps "c1" already exists',
    1,
  ),
  row("create secret generic s1 --from-literal=password=secret", "secret/s1 created"),
  row("get secret s1 -o jsonpath={.type}:{.data.password}", "Opaque:c2VjcmV0"),
  row(
    "get cm,secret --no-headers",
    new RegExp(`configmap/c1 +1 +${age}\n[\\s\\S]*secret/s1 +Opaque +1 +${age}`),
  ),
  row("edit configmap c1", "configmap/c1 edited"),
  row("get configmap c1 -o jsonpath={.data.color}", "green"),
  row(
    `patch configmap c1 --type=json -p '[{"op":"add","path":"/data/x","value":"y"}]'`,
    "configmap/c1 patched",
  ),
  row(
    `patch configmap c1 --type=merge -p '{"data":{"color":null},"immutable":true}'`,
    "configmap/c1 patched",
  ),
  row("get configmap c1 -o jsonpath={.data}", '{"x":"y"}'),
  row(
    `patch configmap c1 --type=merge -p '{"data":{"x":"z"}}'`,
    /data: Forbidden: field is immutable when `immutable` is set/,
    1,
  ),
  row("create serviceaccount robot", "serviceaccount/robot created"),
  row("get sa --no-headers", new RegExp(`^default +0 +${age}\nrobot +0 +${age}\n$`)),
  row("create namespace team", "namespace/team created"),
  row("get sa,cm -n team -o name", "serviceaccount/default\nconfigmap/kube-root-ca.crt"),
  row("delete namespace team", 'namespace "team" deleted'),
  row("get namespace team", 'Error from server (NotFound): namespaces "team" not found', 1),
  row(
    "delete configmap,secret,sa --all --wait=false",
    /configmap "c1" deleted[\s\S]*secret "s1" deleted[\s\S]*serviceaccount "robot" deleted/,
  ),
]);

table("classes and nodes", [
  row("create -f quota-class.json", "runtimeclass.node.k8s.io/mine created"),
  row(
    `patch runtimeclass mine --type=merge -p '{"handler":"runc"}'`,
    /handler: Invalid value: "runc": field is immutable/,
    1,
  ),
  row("delete runtimeclass mine", 'runtimeclass.node.k8s.io "mine" deleted'),
  row("cordon n1", "node/n1 cordoned"),
  row("get node n1 --no-headers", /Ready,SchedulingDisabled/),
  row("uncordon n1", "node/n1 uncordoned"),
  row("taint node n1 a=b:NoSchedule", "node/n1 tainted"),
  row("run blocked --image=x", "pod/blocked created"),
  row(
    "wait --for=jsonpath={.status.conditions[0].reason}=Unschedulable pod/blocked --timeout=10s",
    "pod/blocked condition met",
  ),
  row(
    "events --for pod/blocked",
    /0\/1 nodes are available: 1 node\(s\) had untolerated taint \{a: b\}\. preemption: 0\/1 nodes are available: 1 Preemption is not helpful for scheduling\./,
  ),
  row("taint node n1 a-", "node/n1 untainted"),
  row(
    "wait --for=jsonpath={.spec.nodeName}=n1 pod/blocked --timeout=10s",
    "pod/blocked condition met",
  ),
  row("describe node n1", /default +blocked +0 \(0%\)/),
  row("delete pod blocked --force --grace-period=0", /force deleted/),
  row("delete node n1", 'node "n1" deleted'),
]);
