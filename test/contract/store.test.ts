/** One suite over every store twin: what `api/store/store.ts` promises. */
import { spawnSync } from "node:child_process";
import {
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";
import type { KubeObject } from "../../api/kubernetes/object.ts";
import { createBetterSqliteStore } from "../../api/store/better-sqlite.ts";
import type { Store, StoreEvent } from "../../api/store/store.ts";
import type { SimError } from "../../common/errors.ts";

const folders: string[] = [];
const stores: Store[] = [];
afterEach(() => {
  for (const store of stores.splice(0)) store.close();
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

function makeFolder(): string {
  const folder = mkdtempSync("/tmp/kh-store-");
  folders.push(folder);
  return folder;
}

function keep(store: Store): Store {
  stores.push(store);
  return store;
}

const key = (name: string, namespace = "default", resource = "things") => ({
  resource,
  namespace,
  name,
});

const thing = (name: string, value: unknown = 0): KubeObject => ({
  apiVersion: "v1",
  kind: "Thing",
  metadata: { name },
  value,
});

const revisionOf = (object: KubeObject) => Number(object.metadata.resourceVersion);
const namesOf = (store: Store, query: object = {}) =>
  [...store.list({ resource: "things", ...query }).objects].map((o) => o.metadata.name);

function codeOf(work: () => unknown): string | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    return (error as SimError).code;
  }
}

describe.each([
  ["better-sqlite, file", () => createBetterSqliteStore({ file: join(makeFolder(), "s.sqlite") })],
  ["better-sqlite, memory", () => createBetterSqliteStore({ file: ":memory:" })],
])("store (%s)", (_name, make) => {
  const open = () => keep(make());

  it("gives every write a greater revision, which is the object's resourceVersion", () => {
    const store = open();
    const a = store.create(key("a"), thing("a"));
    const b = store.create(key("b"), thing("b"));
    const a2 = store.update(key("a"), thing("a", 1), revisionOf(a));
    const revisions = [a, b, a2].map(revisionOf);
    expect(revisions).toEqual([...revisions].sort((x, y) => x - y));
    expect(new Set(revisions).size).toBe(3);
    expect(store.get(key("a"))).toEqual(a2);
    expect(store.currentRevision()).toBe(revisionOf(a2));
  });

  it("compares and swaps", () => {
    const store = open();
    const a = store.create(key("a"), thing("a"));
    expect(codeOf(() => store.create(key("a"), thing("a")))).toBe("ALREADY_EXISTS");
    store.update(key("a"), thing("a", 1), revisionOf(a));
    expect(codeOf(() => store.update(key("a"), thing("a", 2), revisionOf(a)))).toBe("CONFLICT");
    expect(codeOf(() => store.delete(key("a"), a, revisionOf(a)))).toBe("CONFLICT");
    expect(codeOf(() => store.update(key("zz"), thing("zz"), 1))).toBe("CONFLICT");
    expect(store.get(key("a"))?.value).toBe(1);
  });

  it("forgets a deleted object and takes its name again", () => {
    const store = open();
    const a = store.create(key("a"), thing("a"));
    store.delete(key("a"), a, revisionOf(a));
    expect(store.get(key("a"))).toBeUndefined();
    expect(namesOf(store)).toEqual([]);
    store.create(key("a"), thing("a", 2));
    expect(store.get(key("a"))?.value).toBe(2);
  });

  it("keeps resources and namespaces apart and lists in order", () => {
    const store = open();
    for (const [name, namespace] of [
      ["b", "x"],
      ["a", "y"],
      ["a", "x"],
    ] as const) {
      store.create(key(name, namespace), thing(name));
    }
    store.create(key("other", "x", "others"), thing("other"));
    expect(namesOf(store)).toEqual(["a", "b", "a"]);
    expect(namesOf(store, { namespace: "x" })).toEqual(["a", "b"]);
    expect(namesOf(store, { after: { namespace: "x", name: "a" } })).toEqual(["b", "a"]);
  });

  it("shows the state at an older revision", () => {
    const store = open();
    const a = store.create(key("a"), thing("a"));
    const at = store.currentRevision();
    store.create(key("b"), thing("b"));
    store.delete(key("a"), a, revisionOf(a));
    expect(namesOf(store, { atRevision: at })).toEqual(["a"]);
    expect(namesOf(store)).toEqual(["b"]);
  });

  it("tells what happened after a revision, with the state before", () => {
    const store = open();
    const start = store.currentRevision();
    const a = store.create(key("a"), thing("a", 1));
    const a2 = store.update(key("a"), thing("a", 2), revisionOf(a));
    store.delete(key("a"), a2, revisionOf(a2));
    store.create(key("a"), thing("a", 3));
    const told = store.eventsSince("things", start);
    expect(told.map((e) => [e.type, e.object.value, e.previous?.value])).toEqual([
      ["ADDED", 1, undefined],
      ["MODIFIED", 2, 1],
      ["DELETED", 2, 2],
      ["ADDED", 3, undefined],
    ]);
    expect(store.eventsSince("things", told[1]?.revision ?? 0)).toHaveLength(2);
  });

  it("tells watchers the same, in order, also of writes made while telling", () => {
    const store = open();
    const start = store.currentRevision();
    const seen: StoreEvent[] = [];
    store.onEvent((event) => {
      if (event.key.name === "a") store.create(key("reaction"), thing("reaction"));
    });
    const stop = store.onEvent((event) => seen.push(event));
    store.create(key("a"), thing("a"));
    stop();
    store.create(key("late"), thing("late"));
    expect(seen.map((event) => event.key.name)).toEqual(["a", "reaction"]);
    expect(seen).toEqual(store.eventsSince("things", start).slice(0, 2));
  });

  it("answers EXPIRED before the compacted revision and everything after it", () => {
    const store = open();
    const a = store.create(key("a"), thing("a", 1));
    const a2 = store.update(key("a"), thing("a", 2), revisionOf(a));
    const b = store.create(key("b"), thing("b"));
    store.delete(key("b"), b, revisionOf(b));
    const compacted = store.currentRevision();
    store.compact(compacted);
    const a3 = store.update(key("a"), thing("a", 3), revisionOf(a2));
    expect(codeOf(() => store.eventsSince("things", compacted - 1))).toBe("EXPIRED");
    expect(codeOf(() => store.list({ resource: "things", atRevision: 1 }))).toBe("EXPIRED");
    expect(store.compactedRevision()).toBe(compacted);
    expect(store.eventsSince("things", compacted)).toEqual([
      expect.objectContaining({ type: "MODIFIED", object: a3, previous: a2 }),
    ]);
    expect(namesOf(store)).toEqual(["a"]);
  });

  it("never gives a revision twice, even after the newest row was compacted away", () => {
    const store = open();
    const a = store.create(key("a"), thing("a"));
    store.delete(key("a"), a, revisionOf(a));
    const before = store.currentRevision();
    store.compact(before);
    expect(store.currentRevision()).toBe(before);
    expect(revisionOf(store.create(key("b"), thing("b")))).toBe(before + 1);
  });

  it("serves the other watchers when one fails", () => {
    const store = open();
    const seen: string[] = [];
    store.onEvent(() => {
      throw new Error("a bad watcher");
    });
    store.onEvent((event) => seen.push(event.key.name));
    store.create(key("a"), thing("a"));
    expect(seen).toEqual(["a"]);
  });

  it("agrees with a plain map after any sequence of writes and compactions", () => {
    const step = fc.record({
      name: fc.constantFrom("a", "b", "c"),
      verb: fc.constantFrom("put", "delete", "compact"),
      value: fc.integer(),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 25 }), (steps) => {
        const store = make();
        const model = new Map<string, number>();
        const replay = new Map<string, number>();
        store.onEvent(({ type, key: { name }, object }) => {
          if (type === "DELETED") replay.delete(name);
          else replay.set(name, Number(object.value));
        });
        for (const { name, verb, value } of steps) {
          const current = store.get(key(name));
          if (verb === "compact") store.compact(store.currentRevision());
          else if (verb === "put") {
            model.set(name, value);
            if (current === undefined) store.create(key(name), thing(name, value));
            else store.update(key(name), thing(name, value), revisionOf(current));
          } else if (current !== undefined) {
            model.delete(name);
            store.delete(key(name), current, revisionOf(current));
          }
        }
        const listed = [...store.list({ resource: "things" }).objects];
        store.close();
        expect(new Map(listed.map((o) => [o.metadata.name, o.value]))).toEqual(model);
        expect(replay).toEqual(model);
      }),
      { numRuns: 40 },
    );
  });
});

describe("store file", () => {
  it("holds everything after a restart", () => {
    const file = join(makeFolder(), "s.sqlite");
    const first = createBetterSqliteStore({ file });
    const a = first.create(key("a"), thing("a", 1));
    first.close();
    const second = keep(createBetterSqliteStore({ file }));
    expect(second.get(key("a"))).toEqual(a);
    expect(second.currentRevision()).toBe(revisionOf(a));
    expect(second.eventsSince("things", 0)).toHaveLength(1);
  });

  it("is readable by its owner only, also beside itself", () => {
    const folder = makeFolder();
    keep(createBetterSqliteStore({ file: join(folder, "s.sqlite") })).create(key("a"), thing("a"));
    const modes = readdirSync(folder).map((name) => statSync(join(folder, name)).mode & 0o777);
    expect(modes).toEqual([0o600, 0o600, 0o600]);
  });

  it("loses nothing acknowledged to kill -9", () => {
    const folder = makeFolder();
    const file = join(folder, "s.sqlite");
    const entry = new URL("../../api/store/better-sqlite.ts", import.meta.url).pathname;
    const root = new URL("../..", import.meta.url).pathname;
    // The child says each revision only after the write returned, then dies without closing.
    const script = `
      import { createBetterSqliteStore } from ${JSON.stringify(entry)};
      import { writeSync } from "node:fs";
      const store = createBetterSqliteStore({ file: ${JSON.stringify(file)} });
      for (let i = 0; i < 200; i++) {
        const o = store.create({ resource: "things", namespace: "", name: "t" + i }, { apiVersion: "v1", kind: "T", metadata: {} });
        writeSync(1, o.metadata.resourceVersion + "\\n");
      }
      process.kill(process.pid, "SIGKILL");`;
    writeFileSync(join(folder, "child.ts"), script);
    const bundle = join(root, "node_modules", ".cache", `store-child-${process.pid}.mjs`);
    const built = spawnSync(
      join(root, "node_modules", ".bin", "esbuild"),
      [
        join(folder, "child.ts"),
        "--bundle",
        "--platform=node",
        "--format=esm",
        "--external:better-sqlite3",
        `--outfile=${bundle}`,
      ],
      { cwd: root },
    );
    try {
      expect(built.status, String(built.stderr)).toBe(0);
      const child = spawnSync(process.execPath, [bundle], { cwd: root });
      expect(child.signal).toBe("SIGKILL");
      const acknowledged = String(child.stdout).trim().split("\n");
      expect(acknowledged).toHaveLength(200);
      const store = keep(createBetterSqliteStore({ file }));
      expect([...store.list({ resource: "things" }).objects]).toHaveLength(200);
      expect(String(store.currentRevision())).toBe(acknowledged.at(-1));
    } finally {
      rmSync(bundle, { force: true });
    }
  });

  it.each([
    ["text instead of a database", (file: string) => writeFileSync(file, "not a database at all")],
    [
      "overwritten pages",
      (file: string) => {
        const store = createBetterSqliteStore({ file });
        for (let i = 0; i < 300; i += 1)
          store.create(key(`t${i}`), thing(`t${i}`, "x".repeat(500)));
        store.close();
        const handle = openSync(file, "r+");
        writeSync(handle, Buffer.alloc(40_000, 0x5a), 0, 40_000, 8192);
      },
    ],
  ])("is reported and left alone when damaged: %s", (_what, damage) => {
    const file = join(makeFolder(), "s.sqlite");
    damage(file);
    const before = readFileSync(file);
    let caught: SimError | undefined;
    try {
      keep(createBetterSqliteStore({ file }));
    } catch (error) {
      caught = error as SimError;
    }
    expect(caught?.code).toBe("STORE_CORRUPT");
    expect(caught?.message).toContain(file);
    expect(caught?.hint).toContain("move it away");
    expect(readFileSync(file).equals(before)).toBe(true);
  });

  it("refuses a write that does not fit, and nothing of it is there", () => {
    const file = join(makeFolder(), "s.sqlite");
    const store = keep(createBetterSqliteStore({ file, quotaBytes: 256 * 1024 }));
    store.create(key("a"), thing("a"));
    const seen: StoreEvent[] = [];
    store.onEvent((event) => seen.push(event));
    const huge = thing("huge", "x".repeat(1024 * 1024));
    let caught: SimError | undefined;
    try {
      store.create(key("huge"), huge);
    } catch (error) {
      caught = error as SimError;
    }
    expect(caught?.code).toBe("STORE_FULL");
    expect(caught?.definition.httpStatus).toBe(507);
    expect(caught?.message).toContain(file);
    expect(store.get(key("huge"))).toBeUndefined();
    expect(seen).toEqual([]);
    store.create(key("b"), thing("b"));
    expect(namesOf(store)).toEqual(["a", "b"]);
  });

  it("says which folder cannot be written", () => {
    const folder = makeFolder();
    writeFileSync(join(folder, "file"), "");
    expect(codeOf(() => createBetterSqliteStore({ file: join(folder, "file", "s.sqlite") }))).toBe(
      "STORE_UNAVAILABLE",
    );
  });
});
