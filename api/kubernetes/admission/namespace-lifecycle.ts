/** Objects need a living namespace. Source: apiserver admission/plugin/namespace/lifecycle. */
import { forbidden, notFound } from "../status-errors.ts";
import type { AdmissionStep } from "./admission-step.ts";

const immortal: readonly string[] = ["default", "kube-system", "kube-public"];

export const guardNamespace: AdmissionStep = (context, request) => {
  const { definition, operation, namespace, object } = request;
  const name = object.metadata.name ?? "";
  if (operation === "DELETE" && definition.storage === "namespaces" && immortal.includes(name)) {
    throw forbidden(definition, name, "this namespace may not be deleted");
  }
  if (operation !== "CREATE" || !definition.namespaced) return;
  const owner = context.store.get({ resource: "namespaces", namespace: "", name: namespace });
  if (owner === undefined) throw notFound({ group: "", plural: "namespaces" }, namespace);
  if (owner.metadata.deletionTimestamp !== undefined) {
    throw forbidden(
      definition,
      name,
      `unable to create new content in namespace ${namespace} because it is being terminated`,
      [
        {
          reason: "NamespaceTerminating",
          message: `namespace ${namespace} is being terminated`,
          field: "metadata.namespace",
        },
      ],
    );
  }
};
