import { describe, expect, it } from "vitest";
import type { PodSpec } from "../../proto/kubernetes/gen/types.ts";
import type { PodObject } from "../objects.ts";
import { goDuration } from "./event-texts.ts";
import { meminfoFrom } from "./host-memory.ts";
import { parseResolvConf, podDns } from "./pod-dns.ts";
import { hostsFile, podHostname } from "./pod-files.ts";
import { statusPatch } from "./status-report.ts";
import { lastMessages } from "./termination-message.ts";

function pod(spec: Partial<PodSpec> = {}, name = "p"): PodObject {
  return { metadata: { name, namespace: "ns", uid: "u" }, spec: { containers: [], ...spec } };
}

describe("hostsFile", () => {
  it("is the kubelet's, to the tab", () => {
    expect(
      hostsFile(pod({ hostAliases: [{ ip: "1.2.3.4", hostnames: ["a", "b"] }] }), "10.244.0.5"),
    ).toBe(
      "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n10.244.0.5\tp\n\n# Entries added by HostAliases.\n1.2.3.4\ta\tb\n",
    );
  });

  it("has the full name of a pod with a subdomain", () => {
    expect(hostsFile(pod({ hostname: "web-0", subdomain: "web" }), "10.244.0.5")).toContain(
      "10.244.0.5\tweb-0.web.ns.svc.cluster.local\tweb-0\n",
    );
  });
});

describe("podHostname", () => {
  it("is cut to 63 characters without a dash at the end", () => {
    expect(podHostname(pod({}, `${"a".repeat(62)}-${"b".repeat(10)}`))).toBe("a".repeat(62));
  });
});

describe("podDns", () => {
  const host = async () => "nameserver 10.0.0.2\nsearch corp.example\noptions ndots:2 edns0\n";

  it("takes the node's lines", async () => {
    expect(await podDns({ containers: [] }, host)).toEqual({
      servers: ["10.0.0.2"],
      searches: ["corp.example"],
      options: ["ndots:2", "edns0"],
    });
  });

  it("adds dnsConfig and lets its options win", async () => {
    const dnsConfig = { nameservers: ["1.1.1.1"], options: [{ name: "ndots", value: "5" }] };
    expect(await podDns({ containers: [], dnsConfig }, host)).toMatchObject({
      servers: ["10.0.0.2", "1.1.1.1"],
      options: ["ndots:5", "edns0"],
    });
  });

  it("takes nothing of the node's with policy None", async () => {
    const dnsConfig = { nameservers: ["1.1.1.1"] };
    expect(await podDns({ containers: [], dnsPolicy: "None", dnsConfig }, host)).toEqual({
      servers: ["1.1.1.1"],
      searches: [],
      options: [],
    });
  });

  it("lets the last search line hold", () => {
    expect(parseResolvConf("search a\n# x\nsearch b c\n").searches).toEqual(["b", "c"]);
  });
});

describe("goDuration", () => {
  it.each([
    [0, "0s"],
    [843, "843ms"],
    [1200, "1.2s"],
    [10_000, "10s"],
    [62_500, "1m2.5s"],
    [300_000, "5m0s"],
    [3_600_000, "1h0m0s"],
  ])("writes %d ms as %s", (ms, text) => {
    expect(goDuration(ms)).toBe(text);
  });
});

describe("lastMessages", () => {
  it("strips CRI prefixes and joins partial lines", () => {
    const line = (tag: string, text: string) =>
      `2026-01-01T00:00:00.000000000Z stdout ${tag} ${text}`;
    expect(lastMessages([line("F", "one"), line("P", "tw"), line("F", "o"), ""])).toBe(
      "one\ntwo\n",
    );
  });

  it("keeps the last 2 KiB", () => {
    const lines = Array.from(
      { length: 100 },
      (_, at) => `t stdout F ${String(at).padStart(60, "x")}`,
    );
    expect(Buffer.byteLength(lastMessages(lines))).toBe(2048);
    expect(lastMessages(lines).endsWith("x99\n")).toBe(true);
  });
});

describe("meminfoFrom", () => {
  it("reads what is available and what there is, in MiB", () => {
    expect(
      meminfoFrom("MemTotal:       16384000 kB\nMemFree: 1 kB\nMemAvailable:   2048000 kB\n"),
    ).toEqual({
      availableMib: 2000,
      totalMib: 16000,
    });
  });
});

describe("statusPatch", () => {
  it("takes away what is gone", () => {
    const patch = statusPatch(
      { phase: "Running" },
      { phase: "Failed", reason: "x", podIP: "1.1.1.1" },
    );
    expect(patch).toMatchObject({ phase: "Running", reason: null, podIP: null });
  });

  it("drops an old condition's reason, and says the order", () => {
    const patch = statusPatch(
      { conditions: [{ type: "Ready", status: "True" }] },
      { conditions: [{ type: "Ready", status: "False", reason: "ContainersNotReady" }] },
    );
    expect(patch.conditions).toEqual([{ type: "Ready", status: "True", reason: null }]);
    expect(patch["$setElementOrder/conditions"]).toEqual([{ type: "Ready" }]);
  });

  it("deletes the address the pod had before", () => {
    const patch = statusPatch({ podIPs: [{ ip: "2.2.2.2" }] }, { podIPs: [{ ip: "1.1.1.1" }] });
    expect(patch.podIPs).toEqual([{ ip: "2.2.2.2" }, { $patch: "delete", ip: "1.1.1.1" }]);
  });
});
