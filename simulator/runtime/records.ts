/**
 * What the adapter knows of sandboxes and containers, in the node's SQLite database, so that a
 * killed node finds its shims again and restart counts and exit codes survive.
 */
import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import Database from "better-sqlite3";
import type { TimelineStep } from "../../common/timeline.ts";
import type { ContainerSpec, ContainerState, SandboxSpec } from "../runtime-port.ts";
import type { KataVm } from "./kata/vm.ts";

export interface SandboxRecord {
  readonly id: string;
  readonly handler: string;
  readonly spec: SandboxSpec;
  readonly createdAtMs: number;
  /** "creating" rows are leftovers of a killed process: recover() clears them away. */
  readonly state: "creating" | "ready" | "notready";
  /** Absent when the pod's VM plays its network itself. */
  readonly netnsPath?: string;
  readonly ip?: string;
  /** The guest's address with the prefix length, for a VM that plays its network. */
  readonly guestAddress?: string;
  /** What the pod cannot do on its network. */
  readonly limit?: string;
  /** What the shim's `start` answered; absent until then. */
  readonly address?: string;
  readonly shimPid?: number;
  /** Process whose namespaces containers join: pause, or the VMM. */
  readonly taskPid?: number;
  readonly reason?: string;
  /** Genuine Kata runs it. */
  readonly kata?: KataVm;
  /** How its start went, as far as the adapter sees it. */
  readonly timeline?: readonly TimelineStep[];
}

export interface ContainerRecord {
  readonly id: string;
  readonly sandboxId: string;
  readonly spec: ContainerSpec;
  readonly createdAtMs: number;
  readonly state: ContainerState;
  /** Set from the moment the shim is asked to create the task until the task is deleted. */
  readonly inShim: boolean;
  readonly stopSignal: number;
  readonly startedAtMs?: number;
  readonly finishedAtMs?: number;
  readonly exitCode?: number;
  readonly reason?: string;
  readonly message?: string;
}

export interface RuntimeRecords {
  sandboxes(): readonly SandboxRecord[];
  containers(): readonly ContainerRecord[];
  putSandbox(record: SandboxRecord): void;
  putContainer(record: ContainerRecord): void;
  deleteSandbox(id: string): void;
  deleteContainer(id: string): void;
  close(): void;
}

export function openRuntimeRecords(file: string): RuntimeRecords {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  const db = new Database(file);
  db.pragma("journal_mode = WAL");
  // The API's store writes to the same file.
  db.pragma("busy_timeout = 5000");
  db.exec(`
    CREATE TABLE IF NOT EXISTS runtime_sandboxes (id TEXT PRIMARY KEY, record TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS runtime_containers (id TEXT PRIMARY KEY, record TEXT NOT NULL);
  `);
  const table = <T extends { readonly id: string }>(name: string) => {
    const put = db.prepare(`INSERT OR REPLACE INTO ${name} VALUES (?, ?)`);
    const remove = db.prepare(`DELETE FROM ${name} WHERE id = ?`);
    const all = db.prepare<[], { record: string }>(`SELECT record FROM ${name} ORDER BY rowid`);
    return {
      put: (record: T) => void put.run(record.id, JSON.stringify(record)),
      remove: (id: string) => void remove.run(id),
      all: () => all.all().map((row) => JSON.parse(row.record) as T),
    };
  };
  const sandboxes = table<SandboxRecord>("runtime_sandboxes");
  const containers = table<ContainerRecord>("runtime_containers");
  return {
    sandboxes: sandboxes.all,
    containers: containers.all,
    putSandbox: sandboxes.put,
    putContainer: containers.put,
    deleteSandbox: sandboxes.remove,
    deleteContainer: containers.remove,
    close: () => db.close(),
  };
}
