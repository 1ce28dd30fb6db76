/** The statements of the SQLite twins. Shape: kine's append-only table (k3s-io/kine, pkg/drivers). */

/** Raised when the shape changes in a way old rows do not have. */
export const schemaVersion = 1;

export const schemaSql = `
CREATE TABLE IF NOT EXISTS objects (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  resource TEXT NOT NULL,
  namespace TEXT NOT NULL,
  name TEXT NOT NULL,
  previous INTEGER NOT NULL,
  deleted INTEGER NOT NULL,
  value TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS objects_by_key ON objects (resource, namespace, name, id);
CREATE TABLE IF NOT EXISTS store_facts (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
INSERT OR IGNORE INTO store_facts VALUES ('schema', ${schemaVersion}), ('compacted', 0);
`;

export const sql = {
  fact: "SELECT value FROM store_facts WHERE name = ?",
  setFact: "UPDATE store_facts SET value = ? WHERE name = ?",
  // sqlite_sequence survives the deletion of the newest row, so a revision is never given twice.
  current: "SELECT coalesce(max(seq), 0) AS revision FROM sqlite_sequence WHERE name = 'objects'",
  insert:
    "INSERT INTO objects (resource, namespace, name, previous, deleted, value) VALUES (?, ?, ?, ?, ?, ?)",
  newest:
    "SELECT id, deleted, value FROM objects WHERE resource = ? AND namespace = ? AND name = ? ORDER BY id DESC LIMIT 1",
  list: `
SELECT o.id, o.value FROM objects o JOIN (
  SELECT max(id) AS id FROM objects
  WHERE resource = @resource AND (@namespace IS NULL OR namespace = @namespace) AND id <= @revision
  GROUP BY namespace, name
) newest ON o.id = newest.id
WHERE o.deleted = 0 AND (o.namespace, o.name) > (@afterNamespace, @afterName)
ORDER BY o.namespace, o.name`,
  since: `
SELECT o.id, o.namespace, o.name, o.deleted, o.value, p.id AS previousId, p.value AS previousValue
FROM objects o LEFT JOIN objects p ON p.id = o.previous
WHERE o.resource = ? AND o.id > ? ORDER BY o.id`,
  // A row goes once a later row of its key is itself within the compacted range; so the state
  // before any event that can still be watched stays readable.
  compactReplaced: `
DELETE FROM objects WHERE id IN (SELECT previous FROM objects WHERE id <= @revision AND previous > 0)`,
  compactDeleted: "DELETE FROM objects WHERE deleted = 1 AND id <= @revision",
} as const;
