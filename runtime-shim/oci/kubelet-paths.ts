/**
 * Where a kubelet's bind mount comes from. A sub path of a volume reaches the runtime as
 * `<pod>/volume-subpaths/<volume>/<container>/<n>` (kubernetes pkg/volume/util/subpath), a mount that
 * tells nothing of the volume but by the mount table (proc(5), mountinfo).
 */
interface MountLine {
  readonly device: string;
  /** What of the file system is mounted. */
  readonly root: string;
  readonly point: string;
}

const subPathPattern = /^(.*\/pods\/[^/]+)\/volume-subpaths\//;

/** The path below the pod's `volumes` folder; the given path when it is no such mount. */
export function volumeOrigin(path: string, mountinfo: string): string {
  const pod = subPathPattern.exec(path)?.[1];
  if (pod === undefined) return path;
  const lines = parseMountinfo(mountinfo);
  const mount = lines.findLast(({ point }) => point === path);
  if (mount === undefined) return path;
  const volumes = `${pod}/volumes/`;
  // A volume that is a mount of its own (a tmpfs), else a folder of the file system that pods lie on.
  const own = lines.find(
    ({ point, device, root }) =>
      point.startsWith(volumes) && device === mount.device && isBelow(mount.root, root),
  );
  if (own !== undefined)
    return own.point + mount.root.slice(own.root === "/" ? 0 : own.root.length);
  const at = mount.root.indexOf(`${pod.slice(pod.lastIndexOf("/pods/"))}/volumes/`);
  return at === -1 ? path : pod.slice(0, pod.lastIndexOf("/pods/")) + mount.root.slice(at);
}

function isBelow(path: string, folder: string): boolean {
  return folder === "/" || path === folder || path.startsWith(`${folder}/`);
}

function parseMountinfo(text: string): readonly MountLine[] {
  return text
    .split("\n")
    .map((line) => line.split(" "))
    .filter((fields) => fields.length > 5)
    .map(([, , device = "", root = "", point = ""]) => ({
      device,
      root: unescapeOctal(root),
      point: unescapeOctal(point),
    }));
}

function unescapeOctal(path: string): string {
  return path.replace(/\\([0-7]{3})/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
}
