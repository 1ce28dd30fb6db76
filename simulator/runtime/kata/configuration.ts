/**
 * Kata's own configuration: which file its shim would take, and what in it decides how big a sandbox
 * is and on what it runs. Sources: kata-containers src/runtime/pkg/katautils/config.go (Go),
 * src/libs/kata-types/src/config (runtime-rs); the Azure fork's two static_sandbox_default_workload keys.
 */
import { existsSync, readdirSync, readFileSync, realpathSync } from "node:fs";
import { dirname, join } from "node:path";
import { parse } from "smol-toml";
import { z } from "zod";
import { messageOf } from "../../../common/errors.ts";
import { runtimeError } from "../errors.ts";
import type { KataBuild } from "./find-shim.ts";

export interface KataConfiguration {
  /** Resolved, as Kata resolves it. */
  readonly file: string;
  /** Name of the hypervisor's table: "clh", "qemu", "dragonball" … */
  readonly hypervisor: string;
  readonly values: HypervisorValues;
  /** Static: the VM has its size from the start. Else it boots small and grows by hotplug. */
  readonly staticResources: boolean;
  readonly sandboxCgroupOnly: boolean;
  /** Only in the Azure fork: what stands for a sum of limits that is not there. */
  readonly defaultWorkload?: { readonly vcpus: number; readonly memoryMib: number };
}

const Hypervisor = z.looseObject({
  path: z.string().optional(),
  kernel: z.string().optional(),
  image: z.string().optional(),
  initrd: z.string().optional(),
  shared_fs: z.string().optional(),
  virtio_fs_daemon: z.string().optional(),
  default_vcpus: z.number().default(0),
  default_memory: z.number().default(0),
  /** runtime-rs: what is added to limits, in place of default_*. */
  overhead_vcpus: z.number().default(0),
  overhead_memory: z.number().default(0),
});

export type HypervisorValues = z.infer<typeof Hypervisor>;

const File = z.looseObject({
  hypervisor: z.record(z.string(), Hypervisor).default({}),
  runtime: z
    .looseObject({
      hypervisor_name: z.string().optional(),
      static_sandbox_resource_mgmt: z.boolean().default(false),
      sandbox_cgroup_only: z.boolean().default(false),
      static_sandbox_default_workload_mem: z.number().optional(),
      static_sandbox_default_workload_vcpus: z.number().optional(),
    })
    .default({ static_sandbox_resource_mgmt: false, sandbox_cgroup_only: false }),
});

/** What names a configuration before the places where Kata looks by itself. */
export interface GivenConfiguration {
  /** A setting of this node. */
  readonly file?: string;
  readonly env: NodeJS.ProcessEnv;
}

/** In the order in which they count; the first that exists is taken. */
export function configurationFiles(build: KataBuild, given: GivenConfiguration): readonly string[] {
  const named = given.file ?? given.env.KATA_CONF_FILE;
  // What is named counts alone: Kata does not look further either.
  if (named !== undefined && named !== "") return [named];
  const inside = build === "rust" ? "runtime-rs/configuration.toml" : "configuration.toml";
  return [
    `/etc/kata-containers/${inside}`,
    `/usr/share/defaults/kata-containers/${inside}`,
    `/opt/kata/share/defaults/kata-containers/${inside}`,
  ];
}

/** Rejects with KATA_CONFIGURATION naming the file and the key. */
export function readKataConfiguration(
  build: KataBuild,
  given: GivenConfiguration,
): KataConfiguration {
  const files = configurationFiles(build, given);
  const found = files.find((file) => existsSync(file));
  if (found === undefined) {
    throw runtimeError("KATA_CONFIGURATION", `there is no ${files.join(" or ")}`, {
      hint: "install Kata Containers, or name its configuration with --kata-config FILE",
    });
  }
  const file = realpathSync(found);
  const parsed = File.safeParse(readWithDropIns(file));
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw invalid(file, `${issue?.path.join(".")}: ${issue?.message}`);
  }
  const { hypervisor: tables, runtime } = parsed.data;
  const names = Object.keys(tables);
  const hypervisor = runtime.hypervisor_name ?? names[0];
  const values = hypervisor === undefined ? undefined : tables[hypervisor];
  if (hypervisor === undefined || values === undefined) {
    throw invalid(file, `it has no table [hypervisor.${hypervisor ?? "NAME"}]`);
  }
  if (runtime.hypervisor_name === undefined && names.length > 1) {
    throw invalid(file, `it has several hypervisors (${names.join(", ")}), and Kata takes any`);
  }
  const workloadMib = runtime.static_sandbox_default_workload_mem;
  return {
    ...{ file, hypervisor, values },
    staticResources: runtime.static_sandbox_resource_mgmt,
    sandboxCgroupOnly: runtime.sandbox_cgroup_only,
    ...(workloadMib === undefined
      ? {}
      : {
          defaultWorkload: {
            vcpus: runtime.static_sandbox_default_workload_vcpus ?? 0,
            memoryMib: workloadMib,
          },
        }),
  };
}

/** Files in `config.d` beside it are laid over it, key by key, in the order of their names. */
function readWithDropIns(file: string): unknown {
  const folder = join(dirname(file), "config.d");
  const dropIns = existsSync(folder) ? readdirSync(folder).sort() : [];
  return dropIns.map((name) => readToml(join(folder, name))).reduce(laidOver, readToml(file));
}

function readToml(file: string): unknown {
  try {
    return parse(readFileSync(file, "utf8"));
  } catch (error) {
    throw invalid(file, messageOf(error).split("\n")[0] ?? "");
  }
}

function laidOver(below: unknown, above: unknown): unknown {
  if (!isTable(below) || !isTable(above)) return above;
  const merged: Record<string, unknown> = { ...below };
  for (const [key, value] of Object.entries(above)) merged[key] = laidOver(below[key], value);
  return merged;
}

function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function invalid(file: string, why: string) {
  return runtimeError("KATA_CONFIGURATION", `${file} cannot be used: ${why}`, {
    hint: "mend it, or name another with --kata-config FILE",
  });
}
