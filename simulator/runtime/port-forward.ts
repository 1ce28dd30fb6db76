/** Connections to 127.0.0.1 inside a pod's network: through the shim for VMs, nsenter for others. */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { connect } from "node:net";
import { Duplex } from "node:stream";
import { readVmRecord } from "../../runtime-shim/index.ts";
import type { RuntimeContext } from "./context.ts";
import { runtimeError } from "./errors.ts";
import { sandboxLayout } from "./layout.ts";
import type { LiveSandbox } from "./live-state.ts";

// The shim's answer is one short line; a longer one is not its protocol.
const maxAnswerBytes = 4096;
// A half-closed connection may still bring an answer; after a kill -9 of the node socat must go.
const halfCloseSeconds = 30;

/** Rejects with PORT_FORWARD_FAILED in containerd's words. */
export async function portForward(
  context: RuntimeContext,
  sandbox: LiveSandbox,
  port: number,
): Promise<Duplex> {
  const { id, netnsPath = "", state, kata, ip } = sandbox.record;
  if (state !== "ready") {
    throw runtimeError("PORT_FORWARD_FAILED", `sandbox container "${id}" is not running`);
  }
  const failed = (why: string) =>
    runtimeError(
      "PORT_FORWARD_FAILED",
      `failed to execute portforward in network namespace "${netnsPath}": failed to connect to localhost:${port} inside namespace "${id}": ${why}`,
    );
  if (kata !== undefined) {
    // Kata has no way in: what listens on the guest's own loopback is out of reach.
    const target = `TCP4:${ip}:${port}`;
    return dialInNetns(context.network.nodeNetnsPath, target).catch((error: unknown) => {
      throw failed(`dial tcp4 ${ip}:${port}: ${words(error)} (genuine Kata: at the pod's address)`);
    });
  }
  if (context.handlerOf(sandbox.record).sandboxed) {
    const vm = readVmRecord(sandboxLayout(context.paths, id).bundle);
    if (vm === undefined) throw failed("the VM's record is missing");
    return dialThroughShim(vm.dialSocket, port, failed);
  }
  try {
    return await dialInNetns(netnsPath, `TCP4:127.0.0.1:${port}`);
  } catch (first) {
    try {
      return await dialInNetns(netnsPath, `TCP6:[::1]:${port}`);
    } catch (second) {
      throw failed(
        `IPv4: dial tcp4 127.0.0.1:${port}: ${words(first)}, IPv6: dial tcp6 [::1]:${port}: ${words(second)}`,
      );
    }
  }
}

/** `CONNECT <port>\n` → `OK <port>\n`, then raw bytes (runtime-shim/shim-options.ts VmRecord). */
function dialThroughShim(
  path: string,
  port: number,
  failed: (why: string) => Error,
): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path, allowHalfOpen: true });
    let answer = Buffer.alloc(0);
    const fail = (why: string) => {
      socket.destroy();
      reject(failed(why));
    };
    const onError = (error: Error) => fail(`the shim does not answer: ${error.message}`);
    const onEnd = () => fail("the shim closed the connection");
    const onData = (chunk: Buffer) => {
      answer = Buffer.concat([answer, chunk]);
      const newline = answer.indexOf(0x0a);
      if (newline === -1) {
        if (answer.length > maxAnswerBytes) fail("the shim's answer is unreadable");
        return;
      }
      const line = answer.subarray(0, newline).toString("utf8");
      if (!line.startsWith("OK ")) return fail(line.replace(/^ERROR /, ""));
      socket.off("data", onData).off("error", onError).off("end", onEnd).pause();
      const rest = answer.subarray(newline + 1);
      if (rest.length > 0) socket.unshift(rest);
      resolve(socket);
    };
    socket.on("data", onData).once("error", onError).once("end", onEnd);
    socket.once("connect", () => socket.write(`CONNECT ${port}\n`));
  });
}

function dialInNetns(netnsPath: string, target: string): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    // -d -d: socat says when it is connected, so that a refusal is known before bytes are promised.
    // shut-close: the server's end of file reaches us at once, not when socat gives up on our half.
    const child = spawn(
      "nsenter",
      [
        `--net=${netnsPath}`,
        "socat",
        "-d",
        "-d",
        `-t${halfCloseSeconds}`,
        "STDIN!!STDOUT,shut-close",
        target,
      ],
      { stdio: ["pipe", "pipe", "pipe"] },
    );
    let said = "";
    let connected = false;
    child.once("error", (error) => reject(new Error(`nsenter cannot run: ${error.message}`)));
    child.once("exit", () => {
      if (!connected) reject(new Error(refusal(said)));
    });
    child.stdin.on("error", () => undefined);
    child.stderr.on("data", (chunk: Buffer) => {
      if (connected) return;
      said += chunk.toString("utf8");
      if (!/successfully connected/.test(said)) return;
      connected = true;
      resolve(duplexOf(child));
    });
  });
}

/** Destroying it ends socat; what socat says of broken connections is its end of file. */
function duplexOf(child: ChildProcessWithoutNullStreams): Duplex {
  const { stdin, stdout } = child;
  const duplex = new Duplex({
    read: () => void stdout.resume(),
    write: (chunk, _encoding, done) => void stdin.write(chunk, () => done()),
    final: (done) => void stdin.end(() => done()),
    destroy(error, done) {
      child.kill("SIGKILL");
      done(error);
    },
  });
  stdout.on("data", (chunk: Buffer) => {
    if (!duplex.push(chunk)) stdout.pause();
  });
  stdout.once("end", () => duplex.push(null));
  return duplex;
}

/** `… E connect(5, AF=2 127.0.0.1:80, 16): Connection refused` → the last words. */
function refusal(text: string): string {
  const line = text.split("\n").findLast((candidate) => / E /.test(candidate));
  const reason = line === undefined ? text.trim() : (line.split("): ").at(-1) ?? line);
  return reason === "Connection refused" ? "connect: connection refused" : reason;
}

function words(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
