/**
 * Times as metav1.Time and metav1.MicroTime read and write them: RFC 3339 in UTC, whole seconds or
 * microseconds. Source: apimachinery pkg/apis/meta/v1/time.go, micro_time.go; Go time.Parse.
 */

type TimeFormat = "date-time" | "date-time-micro";

const pattern =
  /^(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2}):(\d{2})(?:[.,](\d+))?(Z|[+-]\d{2}:\d{2})$/;

const layouts: Readonly<Record<TimeFormat, string>> = {
  "date-time": "2006-01-02T15:04:05Z07:00",
  "date-time-micro": "2006-01-02T15:04:05.000000Z07:00",
};

/** What time.Parse says of a text that is no such time; undefined when it is one. */
export function timeProblem(text: string, format: TimeFormat): string | undefined {
  if (pattern.test(text) && !Number.isNaN(Date.parse(text))) return undefined;
  const layout = layouts[format];
  const year = /^\d{4}/.test(text);
  const rest = year ? text.slice(4) : text;
  if (pattern.test(text)) return `parsing time "${text}": day out of range`;
  return `parsing time "${text}" as "${layout}": cannot parse "${rest}" as "${year ? "-" : "2006"}"`;
}

/** The text the server answers with; the input unchanged when it is no time. */
export function canonicalTime(text: string, format: TimeFormat): string {
  const match = pattern.exec(text);
  const ms = Date.parse(text);
  if (!match || Number.isNaN(ms)) return text;
  const seconds = new Date(ms).toISOString().slice(0, 19);
  if (format === "date-time") return `${seconds}Z`;
  return `${seconds}.${(match[7] ?? "").padEnd(6, "0").slice(0, 6)}Z`;
}
