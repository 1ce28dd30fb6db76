import { describe, expect, it } from "vitest";
import { pickSandbox, type SandboxView } from "./sandboxes.ts";

function sandbox(id: string, namespace: string, pod: string, podUid = `${namespace}-${pod}`) {
  return { id, namespace, pod, podUid } as SandboxView;
}

describe("pickSandbox", () => {
  const all = [
    sandbox("aa11", "default", "web"),
    sandbox("aa22", "other", "web"),
    sandbox("bb33", "default", "db"),
    sandbox("cc44", "default", "db"),
  ];

  it("takes a unique beginning of an id, a pod, or namespace/pod", () => {
    expect(pickSandbox(all, "bb").id).toBe("bb33");
    expect(pickSandbox(all, "other/web").id).toBe("aa22");
  });

  it("takes the newest sandbox of a pod that has several", () => {
    expect(pickSandbox(all, "db").id).toBe("cc44");
  });

  it.each(["web", "aa"])("refuses the ambiguous %s and names the candidates", (wanted) => {
    expect(() => pickSandbox(all, wanted)).toThrow(/aa11 \(default\/web\) or aa22 \(other\/web\)/);
  });

  it.each(["zz", ""])("does not find %j", (wanted) => {
    expect(() => pickSandbox(all, wanted)).toThrow(expect.objectContaining({ code: "NOT_FOUND" }));
  });
});
