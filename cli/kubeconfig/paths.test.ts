import { describe, expect, it } from "vitest";
import { kubeconfigFiles, kubeconfigToWrite } from "./paths.ts";

describe("kubeconfigToWrite", () => {
  const none = () => false;

  it("takes --kubeconfig before everything else", () => {
    const target = { flag: "/f", env: { KUBECONFIG: "/a", HOME: "/u" } };
    expect(kubeconfigToWrite(target, none)).toBe("/f");
  });

  it("takes the first of KUBECONFIG that exists", () => {
    const target = { env: { KUBECONFIG: "/a:/b:/c", HOME: "/u" } };
    expect(kubeconfigToWrite(target, (path) => path !== "/a")).toBe("/b");
  });

  it("takes the last of KUBECONFIG when none exists", () => {
    expect(kubeconfigToWrite({ env: { KUBECONFIG: "/a:/b" } }, none)).toBe("/b");
  });

  it("falls back to ~/.kube/config", () => {
    expect(kubeconfigToWrite({ env: { HOME: "/u", KUBECONFIG: "" } }, none)).toBe(
      "/u/.kube/config",
    );
  });
});

describe("kubeconfigFiles", () => {
  it("drops empty and repeated entries", () => {
    expect(kubeconfigFiles({ env: { KUBECONFIG: ":/a::/b:/a:" } })).toEqual(["/a", "/b"]);
  });
});
