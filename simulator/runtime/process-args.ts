/**
 * What a container runs: Kubernetes' command and args over the image's Entrypoint and Cmd, and the
 * environment in containerd's order. Sources: containerd internal/cri/opts/spec_opts.go
 * WithProcessArgs, internal/cri/server/container_create.go.
 */
import type { ImageConfig } from "../images/index.ts";
import type { ContainerSpec } from "../runtime-port.ts";
import { runtimeError } from "./errors.ts";

type Wanted = Pick<ContainerSpec, "command" | "args">;

export function processArgs(wanted: Wanted, image: ImageConfig): readonly string[] {
  const command = wanted.command ?? [];
  let args = wanted.args ?? [];
  if (command.length > 0) return [...command, ...args];
  if (args.length === 0) args = image.config?.Cmd ?? [];
  const whole = [...(image.config?.Entrypoint ?? []), ...args];
  if (whole.length > 0 && whole[0] !== "") return whole;
  throw runtimeError(
    "CONTAINER_CREATE_FAILED",
    "failed to generate container spec: no command specified",
    {
      hint: "The image names no command: set `command` in the container.",
    },
  );
}

/** containerd pkg/oci/spec.go defaultUnixEnv. */
export const defaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

export interface EnvironmentSources {
  readonly image: ImageConfig;
  readonly hostname: string;
  readonly tty: boolean;
  readonly env: ContainerSpec["env"];
}

/** Later values win and keep the place of the earlier ones. */
export function environment({ image, hostname, tty, env }: EnvironmentSources): readonly string[] {
  const values = new Map<string, string>();
  const put = (pair: string) => {
    const equals = pair.indexOf("=");
    if (equals > 0) values.set(pair.slice(0, equals), pair.slice(equals + 1));
  };
  put(defaultPath);
  put(`HOSTNAME=${hostname}`);
  if (tty) put("TERM=xterm");
  for (const pair of image.config?.Env ?? []) put(pair);
  for (const { name, value } of env) values.set(name, value);
  return [...values].map(([name, value]) => `${name}=${value}`);
}
