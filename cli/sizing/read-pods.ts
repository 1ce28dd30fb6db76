/** Pods of a manifest: Pod itself, and the template of whatever makes pods (Deployment, Job, CronJob …). */
import { readFile } from "node:fs/promises";
import { text } from "node:stream/consumers";
import { parseAllDocuments } from "yaml";
import { z } from "zod";
import { isQuantity, quantityErrorText } from "../../common/quantity.ts";
import type { PodSpec } from "../../proto/kubernetes/gen/types.ts";
import { cliError } from "../errors.ts";

export interface PodInput {
  /** "pod/web" or "deployment/web" */
  readonly name: string;
  readonly spec: PodSpec;
}

const Quantities = z.record(
  z.string(),
  z.union([z.string(), z.number()]).refine(isQuantity, quantityErrorText).transform(String),
);
const Resources = z.looseObject({ limits: Quantities.optional(), requests: Quantities.optional() });
const Container = z.looseObject({ name: z.string(), resources: Resources.optional() });
const Spec = z.looseObject({
  containers: z.array(Container).min(1),
  initContainers: z.array(Container).optional(),
  runtimeClassName: z.string().optional(),
  overhead: Quantities.optional(),
  resources: Resources.optional(),
});
const Named = z.looseObject({ name: z.string().optional(), generateName: z.string().optional() });
const Manifest = z.looseObject({
  kind: z.string(),
  metadata: Named.optional(),
  spec: z.unknown().optional(),
  items: z.array(z.unknown()).optional(),
});

/** Throws INPUT_INVALID naming the file, the object and the field; `-` reads `stdin`. */
export async function readPods(
  file: string,
  stdin: NodeJS.ReadableStream,
): Promise<readonly PodInput[]> {
  const source = file === "-" ? "standard input" : file;
  let content: string;
  try {
    content = file === "-" ? await text(stdin) : await readFile(file, "utf8");
  } catch (error) {
    throw cliError("INPUT_INVALID", `cannot read ${source}`, { cause: error });
  }
  const pods = parsePods(content, source);
  if (pods.length > 0) return pods;
  throw cliError("INPUT_INVALID", `${source} describes no pod`, {
    hint: "give a manifest of kind Pod, Deployment, Job or another that makes pods",
  });
}

export function parsePods(content: string, source: string): readonly PodInput[] {
  const documents = parseAllDocuments(content);
  if (!Array.isArray(documents)) return [];
  return documents.flatMap((document) => {
    const broken = document.errors[0];
    if (broken !== undefined) {
      throw cliError("INPUT_INVALID", `${source} is not valid YAML`, {
        cause: new Error(broken.message.split("\n")[0]),
      });
    }
    const value: unknown = document.toJS();
    return value === null ? [] : podsOf(value, source);
  });
}

function podsOf(value: unknown, source: string): readonly PodInput[] {
  const manifest = check(Manifest, value, source, "an object of Kubernetes");
  if (manifest.items !== undefined) return manifest.items.flatMap((item) => podsOf(item, source));
  const kind = manifest.kind.toLowerCase();
  const name = `${kind}/${manifest.metadata?.name ?? manifest.metadata?.generateName ?? "unnamed"}`;
  const spec = kind === "pod" ? manifest.spec : templateOf(manifest.spec);
  if (spec === undefined) return [];
  // Checked here as far as sizing reads it; the API server checks the rest.
  return [{ name, spec: check(Spec, spec, source, name) as unknown as PodSpec }];
}

/** spec.template.spec, or a CronJob's spec.jobTemplate.spec.template.spec. */
function templateOf(spec: unknown): unknown {
  const at = (value: unknown, key: string): unknown =>
    typeof value === "object" && value !== null
      ? (value as Record<string, unknown>)[key]
      : undefined;
  return at(at(spec, "template") ?? at(at(at(spec, "jobTemplate"), "spec"), "template"), "spec");
}

function check<T>(schema: z.ZodType<T>, value: unknown, source: string, what: string): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw cliError("INPUT_INVALID", `${source}: ${what} cannot be read`, {
    cause: new Error(`${issue?.path.join(".") || "it"}: ${issue?.message}`),
  });
}
