/**
 * A shim's command line as containerd writes it (pkg/shim/shim.go): Go flags, one dash or two, value
 * behind a space or "=", all before the action.
 */
import { shimError } from "./errors.ts";

export type ShimAction = "start" | "delete" | "run" | "spare" | "version" | "info";

export interface ShimArguments {
  readonly action: ShimAction;
  readonly namespace: string;
  readonly id: string;
  /** containerd's gRPC socket; here only a part of the sockets' names. */
  readonly address: string;
  readonly bundle: string;
  readonly debug: boolean;
}

const valueFlags = new Set(["namespace", "id", "address", "bundle", "publish-binary", "socket"]);
const switches: Readonly<Record<string, ShimAction | "debug">> = {
  debug: "debug",
  v: "version",
  version: "version",
  info: "info",
};

/** Throws BAD_ARGUMENTS. No action means: be the daemon. */
export function parseArguments(argv: readonly string[], cwd: string): ShimArguments {
  const values = new Map<string, string>();
  const actions: string[] = [];
  let debug = false;
  let special: ShimAction | undefined;
  for (let index = 0; index < argv.length; index += 1) {
    const argument = argv[index] as string;
    const match = /^--?([a-z][a-z-]*)(?:=(.*))?$/s.exec(argument);
    if (match === null) {
      actions.push(argument);
      continue;
    }
    const name = match[1] as string;
    const known = switches[name];
    if (known === "debug") debug = match[2] !== "false";
    else if (known !== undefined) special = known;
    else if (valueFlags.has(name)) {
      const value = match[2] ?? argv[++index];
      if (value === undefined) throw shimError("BAD_ARGUMENTS", `the flag -${name} needs a value`);
      values.set(name, value);
    } else throw shimError("BAD_ARGUMENTS", `unknown flag ${argument}`);
  }
  const action = special ?? actionOf(actions);
  const need = (name: string) => {
    const value = values.get(name);
    if (value !== undefined && value !== "") return value;
    if (action === "version" || action === "info" || action === "spare") return "";
    throw shimError("BAD_ARGUMENTS", `the flag -${name} is missing`);
  };
  return {
    action,
    namespace: need("namespace"),
    id: need("id"),
    address: values.get("address") ?? "",
    bundle: values.get("bundle") || cwd,
    debug,
  };
}

function actionOf(actions: readonly string[]): ShimAction {
  const [action, ...more] = actions;
  if (more.length > 0) throw shimError("BAD_ARGUMENTS", `unexpected argument ${more[0]}`);
  if (action === undefined) return "run";
  if (action === "start" || action === "delete" || action === "spare") return action;
  throw shimError("BAD_ARGUMENTS", `unknown action ${action}: use start, delete or spare`);
}
