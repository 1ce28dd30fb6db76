import { describe, expect, it } from "vitest";
import { mountPointsFrom } from "./mounts.ts";

describe("mountPointsFrom", () => {
  it("reads the fifth field and undoes the kernel's escapes", () => {
    const table = [
      "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw",
      "40 22 0:35 / /var/lib/a\\040b/c\\134d rw - tmpfs tmpfs rw,size=10240k",
      "",
    ].join("\n");
    expect(mountPointsFrom(table)).toEqual(["/", "/var/lib/a b/c\\d"]);
  });
});
