import { describe, expect, it } from "vitest";
import type { SecurityContext } from "../runtime-port.ts";
import { containerUser } from "./container-user.ts";

const files = {
  passwd:
    "root:x:0:0:root:/root:/bin/sh\n# no entry\napp:x:1234:5678::/home/app:/bin/sh\nbad:x:y:z\n",
  group: "root:x:0:\napp:x:5678:\nextra:x:4321:app,other\n",
};
const security = (change: Partial<SecurityContext> = {}): SecurityContext => ({
  supplementalGroups: [],
  readOnlyRootFilesystem: false,
  privileged: false,
  allowPrivilegeEscalation: true,
  capabilitiesAdd: [],
  capabilitiesDrop: [],
  ...change,
});
const image = (User: string | null) => ({ config: { User } });
const user = (name: string | null, change: Partial<SecurityContext> = {}) =>
  containerUser(security(change), image(name), files);

describe("containerUser", () => {
  it.each([
    [null, 0, 0],
    ["", 0, 0],
    ["app", 1234, 5678],
    ["1234", 1234, 5678],
    ["app:extra", 1234, 4321],
    ["app:99", 1234, 99],
    ["777", 777, 0],
  ])("reads the image's user %j as %d:%d", (name, uid, gid) => {
    expect(user(name)).toMatchObject({ uid, gid });
  });

  it("lets the security context override the image, and adds its groups", () => {
    expect(user("app:extra", { runAsUser: 42, supplementalGroups: [7, 8] })).toEqual({
      uid: 42,
      gid: 0,
      additionalGids: [0, 7, 8],
    });
    expect(user("app", { runAsUser: 1234, runAsGroup: 9 })).toMatchObject({ uid: 1234, gid: 9 });
  });

  it("adds the groups that list the user as a member", () => {
    expect(user("app").additionalGids).toEqual([5678, 4321]);
  });

  it("refuses names that the image does not know", () => {
    expect(() => user("ghost")).toThrow(/no users found: user "ghost"/);
    expect(() => user("app:ghosts")).toThrow(/no groups found: group "ghosts"/);
  });

  it("refuses root where runAsNonRoot forbids it, in kubelet's words", () => {
    const strict = { runAsNonRoot: true };
    expect(() => user(null, strict)).toThrow(
      "container has runAsNonRoot and image will run as root",
    );
    expect(() => user("0", strict)).toThrow(
      "container has runAsNonRoot and image will run as root",
    );
    expect(() => user("app", strict)).toThrow("image has non-numeric user (app)");
    expect(() => user("1", { ...strict, runAsUser: 0 })).toThrow(
      "runAsUser breaks non-root policy",
    );
    expect(user("1234", strict).uid).toBe(1234);
    expect(user(null, { ...strict, runAsUser: 5 }).uid).toBe(5);
  });
});
