/** Durations as Go's tools take them: 30s, 1m30s, 500ms, 2h. */
import { cliError } from "./errors.ts";

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** Milliseconds; a bare number is seconds, as in `kubectl --timeout`. Throws USAGE. */
export function parseDurationMs(text: string, option: string): number {
  if (/^\d+$/.test(text)) return Number(text) * 1000;
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)];
  if (parts.length === 0 || parts.map((part) => part[0]).join("") !== text) {
    throw cliError("USAGE", `${option}: "${text}" is not a duration`, {
      hint: `write it like ${option} 30s, 1m30s or 500ms`,
    });
  }
  return parts.reduce((sum, [, count, unit]) => sum + Number(count) * (unitMs[unit ?? ""] ?? 0), 0);
}
