/**
 * Values as Go's fmt prints them with %v: `map[a:1 b:[x y]]`, keys sorted. Some server messages show
 * objects that way.
 */
import { isRecord } from "../schema/records.ts";

export function goText(value: unknown): string {
  if (value === null || value === undefined) return "<nil>";
  if (Array.isArray(value)) return `[${value.map(goText).join(" ")}]`;
  if (!isRecord(value)) return String(value);
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `map[${entries.map(([key, child]) => `${key}:${goText(child)}`).join(" ")}]`;
}
