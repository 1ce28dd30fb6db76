import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type InstallPlan, inspect, install, uninstall } from "./installation.ts";

let folder: string;
let plan: InstallPlan;
const theirs = "version = 2 # mine\n";

beforeEach(() => {
  folder = mkdtempSync("/tmp/kinstall-");
  plan = {
    configFile: join(folder, "etc/config.toml"),
    binDir: join(folder, "bin"),
    shim: ["/opt/it's/node", "/opt/shim.mjs"],
    handlers: { "kata-vm-isolation": { sizingProfile: "aks-ga" } },
  };
  mkdirSync(join(folder, "etc"));
  writeFileSync(plan.configFile, theirs);
  chmodSync(plan.configFile, 0o640);
});
afterEach(() => rmSync(folder, { recursive: true }));

const everything = () =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));

describe("an installation", () => {
  it("is whole, repeatable, and goes without a trace", () => {
    const done = install(plan);
    expect(done).toMatchObject({
      problems: [],
      handlers: [{ name: "kata-vm-isolation", options: { sizingProfile: "aks-ga" } }],
    });
    const launcher = join(plan.binDir, "containerd-shim-katasim-v2");
    expect(readFileSync(launcher, "utf8")).toContain(
      `exec '/opt/it'\\''s/node' '/opt/shim.mjs' "$@"`,
    );
    expect(statSync(launcher).mode & 0o777).toBe(0o755);
    expect(readFileSync(done.runtimeClassesFile, "utf8")).toContain("handler: kata-vm-isolation");
    expect(install(plan)).toEqual(done);
    expect(readFileSync(join(done.folder, "config.toml.before"), "utf8")).toBe(theirs);
    expect(statSync(plan.configFile).mode & 0o777).toBe(0o640);
    expect(uninstall(plan.configFile)).toBe(true);
    expect(everything()).toEqual([plan.configFile]);
    expect(readFileSync(plan.configFile, "utf8")).toBe(theirs);
    expect(uninstall(plan.configFile)).toBe(false);
  });

  it("forgets handlers that are no longer asked for", () => {
    install(plan);
    const { handlers, folder: files } = install({ ...plan, handlers: { kata: {} } });
    expect(handlers.map(({ name }) => name)).toEqual(["kata"]);
    expect(readdirSync(files)).not.toContain("kata-vm-isolation.json");
  });

  it("makes a configuration where there is none, and takes it away", () => {
    rmSync(plan.configFile);
    install(plan);
    uninstall(plan.configFile);
    expect(everything()).toEqual([]);
  });

  it("lets a link be one", () => {
    const link = join(folder, "link.toml");
    symlinkSync(plan.configFile, link);
    install({ ...plan, configFile: link });
    uninstall(link);
    expect(readFileSync(plan.configFile, "utf8")).toBe(theirs);
    expect(existsSync(link)).toBe(true);
  });

  it("says what was taken away since", () => {
    const { handlers } = install(plan);
    rmSync(handlers[0]?.configPath as string);
    rmSync(join(plan.binDir, "containerd-shim-katasim-v2"));
    expect(inspect(plan.configFile).problems).toEqual([
      expect.stringMatching(/containerd-shim-katasim-v2 is missing$/),
      expect.stringMatching(/kata-vm-isolation\.json is missing or damaged$/),
    ]);
  });

  it("touches no shim of somebody else's", () => {
    mkdirSync(plan.binDir);
    writeFileSync(join(plan.binDir, "containerd-shim-katasim-v2"), "theirs");
    expect(() => install(plan)).toThrow("not of this command's making");
    expect(readFileSync(plan.configFile, "utf8")).toBe(theirs);
  });

  it("leaves nothing when it cannot be finished", () => {
    // A folder in the file's place: root, too, cannot write it.
    mkdirSync(join(folder, "etc/katasim/runtimeclasses.yaml"), { recursive: true });
    const before = everything();
    expect(() => install(plan)).toThrow(expect.objectContaining({ code: "MACHINE_LACKS" }));
    expect(everything()).toEqual(before);
  });
});
