/**
 * Which engine an instance's pods are in. Written down with the first of them, so that a later node,
 * `katasim down` and `katasim runtime list` look in the same one although DOCKER_HOST has changed.
 */
import { existsSync, readFileSync } from "node:fs";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Paths } from "../../common/paths.ts";
import { dockerError } from "./errors.ts";
import { engineSockets, type FoundEngine, findEngine } from "./find-engine.ts";
import { instanceLabel, instanceLabels } from "./labels.ts";
import { networkName } from "./sandbox-lifecycle.ts";

function choiceFile({ state }: Pick<Paths, "state">): string {
  return join(state, "docker-engine");
}

/** Socket of the engine that holds this instance's pods; undefined when none does. */
export function chosenSocket(paths: Pick<Paths, "state">): string | undefined {
  const file = choiceFile(paths);
  return existsSync(file) ? readFileSync(file, "utf8").trim() || undefined : undefined;
}

export async function rememberEngine(paths: Pick<Paths, "state">, found: FoundEngine) {
  await mkdir(paths.state, { recursive: true, mode: 0o700 });
  await writeFile(choiceFile(paths), `${found.engine.address.replace(/^unix:\/\//, "")}\n`, {
    mode: 0o600,
  });
}

/** The instance's own engine, else the machine's. Rejects with the reason when there is none. */
export async function engineOf(
  paths: Pick<Paths, "state">,
  env: NodeJS.ProcessEnv,
): Promise<FoundEngine> {
  const chosen = chosenSocket(paths);
  return findEngine(chosen === undefined ? engineSockets(env) : [chosen]);
}

/**
 * Removes everything of the instance from its engine, by label: containers that no process knows of
 * any more, and the network. Does nothing when it never used one. Rejects when the engine is away.
 */
export async function sweepEngine(paths: Paths): Promise<void> {
  const socket = chosenSocket(paths);
  if (socket === undefined) return;
  const label = `${instanceLabel}=${paths.machineName}`;
  const { engine } = await findEngine([socket]).catch((error: unknown) => {
    throw dockerError("ENGINE_UNREACHABLE", `pods in Docker Engine at ${socket} may be left`, {
      cause: error,
      hint: `Start that engine and run this again, or remove them there: docker rm -f $(docker ps -aq --filter label=${label})`,
    });
  });
  const ids = await engine.listContainers(instanceLabels(paths));
  await Promise.all(ids.map((id) => engine.removeContainer(id)));
  await engine.removeNetwork(networkName(paths));
  await rm(choiceFile(paths), { force: true });
}
