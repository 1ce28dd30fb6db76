/**
 * Finds the Docker Engine of this machine: asks, never believes a file. An engine elsewhere, or in a
 * VM of its own, is told apart: pods' volumes are files of this machine.
 */
import { release } from "node:os";
import { isSimError, messageOf } from "../../common/errors.ts";
import { connectEngine } from "./dockerode-engine.ts";
import type { DockerEngine, EngineFacts } from "./engine.ts";
import { dockerError } from "./errors.ts";

export interface FoundEngine {
  readonly engine: DockerEngine;
  readonly facts: EngineFacts;
}

/** 1.41 is Docker 20.10: the oldest whose answers this adapter was run against. */
const oldestApi = [1, 41] as const;

/** "Docker Engine 20.10.24 (unix:///var/run/docker.sock)" */
export function engineName({ engine, facts }: FoundEngine): string {
  return `Docker Engine ${shortVersion(facts.version)} (${engine.address})`;
}

/** Debian's "20.10.24+dfsg1" is Docker's 20.10.24. */
export function shortVersion(version: string): string {
  return version.replace(/[+~-].*$/, "");
}

/** DOCKER_HOST where it is set, else the places where engines listen; answers unix socket paths. */
export function engineSockets(env: NodeJS.ProcessEnv): readonly string[] {
  const host = env.DOCKER_HOST;
  if (host) {
    if (host.startsWith("unix://")) return [host.slice("unix://".length)];
    throw dockerError("ENGINE_UNFIT", `DOCKER_HOST is ${host}, and pods' volumes are files here`, {
      hint: "Set DOCKER_HOST to the unix socket of an engine on this machine, or unset it.",
    });
  }
  const own = env.XDG_RUNTIME_DIR;
  return ["/var/run/docker.sock", ...(own ? [`${own}/docker.sock`] : [])];
}

/** The first that answers and fits. Rejects with the reason of the first that does not. */
export async function findEngine(sockets: readonly string[]): Promise<FoundEngine> {
  let first: unknown;
  for (const socket of sockets) {
    const engine = connectEngine(socket);
    try {
      const facts = await engine.facts();
      assertFits(engine.address, facts);
      return { engine, facts };
    } catch (error) {
      // A socket that is there but forbidden says more than one that is missing.
      if (first === undefined || isForbidden(error)) first = error;
    }
  }
  throw isSimError(first)
    ? first
    : dockerError("ENGINE_UNREACHABLE", `no Docker Engine: ${messageOf(first)}`);
}

function isForbidden(error: unknown): boolean {
  return isSimError(error) && /may not use the socket/.test(error.message);
}

/** Throws ENGINE_UNFIT. */
export function assertFits(address: string, facts: EngineFacts, kernel = release()): void {
  const [major = 0, minor = 0] = facts.apiVersion.split(".").map(Number);
  const [oldMajor, oldMinor] = oldestApi;
  if (major < oldMajor || (major === oldMajor && minor < oldMinor)) {
    throw dockerError(
      "ENGINE_UNFIT",
      `Docker Engine ${facts.version} at ${address} speaks API ${facts.apiVersion}, and ${oldestApi.join(".")} is needed`,
      { hint: "Install Docker 20.10 or newer." },
    );
  }
  if (facts.kernelRelease === kernel) return;
  throw dockerError(
    "ENGINE_UNFIT",
    `Docker Engine at ${address} runs containers on kernel ${facts.kernelRelease}, not on this machine's ${kernel}: it sits in a VM (Docker Desktop?) that does not see pods' volumes`,
    { hint: "Use a Docker Engine installed on this machine itself (Debian package docker.io)." },
  );
}
