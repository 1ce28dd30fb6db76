/** `katasim logs`: the log files of the daemon and of sandboxes, as lines on stdout. */

import { readdir } from "node:fs/promises";
import type { Command } from "commander";
import type { CommandContext } from "../context.ts";
import { daemonLogFile } from "../daemon/detach.ts";
import { cliError } from "../errors.ts";
import { printLog } from "../log-follower.ts";
import { readLogLine } from "../output/log-lines.ts";
import type { Bind } from "../program.ts";

const daemonComponents = ["all", "agent", "api"] as const;
const sandboxComponents = ["shim", "console"] as const;
const components: readonly string[] = [...daemonComponents, ...sandboxComponents];

export function addLogs(program: Command, bind: Bind): void {
  const command = program
    .command("logs")
    .description("logs of the node, or of one sandbox's shim or VM console")
    .argument("[sandbox]", "sandbox id (a unique beginning will do) or pod name")
    .option("--component <name>", `one of ${components.join(", ")}`)
    .option("-f, --follow", "keep printing what is added")
    .option("--tail <lines>", "how many of the last lines to print", "200");
  bind(command, async (context) => {
    const options = command.opts<{ component?: string; follow?: boolean; tail: string }>();
    const sandbox: string | undefined = command.args[0];
    const component = options.component ?? (sandbox === undefined ? "all" : "shim");
    if (!components.includes(component)) {
      throw cliError("USAGE", `unknown component "${component}"`, {
        hint: `use one of: ${components.join(", ")}`,
      });
    }
    if (!/^\d+$/.test(options.tail)) {
      throw cliError("USAGE", `--tail: "${options.tail}" is not a number of lines`);
    }
    const file = await logFile(context, component, sandbox);
    await printLog({
      file,
      tail: Number(options.tail),
      follow: options.follow ?? false,
      write: (line) => {
        const text = component === "console" ? line : readLogLine(line, component);
        if (text !== undefined) context.print(`${text}\n`);
      },
    });
    return 0;
  });
}

async function logFile(
  context: CommandContext,
  component: string,
  sandbox: string | undefined,
): Promise<string> {
  if (!sandboxComponents.some((known) => known === component)) {
    if (sandbox === undefined) return daemonLogFile(context.paths);
    throw cliError("USAGE", `component ${component} belongs to the node, not to a sandbox`);
  }
  if (sandbox === undefined) {
    throw cliError("USAGE", `component ${component} needs a sandbox`, {
      hint: `katasim logs --component ${component} POD; katasim sandbox list shows them`,
    });
  }
  const { findSandbox } = await import("../sandboxes.ts");
  const found = await findSandbox(context.paths, sandbox);
  const file = component === "console" ? found.consoleLog : found.shimLog;
  if (file !== undefined) return file;
  const present = await readdir(found.bundle).catch(() => []);
  throw cliError("NOT_FOUND", `sandbox ${found.id.slice(0, 12)} has no ${component} log`, {
    cause: new Error(`its bundle holds: ${present.join(", ") || "nothing"}`),
    hint:
      found.sandboxed === false
        ? "it runs on the node's own kernel and has no console"
        : "wait until it has booted",
  });
}
