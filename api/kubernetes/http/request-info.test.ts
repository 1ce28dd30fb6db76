import { describe, expect, it } from "vitest";
import { parseResourcePath } from "./request-info.ts";

describe("parseResourcePath", () => {
  it.each([
    ["/api/v1/pods", "", "v1", "pods", "", "", "", ""],
    ["/api/v1/namespaces", "", "v1", "namespaces", "", "", "", ""],
    ["/api/v1/namespaces/a", "", "v1", "namespaces", "", "a", "", ""],
    ["/api/v1/namespaces/a/finalize", "", "v1", "namespaces", "", "a", "finalize", ""],
    ["/api/v1/namespaces/a/pods", "", "v1", "pods", "a", "", "", ""],
    ["/api/v1/namespaces/a/pods/p/log", "", "v1", "pods", "a", "p", "log", ""],
    ["/api/v1/nodes/n/proxy/stats/summary", "", "v1", "nodes", "", "n", "proxy", "stats/summary"],
    [
      "/apis/node.k8s.io/v1/runtimeclasses/kata",
      "node.k8s.io",
      "v1",
      "runtimeclasses",
      "",
      "kata",
      "",
      "",
    ],
  ])("reads %s", (path, group, version, plural, namespace, name, subresource, rest) => {
    expect(parseResourcePath(path)).toEqual({
      group,
      version,
      plural,
      namespace,
      name,
      subresource,
      rest,
    });
  });

  it.each(["/api", "/api/v1", "/apis", "/apis/apps", "/apis/apps/v1", "/healthz", "/api/v1/%ZZ"])(
    "finds no resource in %s",
    (path) => {
      expect(parseResourcePath(path)).toBeUndefined();
    },
  );
});
