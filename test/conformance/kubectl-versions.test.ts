/**
 * The everyday commands with every kubectl this machine has, against the API alone: clients before 1.29
 * read OpenAPI v2 in protobuf, older ones know no aggregated discovery, no fieldValidation, no v3.
 * Rows build on each other within a version.
 */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runProgram } from "../support/kubectl.ts";
import { debianVersion, findKubectls } from "../support/kubectl-versions.ts";
import { pageImage, previewClass } from "../support/pods.ts";
import { startApiServer, type TestApiServer } from "../support/start-api-server.ts";

/** Must not be forgotten: Debian 12's, and the last two that need OpenAPI v2. */
const expected = [debianVersion, "1.27", "1.28"];

interface Row {
  readonly command: string;
  readonly prints: string | RegExp;
  readonly exitCode: number;
  /** The first minor version that knows the command or flag. */
  readonly since: number;
}

const row = (command: string, prints: string | RegExp, exitCode = 0, since = 0): Row => ({
  command,
  prints,
  exitCode,
  since,
});

const container = {
  name: "untrusted",
  image: pageImage,
  command: ["/bin/sh", "-ec", "while :; do echo '.'; sleep 5 ; done"],
  ports: [{ containerPort: 80 }],
};
const pod = (labels: object, spec: object = { runtimeClassName: previewClass }) => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "untrusted", labels },
  spec: { containers: [container], ...spec },
});
const tolerated = { key: "a", operator: "Exists" };

const manifests: Readonly<Record<string, object>> = {
  "pod.json": pod({ color: "blue" }),
  "relabelled.json": pod({ color: "red" }),
  "changed.json": pod(
    { color: "red" },
    {
      runtimeClassName: previewClass,
      containers: [{ ...container, image: "docker.io/library/busybox:1.36" }],
      tolerations: [tolerated],
    },
  ),
  "unknown-field.json": pod({}, { runtimeClas: "x" }),
  "node.json": {
    apiVersion: "v1",
    kind: "Node",
    metadata: { name: "n1" },
    status: {
      allocatable: { cpu: "4", memory: "8Gi", pods: "30" },
      conditions: [{ type: "Ready", status: "True", reason: "KubeletReady", message: "ready" }],
    },
  },
  "bound.json": {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "bound" },
    spec: { nodeName: "n1", containers: [container] },
  },
};

const rows: readonly Row[] = [
  row("version", /Server Version: .*v1\.32\.4/),
  row("api-resources --api-group=node.k8s.io -o name", "runtimeclasses.node.k8s.io"),
  row("get runtimeclass kata-mshv-vm-isolation --no-headers", /^kata-mshv-vm-isolation +kata-mshv/),
  row("explain pod.spec.runtimeClassName", /RuntimeClassName refers to a RuntimeClass object/),
  row("explain pod.spec.containers --recursive", /securityContext\s+<(Object|SecurityContext)>/),
  row("create -f pod.json --dry-run=server", "pod/untrusted created (server dry run)"),
  row("diff -f pod.json", /\+ +runtimeClassName: kata-mshv-vm-isolation/, 1),
  row("apply -f pod.json", "pod/untrusted created"),
  row("apply -f pod.json", "pod/untrusted unchanged"),
  row("apply -f relabelled.json --dry-run=server", "pod/untrusted configured (server dry run)"),
  row("get pod untrusted -o jsonpath={.metadata.labels.color}", "blue"),
  row("apply -f relabelled.json", "pod/untrusted configured"),
  // Only a client that knows the merge key orders the list it changes one item of.
  row("apply -f changed.json --dry-run=server -v=8", /\$setElementOrder\/containers/),
  row("apply -f changed.json", "pod/untrusted configured"),
  row(
    "get pod untrusted -o jsonpath={.spec.containers[*].image}:{.spec.containers[*].ports[*].containerPort}",
    "docker.io/library/busybox:1.36:80",
  ),
  row(
    "get pod untrusted -o jsonpath={.metadata.labels.color}:{.spec.tolerations[*].key}",
    "red:a node.kubernetes.io/not-ready node.kubernetes.io/unreachable",
  ),
  row("apply -f unknown-field.json", /unknown field "(spec\.)?runtimeClas"/, 1),
  row("create -f pod.json", /pods "untrusted" already exists/, 1),
  row("get pods", /^NAME +READY +STATUS +RESTARTS +AGE\nuntrusted +0\/1 +Pending +0 +\S+\n$/),
  row("get pods -l color=red -o name", "pod/untrusted"),
  row("get pods --sort-by=.metadata.name --no-headers", /^untrusted/),
  row("describe pod untrusted", /^Name: +untrusted\nNamespace: +default[\s\S]*Status: +Pending/),
  row("events --for pod/untrusted", /LAST SEEN|No events found/, 0, 27),
  row("get events", /LAST SEEN|No resources found/),
  row("label pod untrusted tier=front", "pod/untrusted labeled"),
  // 1.27 says "annotate".
  row("annotate pod untrusted note=x", /^pod\/untrusted annotate/),
  row("get pod untrusted --show-labels --no-headers", /color=red,tier=front/),
  row("run quick --image=busybox --restart=Never --labels=a=b -- true", "pod/quick created"),
  row("create configmap c1 --from-literal=color=blue", "configmap/c1 created"),
  row("create secret generic s1 --from-literal=password=secret", "secret/s1 created"),
  row("create namespace team", "namespace/team created"),
  row("create serviceaccount robot -n team", "serviceaccount/robot created"),
  row("edit configmap c1", "configmap/c1 edited"),
  row("get configmap c1 -o jsonpath={.data.color}", "green"),
  row(`patch configmap c1 -p '{"data":{"x":"y"}}'`, "configmap/c1 patched"),
  row("get configmap c1 -o jsonpath={.data}", '{"color":"green","x":"y"}'),
  row("auth can-i create pods", "yes"),
  row("create -f node.json", "node/n1 created"),
  row("describe node n1", /^Name: +n1\n[\s\S]*Allocatable:\n +cpu: +4/),
  row("cordon n1", "node/n1 cordoned"),
  row("uncordon n1", "node/n1 uncordoned"),
  row("taint node n1 a=b:NoSchedule", "node/n1 tainted"),
  row("create -f bound.json", "pod/bound created"),
  // 1.20 looks for the group "policy" and, where there is none, waits for pods it only pretends to delete.
  row("drain n1 --dry-run=server --force", /node\/n1 drained \(server dry run\)/, 0, 27),
  row("get pod bound -o jsonpath={.metadata.deletionTimestamp}", ""),
  row("delete pod bound --force --grace-period=0", /pod "bound" force deleted/),
  row("delete pod untrusted quick --force --grace-period=0", /pod "quick" force deleted/),
  row("wait --for=delete pod/untrusted --timeout=10s", /^$|NotFound.*untrusted/, 0, 27),
  row("get pods", "No resources found in default namespace."),
  row("delete configmap/c1 secret/s1", 'configmap "c1" deleted\nsecret "s1" deleted'),
  row("delete namespace team", 'namespace "team" deleted'),
  row("delete pod nope", 'Error from server (NotFound): pods "nope" not found', 1),
];

const kubectls = findKubectls();
afterAll(() => kubectls[Symbol.dispose]());

for (const version of expected) {
  if (kubectls.all.some((found) => found.version === version)) continue;
  const reason = "not on this machine; name its binary in KATASIM_TEST_KUBECTLS";
  it.skip(`kubectl ${version} (skipped: ${reason})`, () => {});
  console.warn(`skipped: kubectl ${version}: ${reason}`);
}

describe.each(kubectls.all.map(({ version, binary }) => [version, binary] as const))(
  "kubectl %s",
  (version, binary) => {
    const minor = Number(version.split(".")[1]);
    let api: TestApiServer;
    let folder: string;

    beforeAll(async () => {
      api = await startApiServer();
      folder = mkdtempSync("/tmp/kh-versions-");
      const editor = join(folder, "editor");
      writeFileSync(editor, '#!/bin/sh\nexec sed -i "s/color: blue/color: green/" "$1"\n');
      chmodSync(editor, 0o700);
      for (const [name, manifest] of Object.entries(manifests))
        writeFileSync(join(folder, name), JSON.stringify(manifest));
    });
    afterAll(async () => {
      await api?.[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true, force: true });
    });

    it.each(rows.filter(({ since }) => since <= minor).map((r) => [r.command, r] as const))(
      "%s",
      async (_command, { command, prints, exitCode }) => {
        const words = command.match(/'[^']*'|\S+/g) ?? [];
        const outcome = await runProgram(
          binary,
          [`--kubeconfig=${api.kubeconfig}`, ...words.map((word) => word.replace(/^'|'$/g, ""))],
          {
            cwd: folder,
            env: { ...process.env, HOME: folder, KUBE_EDITOR: join(folder, "editor") },
            timeoutMs: 30_000,
          },
        );
        const said = outcome.stdout + outcome.stderr;
        if (typeof prints === "string") expect(said.trimEnd()).toBe(prints);
        else expect(said).toMatch(prints);
        expect(outcome.exitCode, said).toBe(exitCode);
      },
    );
  },
);
