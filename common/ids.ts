import { randomBytes, randomUUID } from "node:crypto";

/** A Kubernetes UID. */
export function newUid(): string {
  return randomUUID();
}

// Kubernetes' own alphabet (apimachinery util/rand): no vowels, so no words appear by chance.
const suffixAlphabet = "bcdfghjklmnpqrstvwxz2456789";

/** The five random characters that generateName appends. */
export function nameSuffix(length = 5): string {
  return Array.from(
    randomBytes(length),
    (byte) => suffixAlphabet[byte % suffixAlphabet.length],
  ).join("");
}

/** A containerd-style id: 64 hexadecimal characters. */
export function newContainerId(): string {
  return randomBytes(32).toString("hex");
}
