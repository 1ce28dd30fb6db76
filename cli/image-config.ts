/**
 * `config.yaml` in the configuration folder: registry mirrors and image aliases, as containerd's hosts.toml
 * has them. Checked strictly: an unknown key is an error, not silence.
 */
import { join } from "node:path";
import { parse } from "yaml";
import { z } from "zod";
import { messageOf } from "../common/errors.ts";
import type { Paths } from "../common/paths.ts";
import type { ImageAlias, RegistryMirrors } from "../simulator/images/index.ts";
import { cliError } from "./errors.ts";
import { readIfThere } from "./kubeconfig/file.ts";

const ConfigSchema = z.strictObject({
  apiVersion: z.literal("katasim/v1"),
  kind: z.literal("Config"),
  images: z
    .strictObject({
      /** `image` is answered by the content of `servedBy` while its registry is out of reach. */
      aliases: z.array(z.strictObject({ image: z.string(), servedBy: z.string() })).default([]),
      /** Registry host → hosts asked before it. */
      mirrors: z.record(z.string(), z.array(z.string())).default({}),
    })
    .default({ aliases: [], mirrors: {} }),
});

export interface ImageConfig {
  readonly aliases: readonly ImageAlias[];
  readonly mirrors: RegistryMirrors;
}

export async function readImageConfig(paths: Pick<Paths, "config">): Promise<ImageConfig> {
  const file = join(paths.config, "config.yaml");
  const text = await readIfThere(file);
  return text === undefined ? { aliases: [], mirrors: {} } : parseImageConfig(text, file);
}

/** Throws INPUT_INVALID naming the file and the key. */
export function parseImageConfig(text: string, file: string): ImageConfig {
  let value: unknown;
  try {
    value = parse(text);
  } catch (error) {
    throw cliError("INPUT_INVALID", `${file} is not valid YAML`, {
      cause: new Error(messageOf(error).split("\n")[0]),
    });
  }
  const parsed = ConfigSchema.safeParse(value);
  if (parsed.success) return parsed.data.images;
  const issue = parsed.error.issues[0];
  const at = issue?.path.join(".") || "the top level";
  throw cliError("INPUT_INVALID", `${file} is not a katasim configuration`, {
    cause: new Error(`at ${at}: ${issue?.message}`),
    hint: "it starts with apiVersion: katasim/v1, kind: Config; images has aliases and mirrors",
  });
}
