/** Store twin: one SQLite file through better-sqlite3. */
import { chmodSync, closeSync, mkdirSync, openSync } from "node:fs";
import { dirname } from "node:path";
import Database from "better-sqlite3";
import { isSimError, messageOf, type SimError } from "../../common/errors.ts";
import { apiError } from "../errors.ts";
import type { KubeObject } from "../kubernetes/object.ts";
import { schemaSql, schemaVersion, sql } from "./sql.ts";
import type { ListQuery, ObjectKey, Store, StoreEvent } from "./store.ts";
import { createWatchHub } from "./watch-hub.ts";

// etcd's --quota-backend-bytes: a runaway client must not fill the host's disk.
const defaultQuotaBytes = 2 * 1024 ** 3;

interface NewestRow {
  readonly id: number;
  readonly deleted: number;
  readonly value: string;
}

interface SinceRow extends NewestRow {
  readonly namespace: string;
  readonly name: string;
  readonly previousId: number | null;
  readonly previousValue: string | null;
}

export interface BetterSqliteOptions {
  /** The database file, or ":memory:". Its folder is made with mode 0700. */
  readonly file: string;
  readonly quotaBytes?: number;
  /** Told when a watcher threw: the write stands, and the other watchers are served. */
  readonly onListenerError?: (error: unknown) => void;
}

/** Opens or creates the database. Never deletes or repairs a file it cannot read. */
export function createBetterSqliteStore(options: BetterSqliteOptions): Store {
  const { file } = options;
  const guard = <T>(work: () => T): T => {
    try {
      return work();
    } catch (error) {
      throw fromSqliteError(error, file);
    }
  };
  const database = guard(() => openDatabase(file, options.quotaBytes ?? defaultQuotaBytes));
  const prepared = guard(() => ({
    fact: database.prepare<[string], { value: number }>(sql.fact),
    setFact: database.prepare<[number, string]>(sql.setFact),
    current: database.prepare<[], { revision: number }>(sql.current),
    insert: database.prepare<[string, string, string, number, number, string]>(sql.insert),
    newest: database.prepare<[string, string, string], NewestRow>(sql.newest),
    list: database.prepare<[Record<string, unknown>], { id: number; value: string }>(sql.list),
    since: database.prepare<[string, number], SinceRow>(sql.since),
    compactReplaced: database.prepare<[{ revision: number }]>(sql.compactReplaced),
    compactDeleted: database.prepare<[{ revision: number }]>(sql.compactDeleted),
  }));
  const hub = createWatchHub(options.onListenerError);

  const currentRevision = () => guard(() => prepared.current.get()?.revision ?? 0);
  const compactedRevision = () => guard(() => prepared.fact.get("compacted")?.value ?? 0);
  const newestRow = (key: ObjectKey) => prepared.newest.get(key.resource, key.namespace, key.name);

  const assertNotCompacted = (revision: number) => {
    const compacted = compactedRevision();
    if (revision < compacted) {
      throw apiError("EXPIRED", `too old resource version: ${revision} (${compacted})`);
    }
  };

  const append = (
    key: ObjectKey,
    object: KubeObject,
    kind: StoreEvent["type"],
    previous: NewestRow | undefined,
  ): StoreEvent => {
    const { resourceVersion: _dropped, ...metadata } = object.metadata;
    const value = JSON.stringify({ ...object, metadata });
    const result = prepared.insert.run(
      key.resource,
      key.namespace,
      key.name,
      kind === "ADDED" ? 0 : (previous?.id ?? 0),
      kind === "DELETED" ? 1 : 0,
      value,
    );
    const revision = Number(result.lastInsertRowid);
    return {
      type: kind,
      key,
      revision,
      object: parse(value, revision),
      previous:
        kind === "ADDED" || previous === undefined ? undefined : parse(previous.value, previous.id),
    };
  };

  const replaceTransaction = database.transaction(
    (key: ObjectKey, object: KubeObject, expected: number, kind: "MODIFIED" | "DELETED") => {
      const newest = newestRow(key);
      if (newest === undefined || newest.deleted === 1 || newest.id !== expected) {
        throw apiError("CONFLICT", `${key.resource} "${key.name}" is no longer at ${expected}`);
      }
      return append(key, object, kind, newest);
    },
  );
  const createTransaction = database.transaction((key: ObjectKey, object: KubeObject) => {
    const newest = newestRow(key);
    if (newest !== undefined && newest.deleted === 0) {
      throw apiError("ALREADY_EXISTS", `${key.resource} "${key.name}" already exists`);
    }
    return append(key, object, "ADDED", newest);
  });
  const compactTransaction = database.transaction((revision: number) => {
    prepared.compactReplaced.run({ revision });
    prepared.compactDeleted.run({ revision });
    prepared.setFact.run(revision, "compacted");
  });

  // Listeners run after the commit: what a watcher has seen can no longer be rolled back.
  const publish = (event: StoreEvent): KubeObject => {
    hub.publish(event);
    return event.object;
  };

  return {
    currentRevision,
    compactedRevision,
    get: (key) =>
      guard(() => {
        const row = newestRow(key);
        return row === undefined || row.deleted === 1 ? undefined : parse(row.value, row.id);
      }),
    list: (query: ListQuery) =>
      guard(() => {
        if (query.atRevision !== undefined) assertNotCompacted(query.atRevision);
        const revision = query.atRevision ?? currentRevision();
        const rows = prepared.list.all({
          resource: query.resource,
          namespace: query.namespace ?? null,
          revision,
          afterNamespace: query.after?.namespace ?? "",
          afterName: query.after?.name ?? "",
        });
        return { revision, count: rows.length, objects: parseRows(rows) };
      }),
    create: (key, object) => publish(guard(() => createTransaction.immediate(key, object))),
    update: (key, object, expected) =>
      publish(guard(() => replaceTransaction.immediate(key, object, expected, "MODIFIED"))),
    delete: (key, object, expected) =>
      publish(guard(() => replaceTransaction.immediate(key, object, expected, "DELETED"))),
    eventsSince: (resource, revision) =>
      guard(() => {
        assertNotCompacted(revision);
        return prepared.since.all(resource, revision).map((row) => eventFromRow(resource, row));
      }),
    onEvent: hub.subscribe,
    compact: (revision) => {
      guard(() => {
        if (revision > compactedRevision()) compactTransaction.immediate(revision);
      });
    },
    close: () => {
      hub.close();
      database.close();
    },
  };
}

function openDatabase(file: string, quotaBytes: number): Database.Database {
  if (file !== ":memory:") {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    // It holds secrets. SQLite gives its -wal and -shm files the mode of this one.
    closeSync(openSync(file, "a", 0o600));
    chmodSync(file, 0o600);
  }
  const database = new Database(file);
  try {
    database.pragma("journal_mode = WAL");
    // NORMAL: a commit is in the page cache when it is acknowledged, so kill -9 loses nothing. Only
    // a power cut may lose the last ones, and that takes the pods' VMs away as well. FULL would
    // stop the event loop for an fsync on every status patch.
    database.pragma("synchronous = NORMAL");
    database.pragma("busy_timeout = 5000");
    const pageBytes = Number(database.pragma("page_size", { simple: true }));
    database.pragma(`max_page_count = ${Math.max(16, Math.floor(quotaBytes / pageBytes))}`);
    const verdict = String(database.pragma("quick_check(1)", { simple: true }));
    if (verdict !== "ok") throw corrupt(file, verdict);
    database.exec(schemaSql);
    const version = database.prepare<[string], { value: number }>(sql.fact).get("schema")?.value;
    if (version !== schemaVersion) {
      throw apiError(
        "STORE_UNAVAILABLE",
        `the database ${file} has schema ${version}, this katasim reads ${schemaVersion}`,
        { hint: "use the katasim version that wrote it, or another --home" },
      );
    }
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

function* parseRows(rows: ReadonlyArray<{ id: number; value: string }>): Generator<KubeObject> {
  for (const row of rows) yield parse(row.value, row.id);
}

function parse(value: string, revision: number): KubeObject {
  const object = JSON.parse(value) as KubeObject;
  object.metadata.resourceVersion = String(revision);
  return object;
}

function eventFromRow(resource: string, row: SinceRow): StoreEvent {
  const created = row.previousId === null || row.previousValue === null;
  return {
    type: row.deleted === 1 ? "DELETED" : created ? "ADDED" : "MODIFIED",
    key: { resource, namespace: row.namespace, name: row.name },
    revision: row.id,
    object: parse(row.value, row.id),
    previous:
      row.previousId === null || row.previousValue === null
        ? undefined
        : parse(row.previousValue, row.previousId),
  };
}

function corrupt(file: string, verdict: string, cause?: unknown): SimError {
  return apiError("STORE_CORRUPT", `the database ${file} is damaged: ${verdict}`, {
    hint: `keep a copy of ${file} (and its -wal file), then move it away and start again; or try "sqlite3 ${file} .recover"`,
    ...(cause === undefined ? {} : { cause }),
  });
}

/** SQLite's result codes (sqlite.org/rescode.html) in this layer's words. */
function fromSqliteError(error: unknown, file: string): unknown {
  if (isSimError(error)) return error;
  const code = (error as { code?: unknown } | null)?.code;
  if (typeof code !== "string") return error;
  if (code.startsWith("SQLITE_CORRUPT") || code === "SQLITE_NOTADB") {
    return corrupt(file, messageOf(error), error);
  }
  // A full disk shows as FULL, or as a failed write or sync where the file system allots late.
  if (code === "SQLITE_FULL" || code === "SQLITE_IOERR_WRITE" || code === "ENOSPC") {
    return apiError(
      "STORE_FULL",
      `the database ${file} cannot grow: ${messageOf(error)}; nothing was written`,
      { cause: error, hint: `free space on the disk of ${file} and repeat the request` },
    );
  }
  if (code.startsWith("SQLITE_") || code.startsWith("E")) {
    return apiError(
      "STORE_UNAVAILABLE",
      `the database ${file} cannot be used: ${messageOf(error)} (${code})`,
      { cause: error, hint: `check that ${dirname(file)} exists and is writable by this user` },
    );
  }
  return error;
}
