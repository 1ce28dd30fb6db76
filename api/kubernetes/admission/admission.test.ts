import { describe, expect, it } from "vitest";
import type { PodSpec } from "../../../proto/kubernetes/gen/types.ts";
import { createTestCluster, podManifest } from "../context.fixture.ts";
import { createObject } from "../generic/create.ts";
import { deleteObject } from "../generic/delete.ts";
import { updateObject } from "../generic/update.ts";

const preview = "kata-mshv-vm-isolation";

function cluster() {
  const { context, create, ...rest } = createTestCluster();
  const warnings: string[] = [];
  return {
    ...rest,
    context,
    create,
    warnings,
    pod(spec: object = {}): PodSpec {
      const created = createObject(
        context,
        context.registry.stored("pods"),
        "default",
        podManifest("p", spec),
        { dryRun: false, warn: (message) => warnings.push(message) },
      );
      return created.spec as PodSpec;
    },
    runtimeClass(name: string, fields: object) {
      create(
        "runtimeclasses.node.k8s.io",
        { apiVersion: "node.k8s.io/v1", kind: "RuntimeClass", metadata: { name }, ...fields },
        "",
      );
    },
  };
}

describe("RuntimeClass admission", () => {
  it("refuses a missing class", () => {
    expect(() => cluster().pod({ runtimeClassName: "nope" })).toThrow(
      /^pods "p" is forbidden: pod rejected: RuntimeClass "nope" not found$/,
    );
  });

  it("knows the misspelling of Microsoft's page", () => {
    expect(() => cluster().pod({ runtimeClassName: "kata-mhsv-vm-isolation" })).toThrow(
      `RuntimeClass "kata-mhsv-vm-isolation" not found; did you mean "${preview}"?`,
    );
  });

  it("copies the overhead", () => {
    expect(cluster().pod({ runtimeClassName: "kata-vm-isolation" }).overhead).toEqual({
      memory: "600Mi",
    });
    expect(cluster().pod({ runtimeClassName: preview }).overhead).toBeUndefined();
  });

  it("accepts the same overhead in other words and refuses another", () => {
    const runtimeClassName = "kata-vm-isolation";
    expect(cluster().pod({ runtimeClassName, overhead: { memory: "629145600" } }).overhead).toEqual(
      { memory: "600Mi" },
    );
    expect(() => cluster().pod({ runtimeClassName, overhead: { memory: "1Gi" } })).toThrow(
      "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead",
    );
    expect(() => cluster().pod({ overhead: { memory: "1Gi" } })).toThrow(
      "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead",
    );
  });

  it("merges the class's scheduling and refuses a clash", () => {
    const test = cluster();
    test.runtimeClass("gpu", {
      handler: "runc",
      scheduling: {
        nodeSelector: { disk: "ssd" },
        tolerations: [{ key: "gpu", operator: "Exists", effect: "NoSchedule" }],
      },
    });
    const spec = test.pod({ runtimeClassName: "gpu", nodeSelector: { zone: "1" } });
    expect(spec.nodeSelector).toEqual({ zone: "1", disk: "ssd" });
    expect(spec.tolerations?.at(-1)).toEqual({
      key: "gpu",
      operator: "Exists",
      effect: "NoSchedule",
    });
    expect(() => test.pod({ runtimeClassName: "gpu", nodeSelector: { disk: "hdd" } })).toThrow(
      "conflict: runtimeClass.scheduling.nodeSelector[disk] = ssd; pod.spec.nodeSelector[disk] = hdd",
    );
  });
});

describe("default tolerations", () => {
  it("come back to a pod whose list was replaced, so that kubectl apply can add one", () => {
    const test = cluster();
    const definition = test.context.registry.stored("pods");
    const defaults = test.pod().tolerations ?? [];
    expect(defaults.map(({ key }) => key)).toEqual([
      "node.kubernetes.io/not-ready",
      "node.kubernetes.io/unreachable",
    ]);
    const added = { key: "gpu", operator: "Exists", effect: "NoSchedule" };
    const updated = updateObject(
      test.context,
      definition,
      { namespace: "default", name: "p" },
      (current) => ({ ...current, spec: { ...(current.spec as PodSpec), tolerations: [added] } }),
      { dryRun: false, warn: () => {}, road: "main" },
    );
    expect((updated.spec as PodSpec).tolerations).toEqual([added, ...defaults]);
  });
});

describe("limits of sandboxed pods", () => {
  it.each([
    [{ hostNetwork: true }, /hostNetwork cannot be used with the sandboxed RuntimeClass/],
    [{ hostPID: true }, /hostPID cannot/],
    [{ hostIPC: true }, /hostIPC cannot/],
    [{ volumes: [{ name: "v", csi: { driver: "d" } }] }, /volume "v" cannot.*CSI/],
    [
      { volumes: [{ name: "v", persistentVolumeClaim: { claimName: "c" } }] },
      /persistent volume claims are not available/,
    ],
  ])("refuses %j, with the reason", (spec, reason) => {
    expect(() => cluster().pod({ runtimeClassName: preview, ...spec })).toThrow(reason);
  });

  it("lets trusted pods have them", () => {
    expect(cluster().pod({ runtimeClassName: "runc", hostPID: true }).hostPID).toBe(true);
    expect(cluster().pod({ hostPID: true }).hostPID).toBe(true);
  });

  it("judges a user's class by its handler, unless the class says otherwise", () => {
    const test = cluster();
    test.runtimeClass("mine", { handler: "kata-fc" });
    expect(() => test.pod({ runtimeClassName: "mine", hostPID: true })).toThrow(/sandboxed/);
  });

  it("warns about requests, but not about those that defaulting made of limits", () => {
    const resources = { limits: { memory: "1Gi" }, requests: { memory: "1Gi", cpu: "500m" } };
    const test = cluster();
    test.pod({
      runtimeClassName: preview,
      containers: [
        {
          name: "c",
          image: "x",
          imagePullPolicy: "Always",
          terminationMessagePolicy: "File",
          resources,
        },
      ],
    });
    expect(test.warnings).toEqual([
      "sandbox sizing ignores requests: spec.containers[0].resources.requests.cpu=500m; set limits instead",
    ]);
  });
});

describe("other admission", () => {
  it("gives the default service account, and refuses one that is not there", () => {
    expect(cluster().pod()).toMatchObject({ serviceAccountName: "default", priority: 0 });
    expect(() => cluster().pod({ serviceAccountName: "robot" })).toThrow(
      'error looking up service account default/robot: serviceaccount "robot" not found',
    );
  });

  it("resolves priority classes", () => {
    const spec = cluster().pod({ priorityClassName: "system-node-critical" });
    expect(spec.priority).toBe(2_000_001_000);
    expect(() => cluster().pod({ priorityClassName: "vip" })).toThrow(
      "no PriorityClass with name vip was found",
    );
    expect(() => cluster().pod({ priority: 5 })).toThrow(/must not be provided in pod spec/);
  });

  it("refuses objects without a namespace and deletion of the immortal ones", () => {
    const { context, create } = createTestCluster();
    expect(() => create("pods", podManifest("p"), "nowhere")).toThrow(
      'namespaces "nowhere" not found',
    );
    const namespaces = context.registry.stored("namespaces");
    const request = { propagationPolicy: "Background", dryRun: false } as const;
    expect(() =>
      deleteObject(context, namespaces, { namespace: "", name: "default" }, request),
    ).toThrow('namespaces "default" is forbidden: this namespace may not be deleted');
  });
});
