/** Creates an object. Order of steps: apiserver pkg/registry/generic/registry/store.go Create. */
import { isSimError } from "../../../common/errors.ts";
import { admit } from "../admission/chain.ts";
import { validateObject } from "../admission/validation/index.ts";
import type { ApiContext } from "../context.ts";
import type { ResourceDefinition } from "../define-resource.ts";
import type { KubeObject } from "../object.ts";
import { alreadyExists, invalid } from "../status-errors.ts";
import { fromStored, storeKey, toStored } from "./keys.ts";
import { fillMetadata, generateName } from "./metadata.ts";
import type { WriteOptions } from "./options.ts";

// RetryGenerateName: a generated name that is taken is drawn anew.
const generateNameAttempts = 8;

/** `object` is already decoded and defaulted. Answers what was stored. */
export function createObject(
  context: ApiContext,
  definition: ResourceDefinition,
  namespace: string,
  object: KubeObject,
  options: WriteOptions,
): KubeObject {
  const nowMs = context.clock.nowMs();
  const generated = !object.metadata.name && Boolean(object.metadata.generateName);
  fillMetadata(object, definition.namespaced ? namespace : "", nowMs);
  admit(context, {
    operation: "CREATE",
    definition,
    namespace,
    object,
    old: undefined,
    warn: options.warn,
  });
  definition.prepareCreate?.(object, nowMs);
  const name = object.metadata.name ?? "";
  const problems = validateObject(definition, object);
  if (problems.length > 0) throw invalid(definition, name, problems);

  for (let attempt = 1; ; attempt += 1) {
    const key = storeKey(definition, { namespace, name: object.metadata.name ?? "" });
    try {
      if (options.dryRun) {
        if (context.store.get(key) !== undefined) throw alreadyExists(definition, key.name);
        return object;
      }
      return fromStored(definition, context.store.create(key, toStored(definition, object)));
    } catch (error) {
      if (!isSimError(error) || error.code !== "ALREADY_EXISTS") throw error;
      if (!generated || attempt === generateNameAttempts) throw alreadyExists(definition, key.name);
      object.metadata.name = generateName(object.metadata.generateName ?? "");
    }
  }
}
