/** Client certificate → user. Source: apiserver pkg/authentication/request/x509: CN is the name, O the groups. */
import { TLSSocket } from "node:tls";
import { apiError } from "./errors.ts";
import type { User } from "./kubernetes/context.ts";

/** Groups whose members may do everything; nobody else may do anything here. */
const trustedGroups = ["system:masters", "system:nodes"];

/** Paths kube-apiserver too shows to everybody (system:public-info-viewer). */
const publicPaths = new Set(["/healthz", "/livez", "/readyz", "/version"]);

const anonymous: User = { name: "system:anonymous", groups: ["system:unauthenticated"] };

/** Throws UNAUTHORIZED without a certificate of our CA, FORBIDDEN for a stranger's. */
export function authenticate(socket: unknown, path: string): User {
  const user = userOf(socket);
  if (publicPaths.has(path.replace(/(?<=.)\/$/, ""))) return user ?? anonymous;
  if (user === undefined) throw apiError("UNAUTHORIZED", "Unauthorized");
  if (!user.groups.some((group) => trustedGroups.includes(group))) {
    throw apiError("FORBIDDEN", `forbidden: User "${user.name}" cannot access path "${path}"`, {
      details: {},
    });
  }
  return user;
}

function userOf(socket: unknown): User | undefined {
  if (!(socket instanceof TLSSocket) || !socket.authorized) return undefined;
  const { subject } = socket.getPeerCertificate();
  // Node gives repeated attributes as a list, whatever its types say.
  const organizations: unknown = subject?.O;
  const name: unknown = subject?.CN;
  if (typeof name !== "string" || name === "") return undefined;
  const groups = Array.isArray(organizations) ? organizations : [organizations];
  return {
    name,
    groups: [
      ...groups.filter((group): group is string => typeof group === "string"),
      "system:authenticated",
    ],
  };
}
