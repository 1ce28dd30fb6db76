/**
 * Which user a container runs as: runAsUser over the image's USER, names looked up in the image's
 * own /etc/passwd and /etc/group. Sources: containerd pkg/oci/spec_opts.go WithUser,
 * WithAdditionalGIDs; kubelet pkg/kubelet/kuberuntime/security_context.go verifyRunAsNonRoot.
 */
import type { ImageConfig } from "../images/index.ts";
import type { SecurityContext } from "../runtime-port.ts";
import { runtimeError } from "./errors.ts";
import type { OciUser } from "./oci-types.ts";

export interface UserFiles {
  /** Content of the image's /etc/passwd and /etc/group; empty when it has none. */
  readonly passwd: string;
  readonly group: string;
}

interface PasswdEntry {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

interface GroupEntry {
  readonly name: string;
  readonly gid: number;
  readonly members: readonly string[];
}

export function containerUser(
  security: SecurityContext,
  image: ImageConfig,
  files: UserFiles,
): OciUser {
  const passwd = parsePasswd(files.passwd);
  const groups = parseGroup(files.group);
  const [imageUser = "", imageGroup = ""] = (image.config?.User ?? "").split(":");
  verifyNonRoot(security, imageUser);
  const wanted = security.runAsUser === undefined ? imageUser : String(security.runAsUser);
  const entry = passwd.find((candidate) =>
    isNumber(wanted) ? candidate.uid === Number(wanted) : candidate.name === wanted,
  );
  if (wanted !== "" && !isNumber(wanted) && entry === undefined) {
    throw notInImage("user", wanted, "/etc/passwd", "no users found");
  }
  const uid = wanted === "" ? 0 : (entry?.uid ?? Number(wanted));
  const gid =
    security.runAsGroup ??
    (security.runAsUser === undefined && imageGroup !== ""
      ? groupId(imageGroup, groups)
      : (entry?.gid ?? 0));
  const name = entry?.name ?? passwd.find((candidate) => candidate.uid === uid)?.name;
  const additional = new Set([
    gid,
    ...groups
      .filter(({ members }) => name !== undefined && members.includes(name))
      .map((g) => g.gid),
    ...security.supplementalGroups,
  ]);
  return { uid, gid, additionalGids: [...additional] };
}

function verifyNonRoot(security: SecurityContext, imageUser: string): void {
  if (security.runAsNonRoot !== true) return;
  if (security.runAsUser !== undefined) {
    if (security.runAsUser !== 0) return;
    throw runtimeError("CONTAINER_CONFIG", "container's runAsUser breaks non-root policy");
  }
  if (imageUser !== "" && !isNumber(imageUser)) {
    throw runtimeError(
      "CONTAINER_CONFIG",
      `container has runAsNonRoot and image has non-numeric user (${imageUser}), cannot verify user is non-root`,
      { hint: "Set securityContext.runAsUser to the user's number." },
    );
  }
  if (Number(imageUser) !== 0) return;
  throw runtimeError("CONTAINER_CONFIG", "container has runAsNonRoot and image will run as root", {
    hint: "Set securityContext.runAsUser to a number other than 0.",
  });
}

function groupId(wanted: string, groups: readonly GroupEntry[]): number {
  if (isNumber(wanted)) return Number(wanted);
  const found = groups.find(({ name }) => name === wanted);
  if (found === undefined) throw notInImage("group", wanted, "/etc/group", "no groups found");
  return found.gid;
}

function notInImage(kind: string, name: string, file: string, words: string) {
  return runtimeError(
    "CONTAINER_CREATE_FAILED",
    `failed to generate container spec: ${words}: ${kind} "${name}" is not in the image's ${file}`,
  );
}

function isNumber(text: string): boolean {
  return /^\d+$/.test(text);
}

/** Lines that are no entry are skipped, as moby/sys/user does. */
function parsePasswd(text: string): readonly PasswdEntry[] {
  return text.split("\n").flatMap((line) => {
    const [name, , uid = "", gid = ""] = line.split(":");
    if (!name || !isNumber(uid) || !isNumber(gid)) return [];
    return [{ name, uid: Number(uid), gid: Number(gid) }];
  });
}

function parseGroup(text: string): readonly GroupEntry[] {
  return text.split("\n").flatMap((line) => {
    const [name, , gid = "", members = ""] = line.split(":");
    if (!name || !isNumber(gid)) return [];
    return [{ name, gid: Number(gid), members: members.split(",").filter((member) => member) }];
  });
}
