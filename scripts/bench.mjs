// Runs scripts/bench.d/main.ts: Node 20 does not run TypeScript by itself.
import { rmSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { build } from "esbuild";

/** What finds files beside its source must find them from the bundle, too. */
const ownFolders = {
  name: "own-folders",
  setup({ onLoad }) {
    onLoad({ filter: /\.ts$/ }, async ({ path }) => {
      const source = await readFile(path, "utf8");
      const folder = JSON.stringify(dirname(path));
      return { loader: "ts", contents: source.replaceAll("import.meta.dirname", folder) };
    });
  },
};

// Inside the project, so that packages are found from there.
const outfile = resolve(`dist/bench-${process.pid}.mjs`);
try {
  await build({
    entryPoints: ["scripts/bench.d/main.ts"],
    outfile,
    bundle: true,
    platform: "node",
    target: "node20",
    format: "esm",
    packages: "external",
    plugins: [ownFolders],
    logLevel: "warning",
  });
  const { main } = await import(outfile);
  process.exitCode = await main(process.argv.slice(2));
} finally {
  rmSync(outfile, { force: true });
}
