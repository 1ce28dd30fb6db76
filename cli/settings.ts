/**
 * Settings of an instance: flag > environment > what the last `up` was given > default. They are kept in
 * the state folder, so that `down` and a plain `up` bring the same node back.
 */
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { z } from "zod";
import type { Paths } from "../common/paths.ts";
import { egressChoices } from "../runtime-shim/hypervisors/hypervisor.ts";
import { requirements } from "../runtime-shim/hypervisors/ladder.ts";
import { cliError } from "./errors.ts";

const port = z.coerce.number().int().min(0).max(65_535);

/** The name an AKS node of the first pool has. */
export const defaultNodeName = "aks-nodepool1-12345678-vmss000000";

export const hypervisorChoices = ["auto", "cloud-hypervisor", "qemu"] as const;
export const accelChoices = ["auto", "mshv", "kvm", "tcg"] as const;
export const trustedRuntimeChoices = ["auto", "shim", "docker"] as const;
export const networkChoices = ["cni", "user"] as const;
/** What our shim is asked for with each. */
export const guestNetworks = { cni: "netns", user: "user" } as const;

/** Whose shim serves the handler `kata`. */
export const kataChoices = ["katasim", "auto", "genuine"] as const;

export const onOff = ["on", "off"] as const;

export const NodeSettingsSchema = z.object({
  /** Address of the API server and the kubelet endpoints. */
  listen: z.ipv4().or(z.ipv6()).default("127.0.0.1"),
  /** 0 = any free one. */
  apiPort: port.default(6443),
  kubeletPort: port.default(0),
  nodeName: z
    .string()
    .regex(/^[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?$/, "must be a lower-case DNS name")
    .default(defaultNodeName),
  /** Key of the VM-size table: what the node reports as its capacity. */
  vmSize: z.string().default("Standard_D4s_v3"),
  hypervisor: z.enum(hypervisorChoices).default("auto"),
  accel: z.enum(accelChoices).default("auto"),
  /** What the rung of the hypervisor ladder must be. */
  require: z.enum(requirements).default("any"),
  /** What runs trusted pods: containerd's runc shim, Docker Engine, or the first that works. */
  trustedRuntime: z.enum(trustedRuntimeChoices).default("auto"),
  /** What makes the pods' network. */
  network: z.enum(networkChoices).default(() => (process.getuid?.() === 0 ? "cni" : "user")),
  /** Of katasim's own CNI configuration. */
  podCidr: z.literal("auto").or(z.cidrv4()).default("auto"),
  /** A configuration list of the user's, or katasim's own. */
  cniConf: z
    .string()
    .transform((file) => (file === "own" ? file : resolve(file)))
    .default("own"),
  /** Folders of CNI plugins, separated by colons: containerd's default, and Debian's. */
  cniBinDir: z.string().min(1).default("/opt/cni/bin:/usr/lib/cni"),
  kata: z.enum(kataChoices).default("katasim"),
  /** Genuine Kata's configuration; "" = where Kata looks itself. */
  kataConfig: z
    .string()
    .transform((file) => (file === "" ? "" : resolve(file)))
    .default(""),
  /** How many sandboxes start at a time, of VMs and of others each. */
  parallelStarts: z.literal("auto").or(z.coerce.number().int().min(1).max(1024)).default("auto"),
  /** Whether VMs are cloned from templates; off, every VM boots. */
  templates: z.enum(onOff).default("on"),
  /** How many VMs wait for pods. */
  warmPool: z.literal("auto").or(z.coerce.number().int().min(0).max(64)).default("auto"),
  /** MiB of this machine that no VM is started into. */
  memoryReserve: z.literal("auto").or(z.coerce.number().int().min(0)).default("auto"),
  /** Where guests get to on a user-mode network. */
  egress: z.enum(egressChoices).default("none"),
});

export type NodeSettings = z.infer<typeof NodeSettingsSchema>;
export type GivenSettings = { readonly [Key in keyof NodeSettings]?: unknown };

const flagNames: Readonly<Record<keyof NodeSettings, string>> = {
  listen: "--listen",
  apiPort: "--api-port",
  kubeletPort: "--kubelet-port",
  nodeName: "--node-name",
  vmSize: "--vm-size",
  hypervisor: "--hypervisor",
  accel: "--accel",
  require: "--require",
  trustedRuntime: "--trusted-runtime",
  network: "--network",
  podCidr: "--pod-cidr",
  cniConf: "--cni-conf",
  cniBinDir: "--cni-bin-dir",
  kata: "--kata",
  kataConfig: "--kata-config",
  parallelStarts: "--parallel-starts",
  templates: "--templates",
  warmPool: "--warm-pool",
  memoryReserve: "--memory-reserve",
  egress: "--egress",
};

/** Lays flags over environment over the remembered settings. Throws USAGE naming the flag. */
export function resolveSettings(
  flags: GivenSettings,
  env: NodeJS.ProcessEnv,
  remembered: GivenSettings,
): NodeSettings {
  const merged: Record<string, unknown> = {};
  for (const key of Object.keys(flagNames) as (keyof NodeSettings)[]) {
    merged[key] = flags[key] ?? (env[environmentName(key)] || undefined) ?? remembered[key];
  }
  const parsed = NodeSettingsSchema.safeParse(merged);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const key = issue?.path[0] as keyof NodeSettings;
  throw cliError("USAGE", `${flagNames[key]} cannot be "${String(merged[key])}"`, {
    cause: new Error(issue?.message ?? "invalid"),
    hint: "katasim up --help",
  });
}

/** apiPort → KATASIM_API_PORT */
export function environmentName(key: string): string {
  return `KATASIM_${key.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;
}

export async function readRememberedSettings(paths: Paths): Promise<GivenSettings> {
  try {
    const parsed: unknown = JSON.parse(await readFile(settingsFile(paths), "utf8"));
    // A field that no longer fits is forgotten: defaults are better than a start that fails for ever.
    const known = NodeSettingsSchema.partial().safeParse(parsed);
    return known.success ? (parsed as GivenSettings) : {};
  } catch {
    return {};
  }
}

export async function rememberSettings(paths: Paths, settings: NodeSettings): Promise<void> {
  const file = settingsFile(paths);
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  await writeFile(`${file}.tmp`, `${JSON.stringify(settings, null, 2)}\n`, { mode: 0o600 });
  await rename(`${file}.tmp`, file);
}

function settingsFile(paths: Paths): string {
  return join(paths.state, "settings.json");
}
