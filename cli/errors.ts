/** The command line's error codes; exit codes follow notes of `katasim help`: 1 failed, 2 usage, 3 machine, 4 not running, 5 timed out. */
import { errorFactory } from "../common/errors.ts";

const cliErrors = {
  /** Wrong flags, arguments or values. */
  USAGE: { kind: "user", exitCode: 2 },
  /** A file the user named is not what it must be. */
  INPUT_INVALID: { kind: "user", exitCode: 2 },
  KUBECONFIG_INVALID: { kind: "user", exitCode: 2 },
  KUBECONFIG_LOCKED: { kind: "environment", exitCode: 1 },
  /** containerd's configuration cannot be read or added to. */
  CONTAINERD_CONFIG: { kind: "user", exitCode: 2 },
  /** containerd has a runtime of that name from somebody else. */
  HANDLER_TAKEN: { kind: "user", exitCode: 1 },
  /** Asked about something that is not there. */
  NOT_FOUND: { kind: "user", exitCode: 4 },
  NOT_RUNNING: { kind: "user", exitCode: 4 },
  PORT_TAKEN: { kind: "environment", exitCode: 3 },
  /** This machine lacks a program, a right or a file. */
  MACHINE_LACKS: { kind: "environment", exitCode: 3 },
  DATABASE_CORRUPT: { kind: "environment", exitCode: 1 },
  /** Another process owns the instance. */
  ALREADY_RUNNING: { kind: "user", exitCode: 1 },
  /** The daemon ended before it was ready. */
  START_FAILED: { kind: "environment", exitCode: 1 },
  /** Something of ours could not be stopped or removed. */
  STOP_FAILED: { kind: "environment", exitCode: 1 },
  API_UNREACHABLE: { kind: "environment", exitCode: 1 },
  TIMED_OUT: { kind: "environment", exitCode: 5 },
  INTERRUPTED: { kind: "user", exitCode: 130 },
} as const;

export const cliError = errorFactory(cliErrors);
