// Runs scripts/bench.d/main.ts: Node 20 does not run TypeScript by itself.
import { rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { build } from "esbuild";

// Inside the project, so that packages are found from there.
const outfile = resolve(`dist/bench-${process.pid}.mjs`);
process.env.KATASIM_TEST_SHIM ??= join(process.cwd(), "bin/containerd-shim-katasim-v2");
try {
  await build({
    entryPoints: ["scripts/bench.d/main.ts"],
    outfile,
    bundle: true,
    platform: "node",
    target: "node20",
    format: "esm",
    packages: "external",
    logLevel: "warning",
  });
  const { main } = await import(outfile);
  process.exitCode = await main(process.argv.slice(2));
} finally {
  rmSync(outfile, { force: true });
}
