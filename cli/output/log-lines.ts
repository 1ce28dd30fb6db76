/** pino's JSON lines as a person reads them; lines that are no JSON pass as they are. */

const levels: Readonly<Record<number, string>> = {
  10: "TRACE",
  20: "DEBUG",
  30: "INFO ",
  40: "WARN ",
  50: "ERROR",
  60: "FATAL",
};

/**
 * The line to print, or undefined when it belongs to another component. "all" and "shim" take every
 * line; "api" and "agent" take those of the child logger with that `component`.
 */
export function readLogLine(line: string, component: string): string | undefined {
  const entry = parseEntry(line);
  const everything = component === "all" || component === "shim";
  if (entry === undefined) return everything ? line : undefined;
  const { level, time, msg, component: from, ...fields } = entry;
  if (!everything && from !== component) return undefined;
  const clock = typeof time === "string" ? time : new Date(Number(time)).toISOString();
  const origin = typeof from === "string" ? ` [${from}]` : "";
  const rest = Object.entries(fields)
    .map(([key, value]) => ` ${key}=${typeof value === "string" ? value : JSON.stringify(value)}`)
    .join("");
  return `${clock} ${levels[Number(level)] ?? String(level)}${origin} ${String(msg ?? "")}${rest}`;
}

function parseEntry(line: string): Record<string, unknown> | undefined {
  if (!line.startsWith("{")) return undefined;
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null && "level" in value
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}
