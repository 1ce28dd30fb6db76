/** Genuine ctr against a private containerd, with our shim on its PATH as an installed one is. */
import { dirname, join } from "node:path";
import { baseImageName, type Containerd, startContainerd } from "./containerd.ts";
import type { CommandOutcome } from "./kubectl.ts";
import { openTerminal, type Terminal } from "./terminal.ts";
import { waitUntil } from "./wait-until.ts";

export const shimProgram =
  process.env.KATASIM_TEST_SHIM ??
  join(import.meta.dirname, "../../bin/containerd-shim-katasim-v2");

/** The columns of the conformance table: every row that both have must end alike. */
export const runtimes = [
  { name: "katasim", type: "io.containerd.katasim.v2" },
  { name: "runc", type: "io.containerd.runc.v2" },
] as const;

export interface CtrScene {
  readonly containerd: Containerd;
  ctr(args: readonly string[], stdin?: string): Promise<CommandOutcome>;
  /** Rejects with everything ctr said when it fails; answers its stdout. */
  ok(...args: readonly string[]): Promise<string>;
  /** `ctr run` of the base image. */
  run(
    runtime: string,
    id: string,
    flags: readonly string[],
    args: readonly string[],
    stdin?: string,
  ): Promise<CommandOutcome>;
  /** `ctr` on a terminal of its own. */
  onTerminal(args: readonly string[]): Terminal;
  /** The status `ctr task ls` shows, e.g. "RUNNING"; undefined for no task. */
  statusOf(id: string): Promise<string | undefined>;
  hasStatus(id: string, status: string | undefined): Promise<void>;
  /** Kills and removes task and container, whatever state they are in. */
  remove(id: string): Promise<void>;
  stop(): Promise<void>;
}

export async function startCtrScene(): Promise<CtrScene> {
  const path = `${dirname(shimProgram)}:${process.env.PATH}`;
  const containerd = await startContainerd({ env: { ...process.env, PATH: path } });
  await containerd.importBaseImage();
  const ctr = (args: readonly string[], stdin = "") => containerd.ctr(args, { stdin });
  const ok = async (...args: readonly string[]) => {
    const { exitCode, stdout, stderr } = await ctr(args);
    if (exitCode === 0) return stdout;
    throw new Error(`ctr ${args.join(" ")} exited with ${exitCode}: ${stderr}`);
  };
  const statusOf = async (id: string) =>
    new RegExp(`^${id}\\s+\\d+\\s+(\\w+)`, "m").exec(await ok("task", "ls"))?.[1];
  let terminals = 0;
  return {
    containerd,
    ctr,
    ok,
    run: (runtime, id, flags, args, stdin) =>
      ctr(["run", ...flags, "--runtime", runtime, baseImageName, id, ...args], stdin),
    onTerminal(args) {
      terminals += 1;
      const line = ["ctr", "-a", containerd.socket, ...args].map((word) => `'${word}'`).join(" ");
      return openTerminal(line, containerd.folder, `tty-${terminals}`);
    },
    statusOf,
    hasStatus: (id, status) =>
      waitUntil(async () => (await statusOf(id)) === status, {
        what: `${id} to be ${status ?? "gone"}`,
        describe: () => ok("task", "ls"),
      }).then(() => {}),
    async remove(id) {
      await ctr(["task", "delete", "--force", id]);
      await ctr(["container", "delete", id]);
    },
    async stop() {
      await containerd.stop();
      const leaks = containerd.leaks();
      await containerd.dispose();
      if (leaks.length > 0) throw new Error(`left behind:\n${leaks.join("\n")}`);
    },
  };
}
