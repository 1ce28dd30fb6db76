import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import {
  type ClusterEntry,
  findInKubeconfig,
  kubeconfigText,
  mergeKubeconfig,
  removeFromKubeconfig,
} from "./merge.ts";

const entry: ClusterEntry = {
  name: "katasim-default",
  server: "https://127.0.0.1:6443",
  certificateAuthorityData: "Y2E=",
  clientCertificateData: "Y2VydA==",
  clientKeyData: "a2V5",
};

const foreign = `# my clusters, hand written
apiVersion: v1
kind: Config
clusters:
  # the big one
  - name: prod
    cluster: {server: https://prod:443, insecure-skip-tls-verify: true}
users:
  - name: me
    user:
      exec: # sign-in helper
        command: aws
contexts:
  - name: prod
    context: {cluster: prod, user: me, namespace: web}
current-context: prod
extensions:
  - name: keep-me
`;

describe("mergeKubeconfig", () => {
  it("makes a whole kubeconfig from nothing", () => {
    const config = parse(kubeconfigText(entry));
    expect(config).toMatchObject({
      apiVersion: "v1",
      kind: "Config",
      "current-context": "katasim-default",
    });
    expect(config.contexts).toEqual([
      { name: "katasim-default", context: { cluster: "katasim-default", user: "katasim-default" } },
    ]);
    expect(findInKubeconfig(kubeconfigText(entry), entry.name)).toEqual(entry);
  });

  it("keeps comments, order and unknown fields of the user's own entries", () => {
    const merged = mergeKubeconfig(foreign, entry, { switchContext: true });
    for (const comment of ["# my clusters, hand written", "# the big one", "# sign-in helper"]) {
      expect(merged).toContain(comment);
    }
    const config = parse(merged);
    expect(config.clusters.map((cluster: { name: string }) => cluster.name)).toEqual([
      "prod",
      "katasim-default",
    ]);
    expect(config.extensions).toEqual([{ name: "keep-me" }]);
    expect(config["current-context"]).toBe("katasim-default");
  });

  it("leaves current-context alone when asked", () => {
    const merged = mergeKubeconfig(foreign, entry, { switchContext: false });
    expect(parse(merged)["current-context"]).toBe("prod");
  });

  it("replaces its own entries in place", () => {
    const once = mergeKubeconfig(foreign, entry, { switchContext: true });
    const other = { ...entry, name: "katasim-b", server: "https://127.0.0.1:7" };
    const both = mergeKubeconfig(once, other, { switchContext: true });
    const moved = { ...entry, server: "https://127.0.0.1:1" };
    const config = parse(mergeKubeconfig(both, moved, { switchContext: true }));
    const servers = config.clusters.map(
      (item: { cluster: { server: string } }) => item.cluster.server,
    );
    expect(servers).toEqual(["https://prod:443", "https://127.0.0.1:1", "https://127.0.0.1:7"]);
  });

  it("changes nothing the second time", () => {
    const once = mergeKubeconfig(foreign, entry, { switchContext: true });
    expect(mergeKubeconfig(once, entry, { switchContext: true })).toBe(once);
  });

  it("fills in lists that kubectl wrote as null", () => {
    const empty = "apiVersion: v1\nclusters: null\ncontexts: null\nkind: Config\nusers: null\n";
    expect(
      findInKubeconfig(mergeKubeconfig(empty, entry, { switchContext: true }), entry.name),
    ).toEqual(entry);
  });

  it.each([
    ["broken YAML", "a: [1,", /not valid YAML/],
    ["a list", "- 1\n", /not a YAML mapping/],
    ["clusters of another shape", "clusters: 3\n", /clusters of the kubeconfig is not a list/],
  ])("refuses %s instead of overwriting it", (_, text, message) => {
    expect(() => mergeKubeconfig(text, entry, { switchContext: true })).toThrow(message);
  });
});

describe("removeFromKubeconfig", () => {
  it("brings back what was there before the merge, but for current-context", () => {
    const merged = mergeKubeconfig(foreign, entry, { switchContext: true });
    const removed = removeFromKubeconfig(merged, entry.name) ?? "";
    expect(parse(removed)).toEqual({ ...parse(foreign), "current-context": "" });
    expect(removed).toContain("# the big one");
  });

  it("keeps current-context when it is the user's", () => {
    const merged = mergeKubeconfig(foreign, entry, { switchContext: false });
    expect(parse(removeFromKubeconfig(merged, entry.name) ?? "")).toEqual(parse(foreign));
  });

  it("answers undefined when nothing is ours", () => {
    expect(removeFromKubeconfig(foreign, "katasim-default")).toBeUndefined();
  });

  it("undoes any merge among any other clusters", () => {
    const name = fc.stringMatching(/^[a-z][a-z0-9-]{0,12}$/);
    fc.assert(
      fc.property(fc.uniqueArray(name, { maxLength: 6 }), (names) => {
        const others = names.map((other) => `katasim-${other}`).filter((o) => o !== entry.name);
        let text = "";
        for (const other of others) {
          text = mergeKubeconfig(text, { ...entry, name: other }, { switchContext: true });
        }
        const merged = mergeKubeconfig(text, entry, { switchContext: false });
        const back = removeFromKubeconfig(merged, entry.name) ?? "";
        for (const other of others) expect(findInKubeconfig(back, other)?.name).toBe(other);
        expect(findInKubeconfig(back, entry.name)).toBeUndefined();
      }),
    );
  });
});
