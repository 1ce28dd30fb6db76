/** Docker Engine: whether it could serve trusted pods, and whether it has to. */
import { isSimError, messageOf } from "../../common/errors.ts";
import type { Paths } from "../../common/paths.ts";
import { engineName, engineOf, ownShimWords } from "../../simulator/docker/index.ts";
import type { NodeSettings } from "../settings.ts";
import { absent, type Check, failed, ok } from "./check.ts";

const uses: Readonly<Record<NodeSettings["trustedRuntime"], string>> = {
  auto: "answers and serves trusted pods where containerd's runc shim cannot, or by up --trusted-runtime docker",
  shim: "answers; trusted pods stay with containerd's runc shim (up --trusted-runtime docker)",
  docker: "serves trusted pods",
};

export function dockerChecks(
  paths: Paths,
  settings: NodeSettings,
  env: NodeJS.ProcessEnv,
): readonly Check[] {
  return [() => checkDocker(paths, settings, env)];
}

async function checkDocker(paths: Paths, settings: NodeSettings, env: NodeJS.ProcessEnv) {
  const id = "docker-engine";
  const { trustedRuntime } = settings;
  try {
    const found = await engineOf(paths, env);
    const shims = ownShimWords(found.facts.version);
    return ok(id, `${engineName(found)} ${uses[trustedRuntime]}. It ${shims}`);
  } catch (error) {
    const hint = (isSimError(error) && error.hint) || "apt-get install docker.io";
    // Only who asked for it misses it: containerd's runc shim serves trusted pods else.
    const bad = trustedRuntime === "docker" ? failed : absent;
    return bad(id, messageOf(error), hint);
  }
}
