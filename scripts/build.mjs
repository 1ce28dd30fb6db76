// Bundles the two programs, so that they start without a module loader's cost: a Node shim from
// node_modules starts in 0.3 s, as one file in 0.1 s. The command is split where it loads lazily, for
// nobody waits for an API server to read `--help`.
import { existsSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";

/**
 * Native add-ons cannot be bundled. An external `import` would be hoisted and end every command where the
 * add-on is not built, `katasim doctor` included; a `require` runs when the importing module does.
 */
const lazyNativeAddons = {
  name: "lazy-native-addons",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^better-sqlite3$/ }, ({ path, namespace }) =>
      namespace === "native" ? { path, external: true } : { path, namespace: "native" },
    );
    onLoad({ filter: /.*/, namespace: "native" }, ({ path }) => ({
      contents: `module.exports = require(${JSON.stringify(path)});`,
      loader: "js",
    }));
  },
};

const shared = {
  bundle: true,
  platform: "node",
  target: "node20",
  format: "esm",
  logLevel: "warning",
  outdir: "dist",
  outExtension: { ".js": ".mjs" },
  plugins: [lazyNativeAddons],
  // dockerode's SSH transport is never used.
  external: ["cpu-features", "ssh2"],
  // Half the size compiles in half the time; names stay, so that stacks can be read.
  minifyWhitespace: true,
  minifySyntax: true,
  banner: {
    js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url); import { fileURLToPath as __f } from 'node:url'; const __filename = __f(import.meta.url); const __dirname = __f(new URL('.', import.meta.url));",
  },
};

// Pieces are named by their content and old ones stay: a rebuild never pulls a lazily loaded piece from
// under a running daemon. The entry gets its name last: nobody reads half a file.
await build({
  ...shared,
  entryPoints: { "katasim.new": "cli/main.ts" },
  splitting: true,
  chunkNames: "pieces/[name]-[hash]",
});
await build({
  ...shared,
  entryPoints: { "containerd-shim-katasim-v2.new": "runtime-shim/main.ts" },
});
for (const name of ["katasim", "containerd-shim-katasim-v2"]) {
  renameSync(join("dist", `${name}.new.mjs`), join("dist", `${name}.mjs`));
}

// No daemon outlives a week of rebuilds; pieces in use were just written again.
const oldMs = 7 * 24 * 60 * 60 * 1000;
const pieces = join("dist", "pieces");
for (const name of existsSync(pieces) ? readdirSync(pieces) : []) {
  const file = join(pieces, name);
  if (Date.now() - statSync(file).mtimeMs > oldMs) rmSync(file);
}
