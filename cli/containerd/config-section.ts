/**
 * Our handlers as a marked section at the end of containerd's config.toml, so that every other byte
 * stays the user's. Not a file named in `imports`: containerd 1.x lets an imported file's CRI table
 * replace the config's whole one, with its sandbox image and the other runtimes.
 */
import { parse, TomlError } from "smol-toml";
import { z } from "zod";
import { cliError } from "../errors.ts";

export interface ContainerdHandler {
  /** RuntimeClass `handler`. */
  readonly name: string;
  /** Absolute path of the shim: 1.6 does not use `runtime_path` for sandboxes. */
  readonly runtimeType: string;
  /** File with the shim's options as JSON. */
  readonly configPath: string;
}

const begin = "# katasim: begin. `katasim containerd uninstall` removes this section.";
const beginOnLastLine = `${begin} (The line before had no end.)`;
const end = "# katasim: end";
const ownFile =
  "# katasim made this file; `katasim containerd uninstall` removes it.\nversion = 2\n\n";

/** CRI's name by the version of the configuration's format. */
const criPlugins: Readonly<Record<number, string>> = {
  2: "io.containerd.grpc.v1.cri",
  // containerd 2.x
  3: "io.containerd.cri.v1.runtime",
};

const ConfigSchema = z.looseObject({
  version: z.number().optional(),
  disabled_plugins: z.array(z.string()).optional(),
  plugins: z.record(z.string(), z.unknown()).optional(),
});

const CriSchema = z.looseObject({
  containerd: z.looseObject({ runtimes: z.record(z.string(), z.unknown()).optional() }).optional(),
});

const HandlerSchema = z.looseObject({
  runtime_type: z.string(),
  options: z.looseObject({ ConfigPath: z.string() }),
});

/**
 * The config with our section, in place of one that is there; a new one when `text` is undefined.
 * Throws CONTAINERD_CONFIG when containerd could not read it, HANDLER_TAKEN when it has such a runtime.
 */
export function withSection(
  text: string | undefined,
  handlers: readonly ContainerdHandler[],
  file: string,
): string {
  const theirs = (text === undefined ? undefined : withoutSection(text)) ?? ownFile;
  const { plugin, runtimes } = readConfig(theirs, file);
  for (const { name } of handlers) {
    if (!(name in runtimes)) continue;
    throw cliError("HANDLER_TAKEN", `${file} has a runtime "${name}" already`, {
      hint: "take that out, or choose others: katasim containerd install --handler NAME",
    });
  }
  const complete = theirs === "" || theirs.endsWith("\n");
  const result = [
    theirs,
    complete ? "" : "\n",
    `${complete ? begin : beginOnLastLine}\n`,
    ...handlers.map((handler) => runtimeTable(plugin, handler)),
    `${end}\n`,
  ].join("");
  // An inline table of theirs cannot be added to further down.
  parseToml(result, file, "the runtimes cannot be added to it");
  return result;
}

/** The config without our section, byte by byte as it was; undefined when the file is all ours. */
export function withoutSection(text: string): string | undefined {
  const start = text.indexOf(begin);
  const stop = text.indexOf(`${end}\n`, start);
  if (start === -1 || stop === -1) return text;
  const before = text.slice(0, start);
  const after = text.slice(stop + end.length + 1);
  const unfinished = text.startsWith(`${beginOnLastLine}\n`, start);
  const theirs = `${unfinished ? before.slice(0, -1) : before}${after}`;
  return theirs === ownFile ? undefined : theirs;
}

export interface InstalledSection {
  readonly handlers: readonly ContainerdHandler[];
  /** CRI is switched off: `ctr` has the runtime, kubelet does not. */
  readonly criDisabled: boolean;
}

/** What our section says; no handlers when it is not there. Throws as `withSection`. */
export function readSection(text: string, file: string): InstalledSection {
  const theirs = withoutSection(text) ?? ownFile;
  const { runtimes, criDisabled } = readConfig(text, file);
  const others = readConfig(theirs, file).runtimes;
  const handlers = Object.entries(runtimes).flatMap(([name, value]) => {
    const ours = HandlerSchema.safeParse(value);
    if (name in others || !ours.success) return [];
    const { runtime_type: runtimeType, options } = ours.data;
    return [{ name, runtimeType, configPath: options.ConfigPath }];
  });
  return { handlers, criDisabled };
}

function runtimeTable(plugin: string, handler: ContainerdHandler): string {
  const table = `plugins.${JSON.stringify(plugin)}.containerd.runtimes.${JSON.stringify(handler.name)}`;
  return `[${table}]
  runtime_type = ${JSON.stringify(handler.runtimeType)}
  # The host's devices are not the VM's.
  privileged_without_host_devices = true
[${table}.options]
  ConfigPath = ${JSON.stringify(handler.configPath)}
`;
}

interface Config {
  /** Table of the CRI plugin. */
  readonly plugin: string;
  readonly runtimes: Readonly<Record<string, unknown>>;
  readonly criDisabled: boolean;
}

function readConfig(text: string, file: string): Config {
  const config = checked(ConfigSchema, parseToml(text, file, "it is not TOML"), file);
  const plugin = criPlugins[config.version ?? 1];
  if (plugin === undefined) {
    throw cliError("CONTAINERD_CONFIG", `${file} has version ${config.version ?? 1}`, {
      hint: "katasim knows 2 and 3; containerd config migrate prints it in the newest",
    });
  }
  const cri = checked(CriSchema, config.plugins?.[plugin] ?? {}, file);
  const disabled = config.disabled_plugins ?? [];
  return {
    plugin,
    runtimes: cri.containerd?.runtimes ?? {},
    criDisabled: disabled.includes(plugin) || disabled.includes("cri"),
  };
}

function parseToml(text: string, file: string, problem: string): unknown {
  try {
    return parse(text);
  } catch (cause) {
    const line = cause instanceof TomlError ? ` at line ${cause.line}` : "";
    throw cliError("CONTAINERD_CONFIG", `${file}${line}: ${problem}`, {
      cause,
      hint: "containerd config dump shows what containerd makes of it; nothing was changed",
    });
  }
}

function checked<T>(schema: z.ZodType<T>, value: unknown, file: string): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw cliError("CONTAINERD_CONFIG", `${file}: ${issue?.path.join(".")}: ${issue?.message}`, {
    hint: "containerd config dump shows what containerd makes of it; nothing was changed",
  });
}
