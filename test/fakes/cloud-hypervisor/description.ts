/** Cloud Hypervisor's published OpenAPI description as a judge of requests. */
import { readFileSync } from "node:fs";
import { Ajv, type ValidateFunction } from "ajv";
import { parse } from "yaml";

type Json = Record<string, unknown>;

export interface Description {
  /** What is wrong with a request; undefined when the description has it. */
  verdict(method: string, path: string, body: string): string | undefined;
}

export function readDescription(file: string): Description {
  const document = parse(readFileSync(file, "utf8")) as Json;
  refuseUnknownFields(document);
  const ajv = new Ajv({ strict: false, formats: { int64: true, int16: true, uint8: true } });
  ajv.addSchema(document, "api");
  const paths = document.paths as Record<string, Record<string, Json>>;
  const validators = new Map<string, ValidateFunction>();
  const validator = (reference: string) => {
    const known = validators.get(reference) ?? ajv.compile({ $ref: `api${reference}` });
    validators.set(reference, known);
    return known;
  };
  return {
    verdict(method, path, body) {
      const operation = paths[path]?.[method.toLowerCase()];
      if (operation === undefined) return `${method} ${path} is not in the description`;
      const content = (operation.requestBody as Json | undefined)?.content as Json | undefined;
      const schema = (content?.["application/json"] as { schema?: Json } | undefined)?.schema;
      if (schema === undefined) return body === "" ? undefined : `${path} takes no body`;
      const check = validator(String(schema.$ref));
      return check(JSON.parse(body)) ? undefined : `${path}: ${ajv.errorsText(check.errors)}`;
    },
  };
}

/** A misspelt field must not pass as one that is left out. */
function refuseUnknownFields(value: unknown): void {
  if (typeof value !== "object" || value === null) return;
  const schema = value as Json;
  if (schema.type === "object" && schema.properties !== undefined) {
    schema.additionalProperties ??= false;
  }
  for (const child of Object.values(schema)) refuseUnknownFields(child);
}
