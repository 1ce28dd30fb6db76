/** `katasim size`: the sandbox a pod would get, line by line; the same arithmetic the shim does. */
import type { Command } from "commander";
import { isSimError, SimError } from "../../common/errors.ts";
import type { CommandContext } from "../context.ts";
import { cliObject } from "../output/objects.ts";
import { type Bind, withOutput } from "../program.ts";
import { readRememberedSettings, resolveSettings } from "../settings.ts";
import type { PodSize } from "../sizing/explain-size.ts";

export function addSize(program: Command, bind: Bind): void {
  const command = withOutput(program.command("size"))
    .description("the sandbox a pod would get, and why")
    .argument("<file>", "a manifest with pods or things that make pods; - reads standard input")
    .option("--runtime-class <name>", "size as if the pod had this RuntimeClass");
  bind(command, async (context) => {
    const [file = "-"] = command.args;
    const { runtimeClass } = command.opts<{ runtimeClass?: string }>();
    const { readPods } = await import("../sizing/read-pods.ts");
    const { explainSize } = await import("../sizing/explain-size.ts");
    const { sizersOf } = await import("../sizing/sizers.ts");
    const settings = resolveSettings({}, context.env, await readRememberedSettings(context.paths));
    const sizers = await sizersOf(context.paths, settings);
    const pods = await readPods(file, context.streams.stdin);
    const sizes = pods.map((pod) => naming(pod.name, () => explainSize(pod, runtimeClass, sizers)));
    print(context, sizes);
    return 0;
  });
}

/** A manifest may hold many pods: the refusal says whose it is. */
function naming(pod: string, explain: () => PodSize): PodSize {
  try {
    return explain();
  } catch (error) {
    if (!isSimError(error)) throw error;
    throw new SimError(error.code, error.definition, `${pod}: ${error.message}`, {
      cause: error.cause,
      ...(error.hint === undefined ? {} : { hint: error.hint }),
    });
  }
}

function print(context: CommandContext, sizes: readonly PodSize[]): void {
  const [only] = sizes;
  const value =
    sizes.length === 1 && only !== undefined
      ? cliObject("PodSize", only)
      : cliObject("PodSizeList", { items: sizes });
  context.printObject(value, () => sizes.map(formatSize).join("\n"));
}

function formatSize(size: PodSize): string {
  const title = `${size.pod} (RuntimeClass ${size.runtimeClass ?? "none"})`;
  if (!size.sandboxed) return `${title}\n${size.lines.map((line) => `  ${line}\n`).join("")}`;
  const containers = size.containers.map(
    ({ name, kind, cpu, memory }) =>
      `  ${kind} ${name}: limits cpu ${cpu ?? "none"}, memory ${memory ?? "none"}\n`,
  );
  const lines = size.lines.map((line) => `  ${line}\n`);
  const warnings = size.warnings.map((line) => `  warning: ${line}\n`);
  const result = `  sandbox: ${size.vcpus} vCPU, ${size.memoryMib} MiB\n`;
  return [`${title}\n`, ...containers, ...lines, ...warnings, result].join("");
}
