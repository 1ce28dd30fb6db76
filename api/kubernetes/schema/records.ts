/** JSON objects that come from outside: safe reading and writing for keys such as "__proto__". */

export type JsonRecord = Record<string, unknown>;

export function isRecord(value: unknown): value is JsonRecord {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Plain assignment would call the setter for "__proto__". */
export function setField(target: object, key: string, value: unknown): void {
  Object.defineProperty(target, key, {
    value,
    enumerable: true,
    writable: true,
    configurable: true,
  });
}

/** The value of an own field; undefined for inherited ones such as "constructor". */
export function getField(source: object, key: string): unknown {
  return Object.hasOwn(source, key) ? (source as JsonRecord)[key] : undefined;
}

/** A deep copy of JSON data that keeps keys such as "__proto__" as data. */
export function cloneJson<T>(value: T): T {
  if (Array.isArray(value)) return value.map(cloneJson) as T;
  if (!isRecord(value)) return value;
  const copy = {};
  for (const [key, child] of Object.entries(value)) setField(copy, key, cloneJson(child));
  return copy as T;
}
