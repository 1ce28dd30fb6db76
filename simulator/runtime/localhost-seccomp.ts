/** Profiles of the user's own: files below the node's seccomp folder, as the kubelet has them. */
import { readFile, realpath } from "node:fs/promises";
import { join, sep } from "node:path";
import { z } from "zod";
import { messageOf } from "../../common/errors.ts";
import { SeccompSchema } from "../../runtime-shim/index.ts";
import type { SeccompChoice } from "../runtime-port.ts";
import { runtimeError } from "./errors.ts";
import type { OciSeccomp } from "./oci-types.ts";

/** Rejects with CONTAINER_CONFIG naming the file and what is wrong with it. */
export async function localhostSeccomp(
  folder: string,
  choice: SeccompChoice | undefined,
): Promise<OciSeccomp | undefined> {
  if (choice?.type !== "Localhost") return undefined;
  const path = join(folder, choice.file);
  try {
    const real = await realpath(path);
    if (!real.startsWith(`${await realpath(folder)}${sep}`)) {
      throw new Error("it leads out of the folder");
    }
    const text = JSON.parse(await readFile(real, "utf8"));
    // Checked, and passed on as it is: the runtime may know more of it than we do.
    SeccompSchema.parse(text);
    return text as OciSeccomp;
  } catch (cause) {
    const words = cause instanceof z.ZodError ? z.prettifyError(cause) : messageOf(cause);
    throw runtimeError(
      "CONTAINER_CONFIG",
      `cannot load seccomp profile ${JSON.stringify(path)}: ${words}`,
      { cause, hint: `profiles are files below ${folder}` },
    );
  }
}
