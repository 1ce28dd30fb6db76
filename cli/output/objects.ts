/** Versioned objects for `-o json|yaml|name`: what scripts read, so the shape only ever grows. */
import { stringify } from "yaml";

export const cliApiVersion = "katasim/v1";

export type OutputFormat = "table" | "wide" | "json" | "yaml" | "name";

export const outputFormats: readonly OutputFormat[] = ["table", "wide", "json", "yaml", "name"];

/** One object of ours: `{"apiVersion":"katasim/v1","kind":"Status", …}`. */
export function cliObject(kind: string, fields: object): object {
  return { apiVersion: cliApiVersion, kind, ...fields };
}

/** `{"apiVersion":"katasim/v1","kind":"SandboxList","items":[…]}`; `kind` is the item's. */
export function cliList(kind: string, items: readonly object[]): object {
  return cliObject(`${kind}List`, { items });
}

export function formatObject(value: object, format: "json" | "yaml"): string {
  return format === "json" ? `${JSON.stringify(value, null, 2)}\n` : stringify(value);
}
