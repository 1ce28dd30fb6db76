import { expect, it } from "vitest";
import { vmmCgroupPath } from "./vmm-cgroup.ts";

it.each([
  ["/kubepods/pod1/abc", "/kubepods/pod1/abc"],
  ["/a..b/c", "/a..b/c"],
  ["system.slice:cri:abc", "/katasim/id"],
  ["relative/abc", "/katasim/id"],
  [undefined, "/katasim/id"],
])("the cgroup for the path %s is %s", (path, expected) => {
  expect(vmmCgroupPath(path, "id")).toBe(expected);
});

it.each(["/../../etc", "/kubepods/..", "../x"])("the cgroup's path %s is refused", (path) => {
  expect(() => vmmCgroupPath(path, "id")).toThrow(`must not hold "..": ${path}`);
});
