/** Puts the fake on disk as one program, to be found on PATH. */
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";

const root = join(import.meta.dirname, "../../..");
const description = join(root, "../shared/cloud-hypervisor-openapi/cloud-hypervisor.yaml");

export const fakeObstacle = existsSync(description)
  ? undefined
  : "no Cloud Hypervisor description in ../shared/cloud-hypervisor-openapi";

export interface FakeCloudHypervisor {
  /** To be the first on PATH. */
  readonly folder: string;
  behave(behaviour: string | undefined): void;
  /** What it was asked that the description does not have. */
  refused(): string;
}

export async function installFakeCloudHypervisor(folder: string): Promise<FakeCloudHypervisor> {
  mkdirSync(folder, { recursive: true });
  // It runs as a user of its sandbox's own: all it needs is in a folder that everybody may read.
  chmodSync(folder, 0o755);
  const program = join(folder, "cloud-hypervisor");
  const bundle = `${program}.mjs`;
  await build({
    entryPoints: [join(import.meta.dirname, "main.ts")],
    bundle: true,
    platform: "node",
    format: "esm",
    outfile: bundle,
    logLevel: "error",
    banner: {
      js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);',
    },
  });
  // The file's own path must reach it: settings lie beside it.
  writeFileSync(program, `#!/bin/sh\nexec '${process.execPath}' '${bundle}' "$@"\n`);
  chmodSync(program, 0o755);
  const copy = join(folder, "description.yaml");
  if (fakeObstacle === undefined) {
    copyFileSync(description, copy);
    chmodSync(copy, 0o644);
  }
  const behave = (behaviour: string | undefined) =>
    writeFileSync(`${bundle}.json`, JSON.stringify({ description: copy, behaviour }));
  behave(undefined);
  const refused = `${bundle}.refused`;
  writeFileSync(refused, "");
  chmodSync(refused, 0o666);
  return { folder, behave, refused: () => readFileSync(refused, "utf8") };
}
