/** A Docker Engine of the bench's own that has the same image as the nodes, and gVisor's runtime in it. */
import { execFileSync } from "node:child_process";
import { createReadStream } from "node:fs";
import Docker from "dockerode";
import { messageOf } from "../../common/errors.ts";
import { baseImageArchive, baseImageName } from "../../test/support/containerd-image.ts";
import { dockerdObstacle, startDockerd } from "../../test/support/dockerd.ts";
import { NotHere } from "./group.ts";
import { idle } from "./nodes.ts";

export interface Engine {
  /** Create and start, until the engine says that it runs. */
  start(runtime: EngineRuntime): Promise<{ readonly id: string; readonly ms: number }>;
  /** Kill and remove, until the engine says that it is gone. */
  remove(id: string): Promise<number>;
  /** Version and storage driver. */
  readonly conditions: string;
  close(): Promise<readonly string[]>;
}

/** "default" is the engine's own runc. */
export type EngineRuntime = "default" | "runsc";

// Its KVM platform needs /dev/kvm. Its own network stack refuses an engine in a network namespace of its own.
const runscArguments = ["--platform=ptrace", "--network=none"];

export async function startEngine(): Promise<Engine> {
  const obstacle = dockerdObstacle();
  if (obstacle !== undefined) throw new NotHere(obstacle);
  const path = runscPath();
  const runtimes = path === undefined ? {} : { runsc: { path, runtimeArgs: runscArguments } };
  const dockerd = await startDockerd({ config: { runtimes } });
  const docker = new Docker({ socketPath: dockerd.socket });
  try {
    const progress = await docker.loadImage(createReadStream(baseImageArchive(dockerd.folder)));
    await new Promise<void>((resolve, reject) =>
      docker.modem.followProgress(progress, (error) => (error ? reject(error) : resolve())),
    );
    const { Driver } = (await docker.info()) as { Driver: string };
    return {
      conditions: `Docker Engine ${dockerd.version}, ${Driver}`,
      async start(runtime) {
        if (runtime === "runsc" && path === undefined) {
          throw new NotHere("runsc is not installed (Debian package runsc)");
        }
        const startedMs = performance.now();
        const container = await docker.createContainer({
          Image: baseImageName,
          Cmd: [...idle],
          ...(runtime === "default" ? {} : { HostConfig: { Runtime: runtime } }),
        });
        await container.start();
        return { id: container.id, ms: performance.now() - startedMs };
      },
      async remove(id) {
        const startedMs = performance.now();
        await docker.getContainer(id).remove({ force: true });
        return performance.now() - startedMs;
      },
      async close() {
        try {
          for (const { Id } of await docker.listContainers({ all: true })) {
            await docker.getContainer(Id).remove({ force: true });
          }
        } catch {
          // Ctrl-C ends the engine, too; what it ran is ended below.
        }
        try {
          await dockerd.dispose();
          return [];
        } catch (error) {
          return [messageOf(error)];
        }
      },
    };
  } catch (error) {
    await dockerd.dispose();
    throw error;
  }
}

function runscPath(): string | undefined {
  try {
    return execFileSync("sh", ["-c", "command -v runsc"], { encoding: "utf8" }).trim();
  } catch {
    return undefined;
  }
}
