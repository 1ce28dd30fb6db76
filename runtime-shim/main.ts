/**
 * containerd-shim-katasim-v2: a containerd shim v2 that runs each pod in a VM of its own. Arguments →
 * verb → exit code. Verbs are loaded when needed: `start` is on the way of every container.
 */
import { fileURLToPath } from "node:url";
import { isSimError, messageOf } from "../common/errors.ts";
import { parseArguments } from "./arguments.ts";

async function main(): Promise<void> {
  const args = parseArguments(process.argv.slice(2), process.cwd());
  switch (args.action) {
    case "start": {
      const { start } = await import("./verbs/start.ts");
      return print(await start(args, fileURLToPath(import.meta.url)));
    }
    case "delete": {
      const { deleteTask } = await import("./verbs/delete.ts");
      return print(await deleteTask(args));
    }
    case "version":
      return print((await import("./verbs/info.ts")).versionText());
    case "info":
      return print((await import("./verbs/info.ts")).runtimeInfo());
    case "spare":
      return (await import("./verbs/spare.ts")).spare();
    case "run":
      return (await import("./verbs/run.ts")).run(args);
  }
}

/** Waits until the reader has it: process.exit would cut it off. */
function print(text: string | Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(text, (error) => (error ? reject(error) : resolve()));
  });
}

main().then(
  () => process.exit(0),
  (error: unknown) => {
    const hint = isSimError(error) && error.hint !== undefined ? ` (${error.hint})` : "";
    process.stderr.write(`${messageOf(error)}${hint}\n`, () => process.exit(1));
  },
);
