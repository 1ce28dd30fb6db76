/** `katasim version`: what this is and which interfaces it speaks. */
import type { Command } from "commander";
import { cliObject } from "../output/objects.ts";
import { type Bind, withOutput } from "../program.ts";
import { katasimVersion } from "../version.ts";

/** Kubernetes level the embedded API serves. */
const kubernetesVersion = "v1.32.4";
const shimApi = "containerd.task.v2";

export function addVersion(program: Command, bind: Bind): void {
  const command = withOutput(program.command("version")).description(
    "versions of katasim and the interfaces it speaks",
  );
  bind(command, async (context) => {
    const versions = {
      katasim: katasimVersion,
      kubernetes: kubernetesVersion,
      shimApi,
      node: process.versions.node,
    };
    context.printObject(
      cliObject("Version", versions),
      () =>
        `katasim ${katasimVersion}\nKubernetes ${kubernetesVersion}\nshim API ${shimApi}\nNode ${process.versions.node}\n`,
    );
    return 0;
  });
}
