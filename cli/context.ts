/** What every command is given: where things are, where to talk, and how. Made once from the global flags. */
import { createColors } from "picocolors";
import { type Paths, resolvePaths } from "../common/paths.ts";
import { cliError } from "./errors.ts";
import { cliList, formatObject, type OutputFormat, outputFormats } from "./output/objects.ts";
import { createProgress, type Progress, type ProgressStyle } from "./output/progress.ts";
import { type ColorChoice, type Streams, wantsColor, wantsUnicode } from "./output/streams.ts";
import { type Column, formatTable } from "./output/table.ts";

export interface GlobalOptions {
  readonly name?: string;
  readonly home?: string;
  readonly verbose?: number;
  readonly quiet?: boolean;
  readonly color?: ColorChoice;
  readonly logFormat?: "text" | "json";
  readonly output?: string;
  /** False with `--no-headers`. */
  readonly headers?: boolean;
}

export interface CommandContext {
  readonly paths: Paths;
  readonly env: NodeJS.ProcessEnv;
  /** The command as this user types it, with the flags that lead to this instance. */
  readonly self: string;
  readonly streams: Streams;
  readonly progress: Progress;
  /** 0, or how often -v was given. */
  readonly verbosity: number;
  readonly quiet: boolean;
  readonly output: OutputFormat;
  readonly headers: boolean;
  /** Colours for stderr. */
  readonly colors: ReturnType<typeof createColors>;
  /** Writes to stdout. */
  print(text: string): void;
  /** Writes talk to stderr, unless --quiet. */
  say(text: string): void;
  printList<Row extends object>(list: ListOutput<Row>): void;
  printObject(value: object, table: () => string): void;
}

export interface ListOutput<Row> {
  /** "Sandbox" → SandboxList. */
  readonly kind: string;
  readonly columns: readonly Column<Row>[];
  readonly rows: readonly Row[];
  /** What `-o name` prints for a row. */
  readonly name: (row: Row) => string;
  /** Said on stderr when there are no rows. */
  readonly empty: string;
}

export function createContext(
  options: GlobalOptions,
  streams: Streams,
  env: NodeJS.ProcessEnv,
): CommandContext {
  const output = readOutputFormat(options.output);
  const quiet = options.quiet ?? false;
  const style: ProgressStyle = quiet
    ? "silent"
    : output === "json" || options.logFormat === "json"
      ? "json"
      : streams.stderrIsTerminal && !env.CI && env.TERM !== "dumb"
        ? "spinner"
        : "lines";
  const headers = options.headers ?? true;
  const print = (text: string) => void streams.stdout.write(text);
  const say = (text: string) => {
    if (!quiet) streams.stderr.write(`${text}\n`);
  };
  return {
    paths: resolvePaths({
      name: readInstanceName(options.name ?? env.KATASIM_NAME),
      home: options.home,
      env,
    }),
    env,
    self: selfOf(options, env),
    streams,
    progress: createProgress({ style, stream: streams.stderr, unicode: wantsUnicode(env) }),
    verbosity: options.verbose ?? 0,
    quiet,
    output,
    headers,
    colors: createColors(wantsColor(options.color ?? "auto", streams.stderrIsTerminal, env)),
    print,
    say,
    printList({ kind, columns, rows, name, empty }) {
      if (output === "json" || output === "yaml") {
        print(formatObject(cliList(kind, rows), output));
      } else if (output === "name") {
        print(rows.map((row) => `${name(row)}\n`).join(""));
      } else if (rows.length === 0) {
        say(empty);
      } else {
        print(formatTable(columns, rows, { wide: output === "wide", headers }));
      }
    },
    printObject(value, table) {
      print(output === "json" || output === "yaml" ? formatObject(value, output) : table());
    },
  };
}

/** In a clone the command is not on PATH: npm tells when it was npx that ran it. */
function selfOf({ home, name }: GlobalOptions, env: NodeJS.ProcessEnv): string {
  return [
    env.npm_command === "exec" ? "npx katasim" : "katasim",
    ...(home === undefined ? [] : ["--home", home]),
    ...(name === undefined ? [] : ["--name", name]),
  ].join(" ");
}

function readOutputFormat(text: string | undefined): OutputFormat {
  if (text === undefined) return "table";
  const format = outputFormats.find((known) => known === text);
  if (format !== undefined) return format;
  throw cliError("USAGE", `unknown output format "${text}"`, {
    hint: `use one of: -o ${outputFormats.join(", -o ")}`,
  });
}

/** Part of host names, paths and network namespaces: kept short for the kernel's limits on those. */
const instanceNamePattern = /^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$/;

function readInstanceName(name: string | undefined): string {
  if (name === undefined || name === "") return "default";
  if (instanceNamePattern.test(name)) return name;
  throw cliError("USAGE", `"${name}" cannot be the name of an instance`, {
    hint: "use at most 32 lower-case letters, digits and dashes, such as --name test-1",
  });
}
