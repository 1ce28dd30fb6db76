/** A real terminal for an interactive program: util-linux script(1) owns the pseudo-terminal. */
import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { runProgram } from "./kubectl.ts";
import { waitUntil } from "./wait-until.ts";

export interface Terminal {
  /** Everything shown so far. */
  screen(): string;
  type(text: string): void;
  /** Waits until the text was shown after the last call that waited. */
  shows(pattern: RegExp): Promise<RegExpExecArray>;
  resize(columns: number, rows: number): Promise<void>;
  readonly exitCode: Promise<number>;
  /** Hangs up; nothing happens when the program has ended. */
  close(): void;
}

/** `command` is a shell line; `folder` takes a small file, `file`, with the terminal's name. */
export function openTerminal(command: string, folder: string, file = "tty"): Terminal {
  const nameFile = join(folder, file);
  const line = `stty rows 24 cols 80; tty > ${nameFile}; exec ${command}`;
  const child = spawn("script", ["-qfec", line, "/dev/null"], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  let shown = "";
  let seen = 0;
  child.stdout.on("data", (chunk: Buffer) => {
    shown += chunk.toString("utf8");
  });
  return {
    screen: () => shown,
    type: (text) => child.stdin.write(text),
    shows: (pattern) =>
      waitUntil(
        () => {
          const match = pattern.exec(shown.slice(seen));
          if (match) seen += match.index + match[0].length;
          return match ?? undefined;
        },
        {
          what: `${pattern} on the terminal`,
          timeoutMs: 20_000,
          describe: () => shown.slice(seen),
        },
      ),
    async resize(columns, rows) {
      const name = (await readFile(nameFile, "utf8")).trim();
      const set = await runProgram("stty", ["-F", name, "rows", `${rows}`, "cols", `${columns}`]);
      if (set.exitCode !== 0) throw new Error(set.stderr);
    },
    exitCode: new Promise((resolve) => child.once("close", (code) => resolve(code ?? -1))),
    close: () => child.kill(),
  };
}
