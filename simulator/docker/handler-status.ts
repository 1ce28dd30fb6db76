/** Whether Docker Engine can serve trusted pods on this machine, and in one sentence why or why not. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { isSimError, messageOf } from "../../common/errors.ts";
import type { Paths } from "../../common/paths.ts";
import { defaultHandler } from "../runtime/handler-table.ts";
import type { HandlerStatus } from "../runtime-port.ts";
import { engineOf } from "./engine-choice.ts";
import { engineName } from "./find-engine.ts";

export async function dockerHandlerStatus(
  paths: Pick<Paths, "state" | "guest">,
  env: NodeJS.ProcessEnv,
): Promise<HandlerStatus> {
  const base = { name: defaultHandler, engine: "Docker Engine", sandboxed: false };
  try {
    const found = await engineOf(paths, env);
    const engine = engineName(found);
    if (!existsSync(join(paths.guest, "pause", "pause"))) {
      const reason = "The pause program is missing: run scripts/setup.";
      return { ...base, engine, usable: false, reason };
    }
    return { ...base, engine, usable: true, reason: "Containers share this machine's kernel." };
  } catch (error) {
    const hint = isSimError(error) && error.hint !== undefined ? ` ${error.hint}` : "";
    return { ...base, usable: false, reason: `${messageOf(error)}.${hint}` };
  }
}
