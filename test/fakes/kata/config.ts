/**
 * Kata's configuration as its Go shim loads it, and the size it gives a sandbox: written from
 * kata-containers src/runtime/pkg/katautils/config.go and pkg/oci/utils.go, apart from katasim's own
 * reading of the same source, so that the two can be compared.
 */
import { existsSync, readFileSync, statSync } from "node:fs";
import { fromBinary } from "@bufbuild/protobuf";
import type { Any } from "@bufbuild/protobuf/wkt";
import { parse } from "smol-toml";
import { OptionsSchema } from "../../../proto/containerd/gen/runtime_options_pb.js";
import { shimError } from "../../../runtime-shim/errors.ts";
import type { Spec } from "./oci.ts";

type Table = Record<string, unknown>;

export interface RuntimeConfig {
  readonly path: string;
  readonly vcpus: number;
  readonly memoryMib: number;
  readonly isStatic: boolean;
  readonly workload: { readonly vcpus: number; readonly memoryMib: number } | undefined;
}

export function loadConfiguration(options: Any | undefined): RuntimeConfig {
  const file = configPath(options);
  if (!existsSync(file)) {
    throw notExist(`Cannot find usable config file (file ${file} does not exist)`);
  }
  const { hypervisor = {}, runtime = {} } = parse(readFileSync(file, "utf8")) as Record<
    string,
    Table
  >;
  const [name, table] = Object.entries(hypervisor)[0] ?? ["", {}];
  if (name !== "clh") {
    throw new Error(`${file}: configuration file contains invalid hypervisor section: "${name}"`);
  }
  const values = table as Table;
  for (const key of ["path", "kernel", "image"]) {
    const target = String(values[key]);
    if (!existsSync(target)) throw notExist(`${file}: file ${target} does not exist`);
  }
  if (statSync(String(values.image)).size === 0) {
    throw new Error(`image "${String(values.image)}" is empty`);
  }
  const workloadMib = runtime.static_sandbox_default_workload_mem as number | undefined;
  const isFork = workloadMib !== undefined;
  const memoryMib = Number(values.default_memory ?? 0);
  return {
    path: String(values.path),
    vcpus: Number(values.default_vcpus ?? 0) || (isFork ? 0 : 1),
    memoryMib: memoryMib < 256 && !isFork ? 2048 : memoryMib,
    isStatic: runtime.static_sandbox_resource_mgmt === true,
    workload: isFork
      ? {
          vcpus: Number(runtime.static_sandbox_default_workload_vcpus ?? 0),
          memoryMib: workloadMib,
        }
      : undefined,
  };
}

/** CalculateSandboxSizing and SandboxConfig; the Azure fork's default workload and minimum. */
export function sandboxSize(config: RuntimeConfig, { annotations = {} }: Spec) {
  const number = (key: string) => Number(annotations[`io.kubernetes.cri.sandbox-${key}`] ?? 0);
  const [quota, period] = [number("cpu-quota"), number("cpu-period")];
  let cpus = quota >= 0 && period !== 0 ? quota / period : 0;
  let mib = Math.trunc(number("memory") / 1048576);
  if (!config.isStatic) return { vcpus: Math.ceil(config.vcpus), memoryMib: config.memoryMib };
  if (config.workload !== undefined) {
    if (mib !== 0 && mib < 128) {
      throw new Error(`pod memory limit too low: minimum 128MiB, got ${mib}MiB`);
    }
    cpus ||= config.workload.vcpus;
    mib ||= config.workload.memoryMib;
  }
  return {
    vcpus: Math.max(1, Math.ceil(Math.fround(config.vcpus + cpus))),
    memoryMib: config.memoryMib + mib,
  };
}

/** Options of other runtimes are ignored; a message nobody registered is an error. */
function configPath(options: Any | undefined): string {
  const type = options?.typeUrl ?? "";
  if (options !== undefined && type === "runtimeoptions.v1.Options") {
    const { configPath: path } = fromBinary(OptionsSchema, options.value);
    if (path !== "") return path;
  } else if (type !== "" && type !== "containerd.runc.v1.Options") {
    throw notExist(`type with url ${type}: not found`);
  }
  const ours = ["/etc/kata-containers", "/usr/share/defaults/kata-containers"];
  const shipped = ours.map((folder) => `${folder}/configuration.toml`);
  const fromEnv = process.env.KATA_CONF_FILE;
  if (fromEnv !== undefined && !shipped.includes(fromEnv)) {
    throw new Error(
      `invalid KATA_CONF_FILE "${fromEnv}": only shipped Kata configuration files are accepted`,
    );
  }
  return fromEnv ?? shipped.find((file) => existsSync(file)) ?? shipped[0] ?? "";
}

/** toGRPC calls everything with "not exist" or "not found" in its words NotFound. */
function notExist(words: string): Error {
  return shimError("TASK_NOT_FOUND", words);
}
