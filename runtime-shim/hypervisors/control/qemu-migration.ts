/**
 * A VM's state into a file and out of it, as a migration over a unix socket that this process holds
 * the other end of: QEMU may neither start programs (exec:) nor, before 8.2, write the file (file:).
 */
import { once } from "node:events";
import { createReadStream, createWriteStream, rmSync } from "node:fs";
import { connect } from "node:net";
import { pipeline } from "node:stream/promises";
import { messageOf } from "../../../common/errors.ts";
import { acceptOne } from "../../../common/sockets/accept-one.ts";
import { hasCode, shimError } from "../../errors.ts";
import type { QmpClient } from "./qemu.ts";

// A guest's memory goes through at some 500 MiB/s.
const migrationTimeoutMs = 120_000;
// Its default, 128 MiB/s, is meant for networks.
const maxBandwidthBytes = 8 * 2 ** 30;

export interface MigrationSocket {
  readonly path: string;
  /** As QEMU knows it. */
  readonly pathInPlace: string;
  /** Lets QEMU connect to it, once it is there. */
  give(): void;
}

/**
 * Writes the stopped VM's state; the VM stays, stopped. `withoutMemory`: the memory is a file that is kept
 * beside it. Rejects with VMM_CONTROL or VMM_GONE.
 */
export async function saveState(
  qmp: QmpClient,
  { path, pathInPlace, give }: MigrationSocket,
  file: string,
  withoutMemory: boolean,
): Promise<void> {
  const landing = await acceptOne(path);
  try {
    give();
    await setCapabilities(qmp, withoutMemory);
    await qmp.execute("migrate-set-parameters", { "max-bandwidth": maxBandwidthBytes });
    const ended = migrationEnd(qmp);
    const stored = landing.connection.then((socket) =>
      pipeline(socket, createWriteStream(file, { mode: 0o600 })),
    );
    stored.catch(() => {});
    await qmp.execute("migrate", { uri: `unix:${pathInPlace}` });
    await Promise.all([stored, ended]);
  } catch (cause) {
    rmSync(file, { force: true });
    if (hasCode(cause, "VMM_GONE")) throw cause;
    throw shimError("VMM_CONTROL", `cannot write ${file}: ${messageOf(cause)}`, { cause });
  } finally {
    landing.close();
  }
}

/** Reads a state into a QEMU that was started with `-incoming defer`; the VM is stopped then. */
export async function loadState(
  qmp: QmpClient,
  { path, pathInPlace }: MigrationSocket,
  file: string,
  withoutMemory: boolean,
): Promise<void> {
  await setCapabilities(qmp, withoutMemory);
  const ended = migrationEnd(qmp);
  await qmp.execute("migrate-incoming", { uri: `unix:${pathInPlace}` });
  try {
    const socket = connect(path);
    await once(socket, "connect");
    // QEMU closes the connection once it has read what it needs, whether or not we have seen our own end go
    // out: what counts is what it says of the state.
    const fed = pipeline(createReadStream(file), socket);
    fed.catch(() => {});
    await ended;
  } finally {
    rmSync(path, { force: true });
  }
}

function setCapabilities(qmp: QmpClient, withoutMemory: boolean): Promise<unknown> {
  return qmp.execute("migrate-set-capabilities", {
    capabilities: [
      { capability: "events", state: true },
      { capability: "x-ignore-shared", state: withoutMemory },
    ],
  });
}

async function migrationEnd(qmp: QmpClient): Promise<void> {
  let status = "";
  const end = qmp.waitFor(
    "MIGRATION",
    (data) => {
      status = String(data.status);
      return ["completed", "failed", "cancelled"].includes(status);
    },
    migrationTimeoutMs,
  );
  // Whoever waits for it may meet another error first.
  const result = end.then(() => {
    if (status !== "completed") {
      throw shimError("VMM_CONTROL", `QEMU could not move the VM's state: ${status}`);
    }
  });
  result.catch(() => {});
  return result;
}
