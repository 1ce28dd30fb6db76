/** Entry of the `katasim` command: arguments to exit code. */

import { processStreams } from "./output/streams.ts";
import { runCli } from "./program.ts";

// `katasim … | head` closes our output early: that is no error of ours.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0);
  throw error;
});

const exitCode = await runCli(process.argv.slice(2), processStreams(), process.env);
// Pipes are written asynchronously: what was printed must have left before the exit.
await new Promise<void>((resolve) => process.stdout.write("", () => resolve()));
await new Promise<void>((resolve) => process.stderr.write("", () => resolve()));
process.exit(exitCode);
