import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { localhostSeccomp } from "./localhost-seccomp.ts";

const work = mkdtempSync(join(tmpdir(), "katasim-seccomp-"));
const folder = join(work, "seccomp");
mkdirSync(join(folder, "profiles"), { recursive: true });
afterAll(() => rmSync(work, { recursive: true, force: true }));

const load = (file: string) => localhostSeccomp(folder, { type: "Localhost", file });

describe("a Localhost seccomp profile", () => {
  it("is the file below the node's folder, as it is", async () => {
    const profile = { defaultAction: "SCMP_ACT_ALLOW", listenerPath: "/x" };
    writeFileSync(join(folder, "profiles/a.json"), JSON.stringify(profile));
    expect(await load("profiles/a.json")).toEqual(profile);
    expect(await localhostSeccomp(folder, { type: "RuntimeDefault" })).toBeUndefined();
  });

  it("is refused by name when it is missing, broken, or elsewhere", async () => {
    await expect(load("b.json")).rejects.toThrow(/cannot load seccomp profile ".*b.json": ENOENT/);
    writeFileSync(join(folder, "c.json"), '{"defaultAction": 7}');
    await expect(load("c.json")).rejects.toThrow(/defaultAction/);
    writeFileSync(join(work, "secret.json"), '{"defaultAction": "SCMP_ACT_ALLOW"}');
    symlinkSync("../secret.json", join(folder, "d.json"));
    await expect(load("d.json")).rejects.toThrow("leads out of the folder");
  });
});
