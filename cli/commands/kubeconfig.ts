/** `katasim kubeconfig get|merge|remove`: how kubectl finds the cluster. */
import type { Command } from "commander";
import type { CommandContext } from "../context.ts";
import { cliError } from "../errors.ts";
import { readIfThere, removeKubeconfigEntry, writeKubeconfigEntry } from "../kubeconfig/file.ts";
import { type ClusterEntry, findInKubeconfig } from "../kubeconfig/merge.ts";
import type { Bind } from "../program.ts";

/** Cluster, user and context name of an instance. */
export function contextName(instance: string): string {
  return `katasim-${instance}`;
}

/** The entry `up` wrote for the instance. Throws NOT_FOUND before the first `up`. */
export async function readAdminEntry(
  context: Pick<CommandContext, "paths" | "self">,
): Promise<ClusterEntry> {
  const { paths } = context;
  const name = contextName(paths.name);
  const entry = findInKubeconfig((await readIfThere(paths.adminKubeconfig)) ?? "", name);
  if (entry !== undefined) return entry;
  throw cliError("NOT_FOUND", `instance "${paths.name}" has no credentials yet`, {
    hint: `start it first: ${context.self} up -d`,
  });
}

export function addKubeconfig(program: Command, bind: Bind): void {
  const group = program
    .command("kubeconfig")
    .description("print, write or take out its kubeconfig");

  bind(
    group.command("get").description("print a kubeconfig with embedded certificates"),
    async (context) => {
      await readAdminEntry(context);
      context.print((await readIfThere(context.paths.adminKubeconfig)) ?? "");
      return 0;
    },
  );

  const merge = group
    .command("merge")
    .description("add or refresh the entries in your kubeconfig")
    .option("--kubeconfig <file>", "the file to write, instead of $KUBECONFIG or ~/.kube/config")
    .option("--no-switch-context", "leave current-context as it is");
  bind(merge, async (context) => {
    const options = merge.opts<{ kubeconfig?: string; switchContext: boolean }>();
    const entry = await readAdminEntry(context);
    const file = await writeKubeconfigEntry({ flag: options.kubeconfig, env: context.env }, entry, {
      switchContext: options.switchContext,
    });
    context.say(`context ${entry.name} is in ${file}`);
    return 0;
  });

  const remove = group
    .command("remove")
    .description("take the entries out again")
    .option("--kubeconfig <file>", "the file to change, instead of $KUBECONFIG or ~/.kube/config");
  bind(remove, async (context) => {
    const { kubeconfig } = remove.opts<{ kubeconfig?: string }>();
    const name = contextName(context.paths.name);
    const files = await removeKubeconfigEntry({ flag: kubeconfig, env: context.env }, name);
    context.say(
      files.length === 0
        ? `no kubeconfig names ${name}: nothing to do`
        : `took ${name} out of ${files.join(", ")}`,
    );
    return 0;
  });
}
