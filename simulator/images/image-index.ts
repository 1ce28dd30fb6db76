/**
 * Which image names this machine knows and what they stand for, in SQLite beside the content, so
 * that several processes (nodes, `katasim image …`) may share one store.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import Database from "better-sqlite3";

export interface ImageRow {
  /** Config digest, "sha256:…". */
  readonly id: string;
  readonly sizeBytes: number;
  /** OCI image config (opencontainers/image-spec config.md), JSON. */
  readonly config: string;
}

export interface NameRow {
  readonly name: string;
  readonly id: string;
  /** The canonical name it was served from. */
  readonly resolved: string;
  readonly sizeBytes: number;
  readonly addedAtMs: number;
  /** Set when another image stands in for this one. */
  readonly substituteReason: string | null;
}

export interface ImageIndex {
  image(id: string): ImageRow | undefined;
  name(name: string): NameRow | undefined;
  names(): readonly NameRow[];
  imageIds(): readonly string[];
  putImage(row: ImageRow): void;
  putName(row: Omit<NameRow, "sizeBytes">): void;
  removeName(name: string): boolean;
  /** Forgets an image that no name refers to; answers whether it did. */
  removeUnnamed(id: string): boolean;
  /** Reason while the host is known not to answer. */
  unreachable(host: string, nowMs: number): string | undefined;
  setUnreachable(host: string, untilMs: number, reason: string): void;
  clearUnreachable(host: string): void;
  fact(key: string): string | undefined;
  setFact(key: string, value: string): void;
  close(): void;
}

const schema = `
  CREATE TABLE IF NOT EXISTS images (id TEXT PRIMARY KEY, sizeBytes INTEGER NOT NULL, config TEXT NOT NULL);
  CREATE TABLE IF NOT EXISTS names (
    name TEXT PRIMARY KEY, id TEXT NOT NULL REFERENCES images (id), resolved TEXT NOT NULL,
    addedAtMs INTEGER NOT NULL, substituteReason TEXT);
  CREATE TABLE IF NOT EXISTS unreachable (host TEXT PRIMARY KEY, untilMs INTEGER NOT NULL, reason TEXT NOT NULL);
  CREATE TABLE IF NOT EXISTS facts (key TEXT PRIMARY KEY, value TEXT NOT NULL);
`;

export function openImageIndex(folder: string): ImageIndex {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const db = new Database(join(folder, "index.sqlite"));
  db.pragma("journal_mode = WAL");
  db.pragma("busy_timeout = 5000");
  db.pragma("foreign_keys = ON");
  db.exec(schema);
  const nameColumns =
    "n.name, n.id, n.resolved, n.addedAtMs, n.substituteReason, i.sizeBytes FROM names n JOIN images i ON i.id = n.id";
  const prepared = {
    image: db.prepare<[string], ImageRow>("SELECT id, sizeBytes, config FROM images WHERE id = ?"),
    imageIds: db.prepare<[], { id: string }>("SELECT id FROM images"),
    name: db.prepare<[string], NameRow>(`SELECT ${nameColumns} WHERE n.name = ?`),
    names: db.prepare<[], NameRow>(`SELECT ${nameColumns} ORDER BY n.name`),
    putImage: db.prepare(
      "INSERT INTO images VALUES (@id, @sizeBytes, @config) ON CONFLICT (id) DO NOTHING",
    ),
    putName: db.prepare(
      "INSERT OR REPLACE INTO names VALUES (@name, @id, @resolved, @addedAtMs, @substituteReason)",
    ),
    removeName: db.prepare("DELETE FROM names WHERE name = ?"),
    removeUnnamed: db.prepare(
      "DELETE FROM images WHERE id = @id AND NOT EXISTS (SELECT 1 FROM names WHERE id = @id)",
    ),
    unreachable: db.prepare<[string, number], { reason: string }>(
      "SELECT reason FROM unreachable WHERE host = ? AND untilMs > ?",
    ),
    setUnreachable: db.prepare("INSERT OR REPLACE INTO unreachable VALUES (?, ?, ?)"),
    clearUnreachable: db.prepare("DELETE FROM unreachable WHERE host = ?"),
    fact: db.prepare<[string], { value: string }>("SELECT value FROM facts WHERE key = ?"),
    setFact: db.prepare("INSERT OR REPLACE INTO facts VALUES (?, ?)"),
  };
  return {
    image: (id) => prepared.image.get(id),
    imageIds: () => prepared.imageIds.all().map((row) => row.id),
    name: (name) => prepared.name.get(name),
    names: () => prepared.names.all(),
    putImage: (row) => void prepared.putImage.run(row),
    putName: (row) => void prepared.putName.run(row),
    removeName: (name) => prepared.removeName.run(name).changes > 0,
    removeUnnamed: (id) => prepared.removeUnnamed.run({ id }).changes > 0,
    unreachable: (host, nowMs) => prepared.unreachable.get(host, nowMs)?.reason,
    setUnreachable: (host, untilMs, reason) =>
      void prepared.setUnreachable.run(host, untilMs, reason),
    clearUnreachable: (host) => void prepared.clearUnreachable.run(host),
    fact: (key) => prepared.fact.get(key)?.value,
    setFact: (key, value) => void prepared.setFact.run(key, value),
    close: () => db.close(),
  };
}
