import { describe, expect, it } from "vitest";
import { guestOwner } from "./guest-owner.ts";

const volume = "/state/pods/u/volumes/kubernetes.io~configmap/settings";
const user = { uid: 1000, gid: 1000 };

describe("the owner of a copied file", () => {
  it("is the host's for root", () => {
    expect(guestOwner({ uid: 0, gid: 0 }, 5)(volume, user)).toEqual(user);
  });

  it("is root for what another user made", () => {
    expect(guestOwner(user, undefined)(`${volume}/key`, user)).toEqual({ uid: 0, gid: 0 });
    expect(guestOwner(user, 5)("/state/pods/u/etc-hosts", user)).toEqual({ uid: 0, gid: 0 });
  });

  it("is the pod's fsGroup in volumes", () => {
    for (const path of [volume, `${volume}/..data/key`]) {
      expect(guestOwner(user, 5)(path, user)).toEqual({ uid: 0, gid: 5 });
    }
  });

  it("is left alone where it is somebody else's", () => {
    const other = { uid: 0, gid: 44 };
    expect(guestOwner(user, 5)(volume, other)).toEqual(other);
  });
});
