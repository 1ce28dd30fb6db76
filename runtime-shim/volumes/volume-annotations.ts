/**
 * Annotations of a sandbox that tell its shim of volumes before there are any: the memory that shared
 * folders need is made with the VM, and no runtime is told an emptyDir's sizeLimit.
 */

/** "true" or "false": whether containers will bind folders of the host. */
export const sharedFoldersAnnotation = "katasim.dev/shared-folders";
/** JSON: bytes by the name of the emptyDir volume. */
export const emptyDirSizesAnnotation = "katasim.dev/empty-dir-sizes";

export function wantsSharedFolders(
  annotations: Readonly<Record<string, string>>,
  otherwise: boolean,
): boolean {
  const said = annotations[sharedFoldersAnnotation];
  return said === "true" || (said !== "false" && otherwise);
}

/** What is no positive number is left out: a volume then has the size it has without a limit. */
export function emptyDirSizes(
  annotations: Readonly<Record<string, string>>,
): ReadonlyMap<string, number> {
  const sizes = new Map<string, number>();
  try {
    const parsed: unknown = JSON.parse(annotations[emptyDirSizesAnnotation] ?? "{}");
    for (const [name, bytes] of Object.entries(parsed ?? {})) {
      if (typeof bytes === "number" && bytes > 0) sizes.set(name, Math.floor(bytes));
    }
  } catch {
    // Not ours, or not JSON: no limits.
  }
  return sizes;
}
