/**
 * kubectl's own lock on a kubeconfig file (client-go tools/clientcmd/config.go lockFile): an exclusive
 * create of `<file>.lock`, removed afterwards.
 */
import { mkdir, open, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { type Clock, systemClock } from "../../common/clock.ts";
import { cliError } from "../errors.ts";

/** kubectl holds the lock for milliseconds: five seconds mean that its owner died. */
const lockWaitMs = 5_000;
const lockRetryMs = 50;

export async function withKubeconfigLock<T>(
  file: string,
  work: () => Promise<T>,
  options: { readonly clock?: Clock; readonly waitMs?: number } = {},
): Promise<T> {
  const clock = options.clock ?? systemClock;
  const lock = `${file}.lock`;
  const deadlineMs = clock.nowMs() + (options.waitMs ?? lockWaitMs);
  await mkdir(dirname(file), { recursive: true, mode: 0o755 });
  for (;;) {
    try {
      await (await open(lock, "wx", 0o600)).close();
      break;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") {
        throw cliError("KUBECONFIG_LOCKED", `cannot lock ${file}`, {
          cause: error,
          hint: "check who may write to its folder, or use --kubeconfig FILE",
        });
      }
      if (clock.nowMs() >= deadlineMs) {
        throw cliError("KUBECONFIG_LOCKED", `the kubeconfig is locked by ${lock}`, {
          hint: `if no kubectl is running, remove it: rm ${lock}`,
        });
      }
      await clock.sleep(lockRetryMs);
    }
  }
  try {
    return await work();
  } finally {
    await rm(lock, { force: true });
  }
}
