/** `katasim template build|list|show|remove|prune`: the saved VMs that sandboxes are cloned from. */
import { type Command, Option } from "commander";
import { silentLogger } from "../../common/log.ts";
import type { ListedTemplate, TemplateCatalog, TemplateNic } from "../../runtime-shim/index.ts";
import type { CommandContext } from "../context.ts";
import { cliError } from "../errors.ts";
import { cliObject } from "../output/objects.ts";
import { type Column, humanDuration } from "../output/table.ts";
import { type Bind, withOutput } from "../program.ts";
import { guestNetworks, readRememberedSettings, resolveSettings } from "../settings.ts";

const mib = (bytes: number) => `${Math.round(bytes / 2 ** 20)}Mi`;

const columns: readonly Column<ListedTemplate & { readonly damage?: string | undefined }>[] = [
  { head: "KEY", cell: ({ key }) => key },
  { head: "RUNG", cell: ({ manifest }) => manifest?.inputs.rung },
  { head: "VCPU", cell: ({ manifest }) => manifest?.inputs.vcpus },
  { head: "MEMORY", cell: ({ manifest }) => manifest && `${manifest.inputs.memoryMib}Mi` },
  { head: "NIC", cell: ({ manifest }) => manifest?.inputs.nic },
  { head: "DISK", cell: ({ bytes }) => mib(bytes) },
  { head: "VMS", cell: ({ usedBy }) => usedBy },
  {
    head: "AGE",
    cell: ({ manifest }) => manifest && humanDuration(Date.now() - manifest.madeAtMs),
  },
  { head: "USED", cell: ({ usedAtMs }) => `${humanDuration(Date.now() - usedAtMs)} ago` },
  { head: "KERNEL", cell: ({ manifest }) => manifest?.kernelRelease, wide: true },
  { head: "DAMAGE", cell: ({ manifest, damage }) => damage ?? (manifest ? "none" : "no manifest") },
];

const nics: readonly TemplateNic[] = ["tap", "user", "none"];

interface BuildOptions {
  readonly runtimeClass?: string;
  readonly vcpus?: string;
  readonly memory?: string;
  readonly nic?: TemplateNic;
}

export function addTemplate(program: Command, bind: Bind): void {
  const group = program
    .command("template")
    .description("saved VMs that sandboxes are cloned from; made when first needed");

  const build = group
    .command("build")
    .description("make the template of a VM now; does nothing when it is there")
    .option("--runtime-class <name>", "whose smallest VM (default: kata-mshv-vm-isolation)")
    .option("--vcpus <n>", "processors, in place of that VM's")
    .option("--memory <mib>", "memory in MiB, in place of that VM's")
    .addOption(
      new Option("--nic <kind>", "in place of what the node's network needs").choices(nics),
    );
  bind(build, async (context) => {
    const given = build.opts<BuildOptions>();
    const shape = {
      ...(given.vcpus === undefined ? {} : { vcpus: wholeNumber("--vcpus", given.vcpus) }),
      ...(given.memory === undefined ? {} : { memoryMib: wholeNumber("--memory", given.memory) }),
    };
    const { nic } = given;
    const catalog = await openCatalog(context, given.runtimeClass);
    context.progress.step("template", "Making the template");
    const { manifest, isNew } = await catalog.build({ limits: {}, shape, ...(nic && { nic }) });
    context.progress.done();
    const how = isNew ? `made in ${manifest.madeInMs} ms` : "was there";
    context.say(`template ${manifest.key} ${how}`);
    context.print(`${manifest.key}\n`);
    return 0;
  });

  const list = withOutput(group.command("list"))
    .description("templates, what they take and who uses them")
    .option("--verify", "read them whole, whatever their times say");
  bind(list, async (context) => {
    const catalog = await openCatalog(context);
    const { verify } = list.opts<{ verify?: boolean }>();
    const rows = [];
    for (const template of catalog.list()) {
      const damage = verify ? await catalog.verify(template.key) : undefined;
      rows.push({ ...template, ...(damage === undefined ? {} : { damage }) });
    }
    context.printList({
      kind: "Template",
      columns,
      rows,
      name: ({ key }) => `template/${key}`,
      empty: "no templates yet: the first sandboxed pod makes one",
    });
    const total = rows.reduce((sum, { bytes }) => sum + bytes, 0);
    if (rows.length > 0) context.say(`${mib(total)} of at most ${mib(catalog.maxBytes)}`);
    return rows.some(({ damage }) => damage !== undefined) ? 1 : 0;
  });

  const show = withOutput(group.command("show"))
    .description("one template: what it is of, and its files")
    .argument("<key>", "a unique beginning will do");
  bind(show, async (context) => {
    const found = findTemplate(await openCatalog(context), show.args[0] ?? "");
    context.printObject(cliObject("Template", found), () => `${JSON.stringify(found, null, 2)}\n`);
    return 0;
  });

  const remove = group
    .command("remove")
    .description("remove templates; VMs that were cloned from one go on")
    .argument("<key...>", "a unique beginning will do");
  bind(remove, async (context) => {
    const catalog = await openCatalog(context);
    const keys = remove.args.map((beginning) => findTemplate(catalog, beginning).key);
    for (const key of keys) {
      catalog.remove(key);
      context.print(`${key}\n`);
    }
    return 0;
  });

  const prune = group
    .command("prune")
    .description("remove what no VM of this machine can be cloned from any more, and leftovers")
    .option("--all", "remove every template")
    .option("--dry-run", "say what would be removed, and remove nothing");
  bind(prune, async (context) => {
    const { all, dryRun } = prune.opts<{ all?: boolean; dryRun?: boolean }>();
    const catalog = await openCatalog(context);
    const found = all ? catalog.list() : await catalog.stale();
    for (const { key } of found) {
      if (!dryRun) catalog.remove(key);
      context.print(`${key}\n`);
    }
    if (!dryRun) for (const name of catalog.trim()) context.print(`${name}\n`);
    const total = mib(found.reduce((sum, { bytes }) => sum + bytes, 0));
    context.say(`${dryRun ? "would remove" : "removed"} ${found.length} templates of ${total}`);
    return 0;
  });
}

/** With the options that the node's sandboxes have. */
async function openCatalog(
  { paths, env }: CommandContext,
  runtimeClass = "kata-mshv-vm-isolation",
): Promise<TemplateCatalog> {
  const { createTemplateCatalog } = await import("../../runtime-shim/index.ts");
  const { builtinHandlers } = await import("../../simulator/runtime/index.ts");
  const settings = resolveSettings({}, env, await readRememberedSettings(paths));
  const handler = builtinHandlers.find(({ name }) => name === runtimeClass);
  if (handler?.options.kind !== "katasim") {
    const names = builtinHandlers.filter(({ sandboxed }) => sandboxed).map(({ name }) => name);
    throw cliError("USAGE", `--runtime-class ${runtimeClass} runs in no VM of ours`, {
      hint: `one of ${names.join(", ")}`,
    });
  }
  const { mkdir } = await import("node:fs/promises");
  await mkdir(paths.sockets, { recursive: true, mode: 0o700 });
  return createTemplateCatalog({
    options: {
      ...{ guestDir: paths.guest, probeCacheDir: paths.guest, ...handler.options.values },
      ...{ hypervisor: settings.hypervisor, accel: settings.accel, require: settings.require },
      network: guestNetworks[settings.network],
    },
    socketFolder: `${paths.sockets}/template-${process.pid}`,
    folder: paths.templates,
    log: silentLogger,
  });
}

function findTemplate(catalog: TemplateCatalog, beginning: string): ListedTemplate {
  // Every key begins with no text at all.
  const found = catalog.list().filter(({ key }) => beginning !== "" && key.startsWith(beginning));
  const [one] = found;
  if (one !== undefined && found.length === 1) return one;
  const words =
    found.length === 0 ? "there is no template" : `${found.length} templates begin with`;
  throw cliError("NOT_FOUND", `${words} "${beginning}"`, { hint: "katasim template list" });
}

function wholeNumber(flag: string, text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value > 0) return value;
  throw cliError("USAGE", `${flag} cannot be "${text}"`, { hint: "give a whole number" });
}
