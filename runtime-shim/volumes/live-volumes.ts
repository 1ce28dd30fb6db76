/**
 * configMap, secret, projected and downwardAPI volumes in a guest that has a copy: what the kubelet's
 * atomic writer does on the host (kubernetes pkg/volume/util/atomic_writer.go) is done in the guest
 * again, so that a reader there sees the old set of files or the new one, and inotify fires.
 */
import { type FSWatcher, watch } from "node:fs";
import { readdir, readlink } from "node:fs/promises";
import { join } from "node:path";
import { messageOf } from "../../common/errors.ts";
import type { Logger } from "../../common/log.ts";
import { hasCode } from "../errors.ts";
import { type CopyTarget, copyIn, makeFolder } from "./copy-in.ts";
import { createFileWriter } from "./file-writer.ts";

export interface LiveVolumes {
  /** The volume is in the guest, and stays up to date until nobody uses it. */
  add(user: string, hostPath: string, guestPath: string): Promise<void>;
  /** The container is gone. */
  release(user: string): void;
  close(): void;
}

interface Volume {
  readonly users: Set<string>;
  readonly synced: () => Promise<void>;
  stop(): void;
}

const dataLink = "..data";
// Where the host has no inotify watches left; and after a copy that failed.
const pollMs = 5_000;
// The host may put a newer set in place while one is being copied.
const maxAttempts = 5;

export function createLiveVolumes(into: CopyTarget, log: Logger): LiveVolumes {
  const volumes = new Map<string, Volume>();
  return {
    async add(user, hostPath, guestPath) {
      let volume = volumes.get(guestPath);
      if (volume === undefined) {
        volume = follow(into, hostPath, guestPath, log);
        volumes.set(guestPath, volume);
      }
      volume.users.add(user);
      await volume.synced();
    },
    release(user) {
      for (const [guestPath, volume] of volumes) {
        volume.users.delete(user);
        if (volume.users.size > 0) continue;
        volume.stop();
        volumes.delete(guestPath);
      }
    },
    close() {
      for (const volume of volumes.values()) volume.stop();
      volumes.clear();
    },
  };
}

function follow(into: CopyTarget, hostPath: string, guestPath: string, log: Logger): Volume {
  const shown: Shown = { target: undefined, names: new Set() };
  let stopped = false;
  let watcher: FSWatcher | undefined;
  let timer: NodeJS.Timeout | undefined;
  let work = Promise.resolve();
  // One after the other: each brings the guest to what the host has when it begins.
  const sync = () => {
    const next = work.then(() =>
      stopped ? undefined : syncVolume(into, hostPath, guestPath, shown),
    );
    work = next.catch(() => {});
    return next;
  };
  const later = () => {
    if (stopped || timer !== undefined) return;
    timer = setTimeout(() => {
      timer = undefined;
      update();
      if (watcher === undefined) later();
    }, pollMs);
    timer.unref();
  };
  const update = () => {
    sync().catch((error: unknown) => {
      if (stopped || hasCode(error, "GUEST_GONE")) return;
      log.warn({ volume: hostPath, error: messageOf(error) }, "the guest's copy is out of date");
      later();
    });
  };
  try {
    watcher = watch(hostPath, { persistent: false }, (_event, name) => {
      if (name === null || name === dataLink) update();
    });
    watcher.on("error", later);
  } catch (error) {
    log.warn({ volume: hostPath, error: messageOf(error) }, "the volume is polled, not watched");
    later();
  }
  return {
    users: new Set(),
    synced: sync,
    stop() {
      stopped = true;
      watcher?.close();
      clearTimeout(timer);
    },
  };
}

/** What the guest has of a volume. */
interface Shown {
  /** Of `..data`, with all that hangs on it. */
  target: string | undefined;
  /** Of `..data`, whatever else is still to be done. */
  swapped?: string;
  names: ReadonlySet<string>;
}

async function syncVolume(
  into: CopyTarget,
  hostPath: string,
  guestPath: string,
  shown: Shown,
): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    const target = await readlink(join(hostPath, dataLink)).catch(() => undefined);
    // Written by something else than an atomic writer: copied once.
    if (target === undefined && shown.target === undefined) {
      await copyIn(into, hostPath, guestPath);
      return;
    }
    if (target === undefined || target === shown.target) return;
    try {
      await show(into, { hostPath, guestPath, target, before: shown });
      return;
    } catch (error) {
      if (shown.swapped !== target) {
        await into.guest.request("removePath", [[1, join(guestPath, target)]]).catch(() => {});
      }
      const now = await readlink(join(hostPath, dataLink)).catch(() => undefined);
      if (now === target || attempt === maxAttempts) throw error;
    }
  }
}

/** The steps of the atomic writer, in its order. */
async function show(
  into: CopyTarget,
  volume: {
    readonly hostPath: string;
    readonly guestPath: string;
    readonly target: string;
    readonly before: Shown;
  },
): Promise<void> {
  const { hostPath, guestPath, target, before } = volume;
  // A name of one component: what `..data` leads to is beside it.
  if (target.includes("/") || target === ".." || target === ".") {
    throw new Error(`${hostPath}/${dataLink} leads out of the volume`);
  }
  await makeFolder(into, hostPath, guestPath);
  await copyIn(into, join(hostPath, target), join(guestPath, target));
  const names = new Set(await readdir(join(hostPath, target)));
  const writer = createFileWriter(into.guest);
  await writer.link(join(guestPath, dataLink), target);
  await writer.done();
  before.swapped = target;
  for (const name of names) {
    if (before.names.has(name)) continue;
    await writer.link(join(guestPath, name), `${dataLink}/${name}`);
  }
  await writer.done();
  const gone = [...before.names].filter((name) => !names.has(name));
  const paths = before.target === undefined ? gone : [...gone, before.target];
  for (const name of paths) await into.guest.request("removePath", [[1, join(guestPath, name)]]);
  before.target = target;
  before.names = names;
}
