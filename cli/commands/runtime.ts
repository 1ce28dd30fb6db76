/** `katasim runtime list`: the node's runtime handlers and hypervisors, and whether they work here. */
import type { Command } from "commander";
import type { HandlerStatus, RungReport } from "../../simulator/runtime-port.ts";
import { type Column, formatTable } from "../output/table.ts";
import { type Bind, withOutput } from "../program.ts";
import { guestNetworks, readRememberedSettings, resolveSettings } from "../settings.ts";

const columns: readonly Column<HandlerStatus>[] = [
  { head: "HANDLER", cell: (handler) => handler.name },
  { head: "SANDBOXED", cell: (handler) => (handler.sandboxed ? "yes" : "no") },
  { head: "ENGINE", cell: (handler) => handler.engine },
  { head: "SIZING", cell: (handler) => handler.sizingProfile },
  { head: "HYPERVISOR", cell: (handler) => handler.hypervisor },
  { head: "ACCEL", cell: (handler) => handler.accelerator },
  { head: "USABLE", cell: (handler) => (handler.usable ? "yes" : "no") },
  {
    head: "REASON",
    cell: ({ reason, alternative = "" }) => `${reason} ${alternative}`.trim(),
  },
];

const rungColumns: readonly Column<RungReport>[] = [
  { head: "RUNG", cell: ({ hypervisor, accelerator }) => `${hypervisor}/${accelerator}` },
  { head: "USABLE", cell: ({ usable }) => (usable ? "yes" : "no") },
  { head: "WHY", cell: ({ explanation }) => explanation },
  { head: "REMEDY", cell: ({ remedy }) => remedy },
];

export function addRuntime(program: Command, bind: Bind): void {
  const group = program.command("runtime").description("runtime handlers of the node");
  const list = withOutput(group.command("list").description("handlers, engines, and if they work"));
  bind(list, async (context) => {
    const runtime = await import("../../simulator/runtime/index.ts");
    const { paths } = context;
    const settings = resolveSettings({}, context.env, await readRememberedSettings(paths));
    const { assessKataOf, handlersOf } = await import("../handlers.ts");
    const options = {
      paths,
      shimFolders: runtime.foldersBesideProgram(),
      version: runtime.shimVersion,
      katasim: {
        hypervisor: settings.hypervisor,
        accel: settings.accel,
        require: settings.require,
        network: guestNetworks[settings.network],
      },
      assessKata: () => assessKataOf(paths, settings),
    };
    const { dockerHandlerStatus } = await import("../../simulator/docker/index.ts");
    const { chooseTrusted } = await import("../../simulator/trusted-runtime.ts");
    const [shims, docker] = await Promise.all([
      Promise.all(
        (await handlersOf(paths, settings)).map((handler) =>
          runtime.handlerStatus(handler, options),
        ),
      ),
      dockerHandlerStatus(paths, context.env),
    ]);
    const handlers = shims.map((handler) =>
      handler.name === runtime.defaultHandler
        ? chooseTrusted(settings.trustedRuntime, handler, docker).status
        : handler,
    );
    context.printList({
      kind: "RuntimeHandler",
      columns,
      rows: handlers,
      name: (handler) => handler.name,
      empty: "no handlers",
    });
    // The other formats have them with each handler.
    const rungs = handlers.find((handler) => handler.rungs !== undefined)?.rungs;
    if (rungs !== undefined && (context.output === "table" || context.output === "wide")) {
      context.print(`\n${formatTable(rungColumns, rungs, { headers: context.headers })}`);
    }
    return 0;
  });
}
