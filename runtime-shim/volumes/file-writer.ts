/**
 * WRITE_FILE requests, several on their way at once: the agent carries them out in the order in which
 * they were sent, so a folder is there before its files, and a thousand keys do not cost a thousand
 * round trips.
 */
import { constants } from "node:fs";
import type { GuestClient } from "../guest-client/client.ts";
import type { FieldList } from "../guest-client/fields.ts";

export interface FileMeta {
  /** Permission bits; the rest is ignored. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

export interface FileWriter {
  folder(path: string, meta: FileMeta): Promise<void>;
  /** Takes the place of another link in one step. */
  link(path: string, target: string, meta?: FileMeta): Promise<void>;
  /** The file appears with the `last` piece. The bytes may be used again at once. */
  piece(path: string, meta: FileMeta, offset: number, bytes: Buffer, last: boolean): Promise<void>;
  /** Rejects with the first failure; so do the verbs once there is one. */
  done(): Promise<void>;
}

const { S_IFDIR, S_IFREG, S_IFLNK } = constants;
const maxRequests = 64;
// Of the shim's memory, and of what a busy guest is late by.
const maxBytes = 2 << 20;

export function createFileWriter(guest: GuestClient): FileWriter {
  const pending = new Set<Promise<void>>();
  let bytesPending = 0;
  let failure: { readonly error: unknown } | undefined;

  const settled = () => {
    if (failure !== undefined) throw failure.error;
  };
  const send = async (type: number, path: string, meta: FileMeta, rest: FieldList, size = 0) => {
    settled();
    const { mode, uid, gid } = meta;
    bytesPending += size;
    const request = guest
      .request("writeFile", [[1, path], [2, type | (mode & 0o7777)], [3, uid], [4, gid], ...rest])
      .then(
        () => {},
        (error: unknown) => {
          failure ??= { error };
        },
      )
      .finally(() => {
        bytesPending -= size;
        pending.delete(request);
      });
    pending.add(request);
    while (pending.size >= maxRequests || (bytesPending > maxBytes && pending.size > 0)) {
      await Promise.race(pending);
    }
    settled();
  };
  return {
    folder: (path, meta) => send(S_IFDIR, path, meta, []),
    link: (path, target, meta = { mode: 0o777, uid: 0, gid: 0 }) =>
      send(S_IFLNK, path, meta, [
        [6, Buffer.from(target)],
        [7, 1],
      ]),
    piece: (path, meta, offset, bytes, last) =>
      send(
        S_IFREG,
        path,
        meta,
        [[5, offset], [6, bytes], ...(last ? ([[7, 1]] as const) : [])],
        bytes.length,
      ),
    async done() {
      await Promise.all(pending);
      settled();
    },
  };
}
