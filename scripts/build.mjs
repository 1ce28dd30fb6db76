// Bundles the two programs into one file each, so that they start without a module loader's cost:
// a Node shim from node_modules starts in 0.3 s, as one file in 0.1 s. One file also means that a
// rebuild never pulls a lazily loaded piece from under a running daemon.
import { renameSync } from "node:fs";
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

// Beside the final name first: a daemon or shim that starts during a build must not read half a file.
const outdir = "dist";
const programs = {
  katasim: "cli/main.ts",
  "containerd-shim-katasim-v2": "runtime-shim/main.ts",
};

await build({
  entryPoints: Object.fromEntries(
    Object.entries(programs).map(([name, source]) => [`${name}.new`, source]),
  ),
  bundle: true,
  platform: "node",
  target: "node20",
  format: "esm",
  logLevel: "warning",
  outdir,
  outExtension: { ".js": ".mjs" },
  plugins: [lazyNativeAddons],
  // dockerode's SSH transport is never used.
  external: ["cpu-features", "ssh2"],
  keepNames: true,
  banner: {
    js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url); import { fileURLToPath as __f } from 'node:url'; const __filename = __f(import.meta.url); const __dirname = __f(new URL('.', import.meta.url));",
  },
});
for (const name of Object.keys(programs)) {
  renameSync(join(outdir, `${name}.new.mjs`), join(outdir, `${name}.mjs`));
}
