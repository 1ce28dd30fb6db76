/** What must be true before `up` starts anything: cheap checks with the exit code and words of a refusal. */
import { existsSync } from "node:fs";
import { isIP } from "node:net";
import { join } from "node:path";
import { messageOf } from "../common/errors.ts";
import type { Paths } from "../common/paths.ts";
import { chooseRung } from "../runtime-shim/hypervisors/ladder.ts";
import { probeRung } from "../runtime-shim/hypervisors/probe/probe.ts";
import { assertCniNetwork } from "../simulator/network/index.ts";
import { cniOptions } from "./cni-options.ts";
import { readPidFile } from "./daemon/pid-file.ts";
import { cliError } from "./errors.ts";
import { assertPortFree } from "./port-owner.ts";
import { guestNetworks, type NodeSettings } from "./settings.ts";

/** AF_UNIX paths end at 107 bytes; the longest name under `sockets` is shorter than this. */
const socketNameBytes = 40;
const socketPathBytes = 107;

/** Throws MACHINE_LACKS, PORT_TAKEN, USAGE, CNI_CONFIG_INVALID or CNI_PLUGIN_MISSING. */
export async function assertCanStart(paths: Paths, settings: NodeSettings): Promise<void> {
  if (process.platform !== "linux" || process.arch !== "x64") {
    throw cliError("MACHINE_LACKS", "katasim needs Linux on x86-64", {
      cause: new Error(`this is ${process.platform} on ${process.arch}`),
      hint: "run it on an x86-64 Linux machine or VM",
    });
  }
  if (settings.network === "cni" && process.getuid?.() !== 0) {
    throw cliError("MACHINE_LACKS", "--network cni needs root to make network namespaces", {
      hint: "sudo katasim up -d, or katasim up -d --network user",
    });
  }
  if (settings.network === "cni" && settings.egress === "open") {
    throw cliError("USAGE", "--egress open is for --network user", {
      hint: "leave one of the two out",
    });
  }
  // Every sandbox, trusted ones too, starts from this program: without it the node is never Ready.
  if (!existsSync(join(paths.guest, "pause", "pause"))) {
    throw cliError(
      "MACHINE_LACKS",
      `the guest image is not built: ${paths.guest} lacks pause/pause`,
      {
        hint: "./scripts/setup in the clone of katasim builds it once; katasim doctor checks it",
      },
    );
  }
  if (Buffer.byteLength(paths.sockets) + socketNameBytes > socketPathBytes) {
    throw cliError("USAGE", `the path ${paths.sockets} is too long for unix sockets`, {
      hint: "use a shorter folder: --home /tmp/k",
    });
  }
  if (settings.network === "cni") await assertCniNetwork(cniOptions(paths, settings));
  await assertRequiredRung(paths, settings);
  await assertGenuineKata(paths, settings);
  // A live owner holds the ports itself; the pid file decides that case.
  if ((await readPidFile(paths.pidFile)) !== undefined) return;
  const host = isIP(settings.listen) ? settings.listen : "127.0.0.1";
  await assertPortFree(settings.apiPort, host, "--api-port");
  await assertPortFree(settings.kubeletPort, host, "--kubelet-port");
}

/** With --require, a node that cannot keep the promise does not start. */
async function assertRequiredRung(paths: Paths, settings: NodeSettings): Promise<void> {
  if (settings.require === "any") return;
  try {
    const network = guestNetworks[settings.network];
    await chooseRung(settings, (rung) => probeRung(rung, paths.guest, network));
  } catch (error) {
    throw cliError("MACHINE_LACKS", messageOf(error), {
      hint: "katasim runtime list explains every rung; without --require sandboxes run on the best",
    });
  }
}

/** Genuine Kata was asked for: a node that would refuse each of its pods does not start. */
async function assertGenuineKata(paths: Paths, settings: NodeSettings): Promise<void> {
  if (settings.kata !== "genuine") return;
  // Loaded on use: it would slow down `--help`.
  const { assessKataOf } = await import("./handlers.ts");
  const { problemText } = await import("../simulator/runtime/index.ts");
  const { problems } = await assessKataOf(paths, settings);
  if (problems.length === 0) return;
  throw cliError("MACHINE_LACKS", `genuine Kata cannot be used: ${problemText(problems)}`, {
    hint: "katasim doctor; without --kata genuine katasim's own shim serves the handler kata",
  });
}
