/**
 * Whether a registry can be spoken to at all: name look-up and TCP connect with short limits, so
 * that a machine without network fails in a moment instead of at the end of HTTP time-outs.
 */
import { connect } from "node:net";

// A registry that is slower than this to accept a connection would time the pull out anyway.
const probeTimeoutMs = 3_000;

/** Undefined when it accepts connections, else why not, in words. */
export async function probeRegistry(
  domain: string,
  env: NodeJS.ProcessEnv = process.env,
): Promise<string | undefined> {
  // Through a proxy neither look-up nor connect say anything: the proxy does both.
  if (env.HTTPS_PROXY || env.https_proxy || env.ALL_PROXY || env.all_proxy) return undefined;
  const { host, port } = hostAndPort(domain);
  // Local registries may speak plain HTTP on port 80: leave them to skopeo, which fails at once.
  if (isLoopback(domain)) return undefined;
  try {
    await tryConnect(host, port);
    return undefined;
  } catch (error) {
    return reasonOf(error, host);
  }
}

export function isLoopback(domain: string): boolean {
  return /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?$/.test(domain);
}

/** Docker Hub's name differs from its API host (containerd core/remotes/docker/registry.go). */
function hostAndPort(domain: string): { host: string; port: number } {
  const match = /^(.*?)(?::(\d+))?$/.exec(domain);
  const host = match?.[1] ?? domain;
  return {
    host: host === "docker.io" ? "registry-1.docker.io" : host.replace(/^\[|\]$/g, ""),
    port: match?.[2] === undefined ? 443 : Number(match[2]),
  };
}

/** By name, so that every address is tried; the limit covers the look-up too. */
function tryConnect(host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, autoSelectFamily: true });
    const timer = setTimeout(() => {
      socket.destroy();
      reject(new Error(`no answer from ${host}:${port} within ${probeTimeoutMs / 1000} s`));
    }, probeTimeoutMs);
    const settle = (error?: Error) => {
      clearTimeout(timer);
      socket.destroy();
      if (error === undefined) resolve();
      else reject(error);
    };
    socket.once("connect", () => settle());
    socket.once("error", settle);
  });
}

function reasonOf(error: unknown, host: string): string {
  const code = (error as NodeJS.ErrnoException).code;
  switch (code) {
    case "ENOTFOUND":
      return `lookup ${host}: no such host`;
    case "EAI_AGAIN":
      return `lookup ${host}: the name server cannot be reached`;
    case "ECONNREFUSED":
      return "connection refused";
    case "ENETUNREACH":
      return "network is unreachable";
    case "EHOSTUNREACH":
      return "no route to host";
    default:
      return error instanceof Error ? error.message : String(error);
  }
}
