/** Genuine `kubectl port-forward` in front of a server that answers each connection once and closes it. */
import { spawn } from "node:child_process";
import { connect } from "node:net";
import { kubectlBinary } from "./kubectl.ts";
import type { Simulator } from "./start-simulator.ts";
import { waitUntil } from "./wait-until.ts";

export interface PortForward {
  readonly pod: string;
  readonly env?: NodeJS.ProcessEnv;
  /** What turns kubectl into another user's. */
  readonly prefix?: readonly string[];
}

/** What port 8080 of the pod answers; the forwarding ends with the answer. */
export async function throughPortForward(
  { kubeconfig }: Pick<Simulator, "kubeconfig">,
  { pod, env, prefix = [] }: PortForward,
): Promise<string> {
  const [file = "", ...before] = [...prefix, kubectlBinary()];
  const args = [...before, `--kubeconfig=${kubeconfig}`, "port-forward", `pod/${pod}`, ":8080"];
  const child = spawn(file, args, {
    stdio: ["ignore", "pipe", "pipe"],
    ...(env === undefined ? {} : { env: { ...process.env, ...env } }),
  });
  try {
    let said = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (chunk: Buffer) => {
        said += chunk.toString("utf8");
      });
    }
    const port = await waitUntil(() => /127\.0\.0\.1:(\d+) ->/.exec(said)?.[1], {
      what: "kubectl port-forward to listen",
      describe: () => said,
    });
    // The server takes one connection at a time and is away between two.
    return await waitUntil(async () => (await readAll(Number(port))) || undefined, {
      what: "an answer through the forwarded port",
      describe: () => said,
    });
  } finally {
    child.kill("SIGKILL");
  }
}

/** All bytes of one connection; empty when nobody listens yet. */
function readAll(port: number): Promise<string> {
  return new Promise((resolve) => {
    let text = "";
    const socket = connect(port, "127.0.0.1");
    socket.on("data", (chunk: Buffer) => {
      text += chunk.toString("utf8");
    });
    socket.on("error", () => resolve(text));
    socket.on("close", () => resolve(text));
  });
}
