// Bundles the two programs, so that they start without a module loader's cost: a Node shim from
// node_modules starts in 0.3 s, as one file in 0.1 s. The command is split where it loads lazily, for
// nobody waits for an API server to read `--help`.
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
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
  write: false,
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

const builds = [
  {
    ...shared,
    entryPoints: { katasim: "cli/main.ts" },
    splitting: true,
    chunkNames: "pieces/[hash]",
  },
  { ...shared, entryPoints: { "containerd-shim-katasim-v2": "runtime-shim/main.ts" } },
];
const outputs = (await Promise.all(builds.map((options) => build(options)))).flatMap(
  ({ outputFiles }) => outputFiles,
);

// Pieces are named by their content and old ones stay, and every file gets its name when it is whole,
// entries last: a rebuild pulls nothing from under a command or daemon that is running.
const isPiece = ({ path }) => dirname(path).endsWith("pieces");
for (const { path, contents } of [
  ...outputs.filter(isPiece),
  ...outputs.filter((output) => !isPiece(output)),
]) {
  if (existsSync(path) && readFileSync(path).equals(contents)) {
    utimesSync(path, new Date(), new Date());
    continue;
  }
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(`${path}.${process.pid}`, contents);
  renameSync(`${path}.${process.pid}`, path);
}

// No daemon outlives a week of rebuilds; pieces in use have just been touched.
const oldMs = 7 * 24 * 60 * 60 * 1000;
for (const name of readdirSync("dist/pieces")) {
  const file = join("dist/pieces", name);
  if (Date.now() - statSync(file).mtimeMs > oldMs) rmSync(file);
}
