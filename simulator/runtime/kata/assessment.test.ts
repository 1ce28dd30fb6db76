/** Kata's shim, configuration and files: found in Kata's own order, and missed by name. */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { builtinHandlers } from "../handler-table.ts";
import { type AssessKataOptions, assessKata } from "./assessment.ts";
import { nodeHandlers } from "./choice.ts";
import { configurationFiles, readKataConfiguration } from "./configuration.ts";
import { parseKataVersion } from "./find-shim.ts";

const goVersion =
  'Kata Containers containerd shim (Golang): id: "io.containerd.kata.v2", version: 3.27.0, commit: abc';
const rustVersion =
  "Kata Containers containerd shim (Rust): id: io.containerd.kata.v2, version: 4.1.0, commit: abc";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "kata-"));
  vi.stubEnv("PATH", `${folder}:/usr/bin:/bin`);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const put = (name: string, text: string) => {
  const file = join(folder, name);
  writeFileSync(file, text);
  return file;
};
const putShim = (says: string) =>
  chmodSync(put("containerd-shim-kata-v2", `#!/bin/sh\necho '${says}'\n`), 0o755);
const putConfiguration = (more = "") =>
  put(
    "configuration.toml",
    `[hypervisor.clh]\npath = "${put("clh", "x")}"\nkernel = "${put("kernel", "x")}"\nimage = "${put("image", "x")}"\n${more}\n[runtime]\nstatic_sandbox_resource_mgmt = true\n`,
  );
const anything = { hypervisor: "auto", accel: "auto", require: "any" } as const;
const assess = (change: Partial<AssessKataOptions> = {}) =>
  assessKata({
    configFile: join(folder, "configuration.toml"),
    wanted: anything,
    prove: async () => ({ usable: true, explanation: "proved" }),
    ...change,
  });
const whats = async (change?: Partial<AssessKataOptions>) =>
  (await assess(change)).problems.map(({ what }) => what);

describe("parseKataVersion", () => {
  it("tells both builds apart", () => {
    expect(parseKataVersion("/k", goVersion)).toEqual({
      path: "/k",
      build: "go",
      version: "3.27.0",
    });
    expect(parseKataVersion("/k", rustVersion)).toMatchObject({ build: "rust", version: "4.1.0" });
    expect(parseKataVersion("/k", "containerd-shim-runc-v2:\n  Version: 1.6")).toBeUndefined();
  });
});

describe("configurationFiles", () => {
  it("takes a setting, then KATA_CONF_FILE, then the places of the build", () => {
    const env = { KATA_CONF_FILE: "/env.toml" };
    expect(configurationFiles("go", { file: "/mine.toml", env })).toEqual(["/mine.toml"]);
    expect(configurationFiles("go", { env })).toEqual(["/env.toml"]);
    expect(configurationFiles("go", { env: {} })).toEqual([
      "/etc/kata-containers/configuration.toml",
      "/usr/share/defaults/kata-containers/configuration.toml",
      "/opt/kata/share/defaults/kata-containers/configuration.toml",
    ]);
    expect(configurationFiles("rust", { env: {} })[0]).toBe(
      "/etc/kata-containers/runtime-rs/configuration.toml",
    );
  });
});

describe("readKataConfiguration", () => {
  const read = (text: string) =>
    readKataConfiguration("go", { file: put("configuration.toml", text), env: {} });

  it("lays config.d over the file, key by key, in the order of names", () => {
    mkdirSync(join(folder, "config.d"));
    put("config.d/20-more.toml", "[hypervisor.qemu]\ndefault_memory = 768\n");
    put("config.d/10-less.toml", "[hypervisor.qemu]\ndefault_memory = 512\ndefault_vcpus = 2\n");
    const { hypervisor, values, sandboxCgroupOnly } = read(
      "[hypervisor.qemu]\npath = '/q'\ndefault_memory = 2048\n[runtime]\nsandbox_cgroup_only = true\n",
    );
    expect({ hypervisor, sandboxCgroupOnly }).toEqual({
      hypervisor: "qemu",
      sandboxCgroupOnly: true,
    });
    expect(values).toMatchObject({ path: "/q", default_memory: 768, default_vcpus: 2 });
  });

  it.each([
    ["broken TOML", "[hypervisor", /configuration\.toml cannot be used/],
    ["no hypervisor", "[runtime]\n", /no table \[hypervisor\.NAME\]/],
    [
      "a wrong type",
      '[hypervisor.clh]\ndefault_memory = "2 GB"\n',
      /hypervisor\.clh\.default_memory/,
    ],
    [
      "two hypervisors",
      "[hypervisor.clh]\n[hypervisor.qemu]\n",
      /several hypervisors \(clh, qemu\)/,
    ],
    [
      "the wrong name",
      '[hypervisor.clh]\n[runtime]\nhypervisor_name = "qemu"\n',
      /hypervisor\.qemu/,
    ],
  ])("refuses %s", (_, text, words) => {
    expect(() => read(text)).toThrow(
      expect.objectContaining({
        code: "KATA_CONFIGURATION",
        message: expect.stringMatching(words),
      }),
    );
  });
});

describe("assessKata", () => {
  it("misses nothing where all is there", async () => {
    putShim(goVersion);
    putConfiguration();
    expect(await assess()).toMatchObject({
      ...{ hypervisor: "cloud-hypervisor", problems: [] },
      shim: { version: "3.27.0", build: "go" },
      configuration: { hypervisor: "clh", staticResources: true },
    });
  });

  it("names the shim and the configuration that are missing", async () => {
    const missing = await whats();
    expect(missing[0]).toMatch(/^containerd-shim-kata-v2 is neither on PATH/);
    expect(missing[1]).toBe(`there is no ${join(folder, "configuration.toml")}`);
  });

  it("names each file that is missing with the key that names it", async () => {
    putShim(goVersion);
    putConfiguration('virtio_fs_daemon = "/no/virtiofsd"\nshared_fs = "virtio-fs"');
    rmSync(join(folder, "kernel"));
    const missing = await whats();
    expect(missing).toEqual([
      expect.stringMatching(/kernel does not exist, .* hypervisor\.clh\.kernel$/),
      expect.stringMatching(/^\/no\/virtiofsd does not exist/),
    ]);
  });

  it("does not take a program that is not Kata's for its shim", async () => {
    putShim("hello");
    putConfiguration();
    expect(await whats()).toEqual([
      expect.stringMatching(/does not say that it is Kata's shim: .*hello/),
    ]);
  });

  it("wants the accelerator proved", async () => {
    putShim(goVersion);
    putConfiguration();
    const prove = async () => ({
      ...{ usable: false, explanation: "/dev/kvm does not exist", remedy: "turn it on" },
    });
    expect((await assess({ prove })).problems).toEqual([
      {
        what: expect.stringMatching(/^Kata needs (kvm|mshv), and \/dev\/kvm does not exist$/),
        remedy: "turn it on",
      },
    ]);
  });

  it.each([
    [{ require: "tcg" }, /^tcg is required, and Kata runs on cloud-hypervisor\//],
    [{ hypervisor: "qemu" }, /^qemu is forced, and Kata's configuration gives cloud-hypervisor\//],
    [{ accel: "tcg" }, /^tcg is forced, and Kata runs on cloud-hypervisor\//],
  ] as const)("keeps to what is forced or demanded: %j", async (wanted, words) => {
    putShim(goVersion);
    putConfiguration();
    const { hypervisor, accel, require } = { ...anything, ...wanted };
    expect(await whats({ wanted: { hypervisor, accel, require } })).toEqual([
      expect.stringMatching(words),
    ]);
    const fitting = { ...anything, require: "hardware" } as const;
    expect(await whats({ wanted: fitting })).toEqual([]);
  });
});

describe("nodeHandlers", () => {
  const kataOf = async (kata: "katasim" | "auto" | "genuine") => {
    const configFile = join(folder, "configuration.toml");
    const prove = async () => ({ usable: true, explanation: "proved" });
    const handlers = await nodeHandlers({ kata, configFile, prove, wanted: anything });
    expect(handlers.map(({ name }) => name)).toEqual(builtinHandlers.map(({ name }) => name));
    return handlers.find(({ name }) => name === "kata");
  };

  it("keeps katasim's shim unless it is told else, and says what the other would need", async () => {
    const without = await kataOf("katasim");
    expect(without?.options.kind).toBe("katasim");
    expect(without?.alternative).toMatch(/^Genuine Kata cannot serve it: .*neither on PATH/);
    putShim(goVersion);
    putConfiguration();
    expect(await kataOf("katasim")).toMatchObject({
      options: { kind: "katasim" },
      alternative: "Genuine Kata 3.27.0 could serve it: up --kata genuine (now: katasim).",
    });
  });

  it("takes genuine Kata by itself with auto, and only where it can run", async () => {
    expect((await kataOf("auto"))?.options.kind).toBe("katasim");
    putShim(goVersion);
    putConfiguration();
    expect((await kataOf("auto"))?.options.kind).toBe("kata");
  });

  it("never falls back with genuine", async () => {
    expect(await kataOf("genuine")).toMatchObject({
      runtimeType: "io.containerd.kata.v2",
      options: { kind: "kata", configFile: join(folder, "configuration.toml") },
    });
  });
});
