/** Probes and lifecycle hooks. Source: kubernetes pkg/apis/core/validation (validateProbe, validateHandler). */
import type {
  Container,
  IntOrString,
  LifecycleHandler,
  Probe,
} from "../../../../proto/kubernetes/gen/types.ts";
import {
  type FieldError,
  forbidden,
  invalid,
  invalidEach,
  notSupported,
  required,
} from "./field-error.ts";
import { httpHeaderName, portName, portNumber } from "./strings.ts";

const kinds = ["livenessProbe", "readinessProbe", "startupProbe"] as const;

export function validateProbesAndLifecycle(
  container: Container,
  graceSeconds: number,
  path: string,
): FieldError[] {
  const errors: FieldError[] = [];
  for (const hook of ["postStart", "preStop"] as const) {
    const handler = container.lifecycle?.[hook];
    if (handler)
      errors.push(...validateHandler(handler, graceSeconds, `${path}.lifecycle.${hook}`));
  }
  for (const kind of kinds) {
    const probe = container[kind];
    if (probe) errors.push(...validateProbe(kind, probe, graceSeconds, `${path}.${kind}`));
  }
  return errors;
}

/** Init containers without restartPolicy Always end before the others start: nothing to probe. */
export function forbidProbesAndLifecycle(container: Container, path: string): FieldError[] {
  return (["lifecycle", ...kinds] as const)
    .filter((field) => container[field] !== undefined)
    .map((field) =>
      forbidden(
        `${path}.${field}`,
        "may not be set for init containers without restartPolicy=Always",
      ),
    );
}

function validateProbe(
  kind: (typeof kinds)[number],
  probe: Probe,
  graceSeconds: number,
  path: string,
): FieldError[] {
  const errors = validateHandler(probe, graceSeconds, path);
  const numbers = [
    "initialDelaySeconds",
    "timeoutSeconds",
    "periodSeconds",
    "successThreshold",
    "failureThreshold",
  ] as const;
  for (const field of numbers) {
    const value = probe[field] ?? 0;
    if (value < 0)
      errors.push(invalid(`${path}.${field}`, value, "must be greater than or equal to 0"));
  }
  const grace = probe.terminationGracePeriodSeconds;
  if (grace !== undefined && grace <= 0)
    errors.push(invalid(`${path}.terminationGracePeriodSeconds`, grace, "must be greater than 0"));
  if (kind === "readinessProbe") {
    if (grace !== undefined)
      errors.push(
        invalid(
          `${path}.terminationGracePeriodSeconds`,
          grace,
          "must not be set for readinessProbes",
        ),
      );
  } else if ((probe.successThreshold ?? 1) !== 1) {
    errors.push(invalid(`${path}.successThreshold`, probe.successThreshold, "must be 1"));
  }
  return errors;
}

function validateHandler(
  handler: Probe & LifecycleHandler,
  graceSeconds: number,
  path: string,
): FieldError[] {
  const errors: FieldError[] = [];
  let count = 0;
  for (const name of ["exec", "httpGet", "tcpSocket", "grpc", "sleep"] as const) {
    if (handler[name] === undefined) continue;
    count += 1;
    if (count > 1)
      errors.push(forbidden(`${path}.${name}`, "may not specify more than 1 handler type"));
  }
  if (count === 0) return [required(path, "must specify a handler type")];
  if (count > 1) return errors;
  const { exec, httpGet, tcpSocket, grpc, sleep } = handler;
  if (exec && (exec.command ?? []).length === 0) errors.push(required(`${path}.exec.command`));
  if (httpGet) {
    if (!httpGet.path) errors.push(required(`${path}.httpGet.path`));
    errors.push(...validatePort(httpGet.port, `${path}.httpGet.port`));
    const scheme = httpGet.scheme ?? "";
    if (scheme !== "HTTP" && scheme !== "HTTPS")
      errors.push(notSupported(`${path}.httpGet.scheme`, scheme, ["HTTP", "HTTPS"]));
    for (const { name } of httpGet.httpHeaders ?? [])
      errors.push(...invalidEach(`${path}.httpGet.httpHeaders`, name, httpHeaderName(name)));
  }
  if (tcpSocket) errors.push(...validatePort(tcpSocket.port, `${path}.tcpSocket.port`));
  if (grpc) errors.push(...validatePort(grpc.port, `${path}.grpc.port`));
  if (sleep && (sleep.seconds <= 0 || sleep.seconds > graceSeconds))
    errors.push(
      invalid(
        `${path}.sleep`,
        sleep.seconds,
        `must be greater than 0 and less than terminationGracePeriodSeconds (${graceSeconds})`,
      ),
    );
  return errors;
}

function validatePort(port: IntOrString | undefined, field: string): FieldError[] {
  if (typeof port === "string") return invalidEach(field, port, portName(port));
  return invalidEach(field, port ?? 0, portNumber(port ?? 0));
}
