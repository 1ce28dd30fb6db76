/** The engine contract over dockerode: translates types and errors, decides nothing. */
import type { Duplex, Readable } from "node:stream";
import Docker from "dockerode";
import { isSimError } from "../../common/errors.ts";
import type { DockerEngine, EngineFacts, Labels } from "./engine.ts";
import { containerFacts, eventsOf, execFacts, usageOf } from "./engine-answers.ts";
import { engineFailure } from "./errors.ts";

/**
 * `socketPath` is the engine's unix socket; without it DOCKER_HOST leads the way, to other machines,
 * too. Connects with the first call.
 */
export function connectEngine(socketPath?: string): DockerEngine {
  const docker = new Docker(socketPath === undefined ? undefined : { socketPath });
  const address =
    socketPath === undefined ? (process.env.DOCKER_HOST ?? "its socket") : `unix://${socketPath}`;
  const labelFilter = (labels: Labels) =>
    Object.entries(labels).map(([key, value]) => `${key}=${value}`);

  async function ask<T>(call: () => Promise<T>): Promise<T> {
    try {
      return await call();
    } catch (error) {
      throw engineFailure(address, error);
    }
  }

  /** For verbs that succeed when there is nothing left to do. */
  async function unlessGone(call: () => Promise<unknown>, alsoFine: readonly string[] = []) {
    try {
      await ask(call);
    } catch (error) {
      const code = isSimError(error) ? error.code : "";
      if (code !== "ENGINE_NOT_FOUND" && !alsoFine.includes(code)) throw error;
    }
  }

  async function orUndefined<T>(call: () => Promise<T>): Promise<T | undefined> {
    try {
      return await ask(call);
    } catch (error) {
      if (isSimError(error) && error.code === "ENGINE_NOT_FOUND") return undefined;
      throw error;
    }
  }

  let networkMade: Promise<void> = Promise.resolve();

  async function makeNetwork(name: string, labels: Labels): Promise<void> {
    if ((await networksNamed(name)).length > 0) return;
    await ask(() => docker.createNetwork({ Name: name, Driver: "bridge", Labels: { ...labels } }));
  }

  async function networksNamed(name: string): Promise<readonly string[]> {
    const found = await ask(() => docker.listNetworks({ filters: { name: [name] } }));
    // The filter takes parts of names, too.
    return found.filter(({ Name }) => Name === name).map(({ Id }) => Id);
  }

  async function facts(): Promise<EngineFacts> {
    const [version, info] = await ask(() => Promise.all([docker.version(), docker.info()]));
    const runtimes = (info.Runtimes ?? {}) as Record<string, { runtimeType?: string }>;
    return {
      version: version.Version,
      apiVersion: version.ApiVersion,
      kernelRelease: info.KernelVersion,
      runtimes: Object.fromEntries(
        Object.entries(runtimes).map(([name, { runtimeType }]) => [name, runtimeType]),
      ),
      rootless: ((info.SecurityOptions ?? []) as string[]).some((o) => o.includes("rootless")),
    };
  }

  return {
    address,
    facts,
    hasImage: async (name) =>
      (await orUndefined(() => docker.getImage(name).inspect())) !== undefined,
    async importImage(name, rootfsTar, labels) {
      const [repo, tag] = splitTag(name);
      const changes = Object.entries(labels).map(([key, value]) => `LABEL ${key}=${value}`);
      // A stream of progress lines; a failure half-way comes as a line with `error`.
      await ask(async () => {
        const progress = await docker.importImage(rootfsTar, { repo, tag, changes });
        await new Promise<void>((resolve, reject) =>
          docker.modem.followProgress(progress, (error) => (error ? reject(error) : resolve())),
        );
      });
    },
    saveImage: (name) => ask(async () => (await docker.getImage(name).get()) as Readable),
    // One after the other: the engine lets two networks have one name.
    ensureNetwork(name, labels) {
      networkMade = networkMade.catch(() => undefined).then(() => makeNetwork(name, labels));
      return networkMade;
    },
    async removeNetwork(name) {
      for (const id of await networksNamed(name)) {
        await unlessGone(() => docker.getNetwork(id).remove());
      }
    },
    createContainer: (name, body) =>
      ask(async () => (await docker.createContainer({ name, ...body })).id),
    startContainer: (id) => ask(() => docker.getContainer(id).start()),
    // 409: it is not running.
    killContainer: (id, signal) =>
      unlessGone(() => docker.getContainer(id).kill({ signal }), ["ENGINE_CONFLICT"]),
    // 409: its removal is under way.
    removeContainer: (id) =>
      unlessGone(
        () => docker.getContainer(id).remove({ force: true, v: true }),
        ["ENGINE_CONFLICT"],
      ),
    async inspectContainer(id) {
      const found = await orUndefined(() => docker.getContainer(id).inspect());
      return found === undefined ? undefined : containerFacts(found);
    },
    listContainers: (labels) =>
      ask(async () => {
        const filters = { label: labelFilter(labels) };
        return (await docker.listContainers({ all: true, filters })).map(({ Id }) => Id);
      }),
    async usage(id) {
      const stats = await orUndefined(() =>
        docker.getContainer(id).stats({ stream: false, "one-shot": true }),
      );
      return stats === undefined ? undefined : usageOf(stats);
    },
    followLog: (id, since) =>
      ask(async () => {
        const log = docker.getContainer(id).logs({
          follow: true,
          stdout: true,
          stderr: true,
          timestamps: true,
          // The API takes fractions of a second; the types say a whole number.
          since: since as unknown as number,
        });
        return (await log) as unknown as Readable;
      }),
    attach: (id, wantsStdin) =>
      ask(async () => {
        // Not dockerode's `stdin`: with it the request stays open and the upgrade does not come.
        const options = { stream: true, stdout: true, stderr: true, stdin: wantsStdin };
        const stream = await docker.getContainer(id).attach({ ...options, hijack: true });
        return stream as Duplex;
      }),
    resizeContainer: (id, w, h) => unlessGone(() => docker.getContainer(id).resize({ w, h })),
    createExec: (id, { command, tty, stdin }) =>
      ask(async () => {
        const exec = await docker.getContainer(id).exec({
          Cmd: [...command],
          Tty: tty,
          AttachStdin: stdin,
          AttachStdout: true,
          AttachStderr: !tty,
        });
        return exec.id;
      }),
    startExec: (execId, tty) =>
      ask(() => docker.getExec(execId).start({ hijack: true, stdin: false, Tty: tty })),
    inspectExec: (execId) => ask(async () => execFacts(await docker.getExec(execId).inspect())),
    resizeExec: (execId, w, h) => unlessGone(() => docker.getExec(execId).resize({ w, h })),
    events: (labels, signal) =>
      ask(async () => {
        const filters = { type: ["container" as const], label: labelFilter(labels) };
        // The declared types name the callback's form only.
        const stream: unknown = await docker.getEvents({ filters, abortSignal: signal });
        return eventsOf(stream as Readable);
      }),
  };
}

/** "repo/name:tag" → both; our names always have a tag. */
function splitTag(name: string): readonly [string, string] {
  const colon = name.lastIndexOf(":");
  return [name.slice(0, colon), name.slice(colon + 1)];
}
