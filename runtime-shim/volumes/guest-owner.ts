/**
 * Who owns a copied file in the guest. Root's shim keeps the host's owners; another user's can have made
 * its files only as its own, and stands for root.
 */

/** Of a sandbox's spec: the group of its pod's volumes (securityContext.fsGroup). */
export const fsGroupAnnotation = "katasim.dev/fs-group";

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

export type GuestOwner = (hostPath: string, owner: Owner) => Owner;

/** The kubelet's folders of what it makes itself: these belong to fsGroup, a hostPath does not. */
const volumePattern = /\/volumes\/kubernetes\.io~[^/]+\//;

/** For what this process copies into the sandbox of these annotations. */
export function sandboxOwner(annotations: Readonly<Record<string, string>>): GuestOwner {
  const self = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
  const group = annotations[fsGroupAnnotation];
  return guestOwner(
    self,
    group !== undefined && /^\d{1,10}$/.test(group) ? Number(group) : undefined,
  );
}

export function guestOwner(self: Owner, fsGroup: number | undefined): GuestOwner {
  if (self.uid === 0) return (_, owner) => owner;
  return (hostPath, { uid, gid }) => ({
    uid: uid === self.uid ? 0 : uid,
    gid: gid !== self.gid ? gid : volumePattern.test(`${hostPath}/`) ? (fsGroup ?? 0) : 0,
  });
}
