/**
 * Where the commands talk: stdout carries the answer, stderr the talk. Passed as an argument so that
 * commands are tested without a process.
 */
import type { Writable } from "node:stream";

export interface Streams {
  readonly stdout: Writable;
  readonly stderr: Writable;
  readonly stdin: NodeJS.ReadableStream;
  /** True when a person is likely to look at stderr. */
  readonly stderrIsTerminal: boolean;
  readonly stdoutIsTerminal: boolean;
}

export function processStreams(): Streams {
  return {
    stdout: process.stdout,
    stderr: process.stderr,
    stdin: process.stdin,
    stderrIsTerminal: process.stderr.isTTY === true,
    stdoutIsTerminal: process.stdout.isTTY === true,
  };
}

export type ColorChoice = "auto" | "always" | "never";

/** NO_COLOR and FORCE_COLOR as no-color.org and force-color.org ask; a flag beats both. */
export function wantsColor(
  choice: ColorChoice,
  isTerminal: boolean,
  env: NodeJS.ProcessEnv,
): boolean {
  if (choice !== "auto") return choice === "always";
  if (env.NO_COLOR) return false;
  if (env.FORCE_COLOR && env.FORCE_COLOR !== "0") return true;
  return isTerminal && env.TERM !== "dumb" && !env.CI;
}

/** Box and check marks need a UTF-8 locale; ASCII elsewhere. */
export function wantsUnicode(env: NodeJS.ProcessEnv): boolean {
  return /utf-?8/i.test(env.LC_ALL || env.LC_CTYPE || env.LANG || "");
}
