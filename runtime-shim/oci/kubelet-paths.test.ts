import { describe, expect, it } from "vitest";
import { volumeOrigin } from "./kubelet-paths.ts";

const pod = "/var/lib/kubelet/pods/u1";
const table = [
  "30 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw",
  `40 30 0:50 / ${pod}/volumes/kubernetes.io~empty-dir/ram rw - tmpfs tmpfs rw`,
  `41 30 8:1 /var/lib/kubelet/pods/u1/volumes/kubernetes.io~empty-dir/work/a\\040b ${pod}/volume-subpaths/work/main/0 rw - ext4 /dev/sda1 rw`,
  `42 30 0:50 /deep/er ${pod}/volume-subpaths/ram/main/1 rw - tmpfs tmpfs rw`,
].join("\n");

describe("volumeOrigin", () => {
  it("finds the folder of a volume on the pods' own file system", () => {
    expect(volumeOrigin(`${pod}/volume-subpaths/work/main/0`, table)).toBe(
      `${pod}/volumes/kubernetes.io~empty-dir/work/a b`,
    );
  });

  it("finds the folder of a volume that is a mount of its own", () => {
    expect(volumeOrigin(`${pod}/volume-subpaths/ram/main/1`, table)).toBe(
      `${pod}/volumes/kubernetes.io~empty-dir/ram/deep/er`,
    );
  });

  it("leaves every other path alone", () => {
    for (const path of [
      "/srv",
      `${pod}/volumes/kubernetes.io~empty-dir/work`,
      `${pod}/volume-subpaths/x/y/9`,
    ])
      expect(volumeOrigin(path, table)).toBe(path);
  });
});
