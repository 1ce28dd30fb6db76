/** `katasim image load|list|pull|remove`: the images this machine holds for its pods. */
import type { Command } from "commander";
import { silentLogger } from "../../common/log.ts";
import type { ListedImage, NodeImages } from "../../simulator/images/index.ts";
import type { CommandContext } from "../context.ts";
import { cliError } from "../errors.ts";
import { readImageConfig } from "../image-config.ts";
import { interruptSignal } from "../interrupts.ts";
import { type Column, humanDuration } from "../output/table.ts";
import { type Bind, withOutput } from "../program.ts";

/** The same store as the daemon's: SQLite and content named by digest let both work at once. */
async function withImages<T>(
  context: CommandContext,
  work: (images: NodeImages) => Promise<T>,
): Promise<T> {
  const { createImageService } = await import("../../simulator/images/index.ts");
  const config = await readImageConfig(context.paths);
  const { defaultAliases } = await import("../../simulator/images/index.ts");
  const images = createImageService({
    paths: context.paths,
    aliases: [...config.aliases, ...defaultAliases],
    mirrors: config.mirrors,
    log: silentLogger,
  });
  try {
    return await work(images);
  } finally {
    images.close();
  }
}

const columns: readonly Column<ListedImage>[] = [
  { head: "NAME", cell: (image) => image.name },
  { head: "ID", cell: (image) => image.id.replace("sha256:", "").slice(0, 12) },
  { head: "SIZE", cell: (image) => humanBytes(image.sizeBytes) },
  { head: "AGE", cell: (image) => humanDuration(Date.now() - image.addedAtMs) },
  { head: "SERVED BY", cell: (image) => (image.substituteReason ? image.resolved : "itself") },
  { head: "REASON", cell: (image) => image.substituteReason, wide: true },
];

export function addImage(program: Command, bind: Bind): void {
  const group = program.command("image").description("the images pods are made from");

  const load = group
    .command("load")
    .description("take in an archive, an OCI layout, an image of Docker, or the built-in one")
    .argument("<source>", "FILE.tar, oci:DIR, docker:NAME, or builtin")
    .option("--as <name>", "the name to give it, instead of its own");
  bind(load, async (context) => {
    const [source = ""] = load.args;
    const { as } = load.opts<{ as?: string }>();
    const loaded = await withStep(context, "image-load", `Loading ${source}`, (images) =>
      source === "builtin" ? loadBuiltin(images) : images.load(source, as ? { name: as } : {}),
    );
    for (const image of loaded) context.print(`${image.resolved}\n`);
    return 0;
  });

  const list = withOutput(group.command("list").description("images this machine holds"));
  bind(list, async (context) => {
    context.printList({
      kind: "Image",
      columns,
      rows: await withImages(context, (images) => images.list()),
      name: (image) => image.name,
      empty: "no images yet: katasim image load builtin",
    });
    return 0;
  });

  const pull = group
    .command("pull")
    .description("fetch an image from its registry")
    .argument("<name>", "such as docker.io/library/busybox:1.36");
  bind(pull, async (context) => {
    const [name = ""] = pull.args;
    const interrupts = interruptSignal();
    try {
      const image = await withStep(context, "image-pull", `Pulling ${name}`, (images) =>
        images.pull(name, interrupts.signal),
      );
      if (image.substituteReason !== undefined) context.progress.warn(image.substituteReason);
      context.print(`${image.resolved}\n`);
      return 0;
    } finally {
      interrupts.dispose();
    }
  });

  const remove = group
    .command("remove")
    .description("forget an image")
    .argument("<name...>", "names as `katasim image list` shows them");
  bind(remove, async (context) => {
    const missing = await withImages(context, async (images) => {
      const gone: string[] = [];
      for (const name of remove.args) if (!(await images.remove(name))) gone.push(name);
      return gone;
    });
    if (missing.length === 0) return 0;
    throw cliError("NOT_FOUND", `no image is called ${missing.join(", ")}`, {
      hint: "katasim image list",
    });
  });
}

async function loadBuiltin(images: NodeImages) {
  const image = await images.importBuiltin();
  if (image !== undefined) return [image];
  throw cliError("MACHINE_LACKS", "the built-in image was never made on this machine", {
    hint: "./scripts/build-guest   (or ./scripts/setup)",
  });
}

async function withStep<T>(
  context: CommandContext,
  id: string,
  text: string,
  work: (images: NodeImages) => Promise<T>,
): Promise<T> {
  context.progress.step(id, text);
  try {
    const result = await withImages(context, work);
    context.progress.done();
    return result;
  } catch (error) {
    context.progress.fail();
    throw error;
  }
}

function humanBytes(bytes: number): string {
  const mib = bytes / 2 ** 20;
  return mib >= 1024 ? `${(mib / 1024).toFixed(1)}GiB` : `${mib.toFixed(1)}MiB`;
}
