/** The command tree and its global flags; one file per verb in `commands/` fills in the rest. */
import { Command, CommanderError, Option } from "commander";
import { addContainerd } from "./commands/containerd.ts";
import { addDoctor } from "./commands/doctor.ts";
import { addDown } from "./commands/down.ts";
import { addImage } from "./commands/image.ts";
import { addKubeconfig } from "./commands/kubeconfig.ts";
import { addLogs } from "./commands/logs.ts";
import { addNetwork } from "./commands/network.ts";
import { addRuntime } from "./commands/runtime.ts";
import { addSandbox } from "./commands/sandbox.ts";
import { addSize } from "./commands/size.ts";
import { addStatus } from "./commands/status.ts";
import { addTemplate } from "./commands/template.ts";
import { addUp } from "./commands/up.ts";
import { addVersion } from "./commands/version.ts";
import { type CommandContext, createContext, type GlobalOptions } from "./context.ts";
import { cliError } from "./errors.ts";
import { errorReportJson, formatErrorReport, reportFromError } from "./output/error-report.ts";
import type { Streams } from "./output/streams.ts";
import { katasimVersion } from "./version.ts";

/** A verb's work; answers the exit code, 0 when it answers nothing. */
export type Verb = (context: CommandContext, command: Command) => Promise<number | undefined>;

/** Given to each file of `commands/`: wires a verb to the context and the exit code. */
export type Bind = (command: Command, verb: Verb) => Command;

export async function runCli(
  argv: readonly string[],
  streams: Streams,
  env: NodeJS.ProcessEnv,
): Promise<number> {
  let exitCode = 0;
  let globals: GlobalOptions = {};
  const bind: Bind = (command, verb) =>
    command.action(async () => {
      globals = command.optsWithGlobals();
      exitCode = (await verb(createContext(globals, streams, env), command)) ?? 0;
    });
  const program = createProgram(bind, streams);
  try {
    if (argv.length === 0) program.outputHelp();
    else await program.parseAsync([...argv], { from: "user" });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0;
    const report = reportFromError(
      error instanceof CommanderError ? usageError(error, program, argv) : error,
    );
    const asJson = globals.output === "json" || globals.logFormat === "json";
    const { red } = createContext({ ...globals, output: "table", name: "x" }, streams, env).colors;
    streams.stderr.write(
      asJson
        ? errorReportJson(report)
        : formatErrorReport(report, { stack: (globals.verbose ?? 0) >= 2, red }),
    );
    return report.exitCode;
  }
}

export function createProgram(bind: Bind, streams: Streams): Command {
  const program = new Command("katasim")
    .description(
      "A local AKS Pod Sandboxing node: sandboxed pods really run in their own micro-VM.",
    )
    .version(katasimVersion, "-V, --version", "print the version")
    .helpOption("-h, --help", "show help")
    .option("-n, --name <name>", "instance to act on (env: KATASIM_NAME)")
    .option("--home <dir>", "keep everything under this folder (env: KATASIM_HOME)")
    .option("-v, --verbose", "say more; -vv shows stacks", (_, count: number) => count + 1, 0)
    .option("-q, --quiet", "print answers and errors only")
    .addOption(
      new Option("--color <when>", "colour on stderr")
        .choices(["auto", "always", "never"])
        .default("auto"),
    )
    .addOption(
      new Option("--log-format <format>", "progress and errors on stderr")
        .choices(["text", "json"])
        .default("text"),
    )
    .configureHelp({ showGlobalOptions: true, sortOptions: false })
    .showSuggestionAfterError(true)
    .addHelpText(
      "after",
      `
Examples:
  katasim up -d
  kubectl --context katasim-default run hello --image=busybox --overrides='{"spec":{"runtimeClassName":"kata-mshv-vm-isolation"}}' -- sleep 1h
  katasim sandbox list`,
    );
  addUp(program, bind);
  addDown(program, bind);
  addStatus(program, bind);
  addLogs(program, bind);
  addDoctor(program, bind);
  addKubeconfig(program, bind);
  addSandbox(program, bind);
  addNetwork(program, bind);
  addRuntime(program, bind);
  addContainerd(program, bind);
  addImage(program, bind);
  addTemplate(program, bind);
  addSize(program, bind);
  addVersion(program, bind);
  quieten(program, streams);
  return program;
}

/** `-o` and `--no-headers`, on the verbs that list or show something. */
export function withOutput(command: Command): Command {
  return command
    .option("-o, --output <format>", "table, wide, json, yaml or name")
    .option("--no-headers", "leave out the heads of tables");
}

/** Every command throws instead of exiting, and leaves error texts to our own report. */
function quieten(command: Command, streams: Streams): void {
  command.exitOverride();
  command.configureOutput({
    writeOut: (text) => streams.stdout.write(text),
    writeErr: (text) => streams.stderr.write(text),
    outputError: () => {},
  });
  command.configureHelp({ showGlobalOptions: true });
  for (const child of command.commands) {
    child.helpCommand(false);
    quieten(child, streams);
  }
}

function usageError(error: CommanderError, program: Command, argv: readonly string[]): Error {
  const [first = "", ...more] = error.message.replace(/^error: /, "").split("\n");
  // A group without its verb (`katasim image`) is answered with the group's help by commander itself.
  const group = program.commands.find((command) => argv.includes(command.name()));
  const suggestion = /Did you mean (?:one of )?(.*)\?/.exec(more.join(" "))?.[1];
  const message = error.code === "commander.help" ? `${group?.name() ?? ""} needs a verb` : first;
  return cliError("USAGE", message, {
    hint:
      suggestion === undefined
        ? `katasim ${group === undefined ? "" : `${group.name()} `}--help`
        : `did you mean ${suggestion}?`,
  });
}
