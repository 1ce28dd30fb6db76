/** `katasim containerd install|uninstall|show`: our runtime in a genuine containerd. */
import { realpathSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Command } from "commander";
import { Option } from "commander";
import type { Paths } from "../../common/paths.ts";
import { findProgram } from "../../common/process/find-program.ts";
import { requirements } from "../../runtime-shim/hypervisors/ladder.ts";
import type { ShimOptions } from "../../runtime-shim/index.ts";
import {
  type InstalledHandler,
  type InstallPlan,
  inspect,
  install,
  planInstall,
  shimName,
  uninstall,
} from "../containerd/installation.ts";
import type { CommandContext } from "../context.ts";
import { cliError } from "../errors.ts";
import { cliObject } from "../output/objects.ts";
import { type Column, formatTable } from "../output/table.ts";
import { type Bind, withOutput } from "../program.ts";
import { accelChoices, hypervisorChoices } from "../settings.ts";

const defaultConfigFile = "/etc/containerd/config.toml";
/** From the shim's start script. */
const bundledShim = "../dist/containerd-shim-katasim-v2.mjs";
const defaultHandlers = ["kata-mshv-vm-isolation", "kata-vm-isolation"];

interface InstallOptions extends Pick<ShimOptions, "hypervisor" | "accel" | "require"> {
  readonly config: string;
  readonly binDir: string;
  readonly handler?: readonly string[];
  readonly dryRun?: boolean;
}

const columns: readonly Column<InstalledHandler>[] = [
  { head: "HANDLER", cell: ({ name }) => name },
  { head: "SIZING", cell: ({ options }) => options.sizingProfile },
  { head: "HYPERVISOR", cell: ({ options }) => options.hypervisor },
  { head: "ACCEL", cell: ({ options }) => options.accel },
  { head: "SHIM", cell: ({ runtimeType }) => runtimeType },
  { head: "OPTIONS", cell: ({ configPath }) => configPath },
];

export function addContainerd(program: Command, bind: Bind): void {
  const group = program
    .command("containerd")
    .description("the sandboxing runtime in a containerd of yours");
  addInstall(group, bind);
  addUninstall(group, bind);
  addShow(group, bind);
}

function addInstall(group: Command, bind: Bind): void {
  const command = withConfig(group.command("install"))
    .description(
      "add the runtime to containerd's configuration; repeatable, and undone by uninstall",
    )
    .option(
      "--bin-dir <dir>",
      "where the shim goes, a folder of containerd's PATH",
      "/usr/local/bin",
    )
    .option("--handler <name...>", `runtime handlers (default: ${defaultHandlers.join(" ")})`)
    .addOption(
      choice("--hypervisor <name>", "nothing else is tried when forced", hypervisorChoices),
    )
    .addOption(choice("--accel <name>", "nothing else is tried when forced", accelChoices))
    .addOption(choice("--require <what>", "refuse sandboxes on a weaker rung", requirements))
    .option("--dry-run", "print the files it would write, and write nothing");
  bind(command, async (context) => {
    const options = command.opts<InstallOptions>();
    const plan = await planOf(context.paths, options);
    if (options.dryRun) {
      for (const { path, text } of planInstall(plan)) context.print(`==> ${path}\n${text}\n`);
      return 0;
    }
    const { handlers, runtimeClassesFile, criDisabled } = install(plan);
    context.say(`${options.config} has ${handlers.map(({ name }) => name).join(" and ")}`);
    if (criDisabled) {
      context.say("CRI is disabled in it: ctr has the runtime, a kubelet does not");
    }
    context.say(
      [
        "next: systemctl restart containerd   (running containers go on)",
        `      kubectl apply -f ${runtimeClassesFile}`,
        "or:   ctr run --rm --runtime io.containerd.katasim.v2 IMAGE NAME uname -r",
      ].join("\n"),
    );
    return 0;
  });
}

function addUninstall(group: Command, bind: Bind): void {
  const command = withConfig(group.command("uninstall")).description(
    "give containerd's configuration back as it was; running sandboxes go on",
  );
  bind(command, async (context) => {
    const { config } = command.opts<{ config: string }>();
    context.say(
      uninstall(config)
        ? `${config} is as it was; next: systemctl restart containerd`
        : `${config} has nothing of katasim: nothing to do`,
    );
    return 0;
  });
}

function addShow(group: Command, bind: Bind): void {
  const command = withOutput(withConfig(group.command("show"))).description(
    "what is installed, and whether it is whole",
  );
  bind(command, async (context) => {
    const { config } = command.opts<{ config: string }>();
    const installation = inspect(config);
    context.printObject(cliObject("ContainerdInstallation", installation), () =>
      installation.handlers.length === 0
        ? ""
        : formatTable(columns, installation.handlers, { headers: context.headers }),
    );
    return sayState(context, installation);
  });
}

function sayState(context: CommandContext, installation: ReturnType<typeof inspect>): number {
  const { handlers, configFile, problems, criDisabled } = installation;
  if (handlers.length === 0) {
    context.say(`${configFile} has nothing of katasim: katasim containerd install`);
  }
  if (criDisabled) context.say(`CRI is disabled in ${configFile}: only ctr can use the runtime`);
  for (const problem of problems) context.say(`${problem}: katasim containerd install`);
  return problems.length === 0 ? 0 : 3;
}

function withConfig(command: Command): Command {
  return command.option("--config <file>", "containerd's configuration", defaultConfigFile);
}

function choice(flags: string, description: string, choices: readonly string[]): Option {
  return new Option(flags, `${description} (default: ${choices[0]})`)
    .choices(choices)
    .default(choices[0], choices[0]);
}

async function planOf(paths: Paths, given: InstallOptions): Promise<InstallPlan> {
  const { builtinHandlers, foldersBesideProgram } = await import(
    "../../simulator/runtime/index.ts"
  );
  const shim = findProgram(shimName, foldersBesideProgram());
  if (shim === undefined) {
    throw cliError("MACHINE_LACKS", `${shimName} is not beside this program`, {
      hint: "./scripts/setup",
    });
  }
  const { hypervisor, accel, require } = given;
  // containerd's HOME is not this user's: every folder is named.
  const common = {
    ...{ hypervisor, accel, require },
    ...{
      guestDir: paths.guest,
      probeCacheDir: paths.guest,
      rootfsCacheDir: paths.rootfs,
      templateDir: paths.templates,
    },
  };
  const handlers = (given.handler ?? defaultHandlers).map((name) => {
    const known = builtinHandlers.find((handler) => handler.name === name);
    if (known?.options.kind === "katasim") return [name, { ...common, ...known.options.values }];
    const names = builtinHandlers.filter((handler) => handler.sandboxed).map(({ name }) => name);
    throw cliError("USAGE", `--handler: there is no sandboxing handler "${name}"`, {
      hint: `use one or more of: ${names.join(", ")}`,
    });
  });
  return {
    ...{ configFile: given.config, binDir: given.binDir },
    // containerd's PATH need not have node.
    shim: [process.execPath, "--no-warnings", join(dirname(realpathSync(shim)), bundledShim)],
    handlers: Object.fromEntries(handlers),
  };
}
