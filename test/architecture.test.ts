// The rules of ARCHITECTURE.md that a compiler does not check: who imports whom, file length, exports,
// who may print and who may exit.
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize, relative } from "node:path";
import { describe, expect, it } from "vitest";

const root = join(import.meta.dirname, "..");
const layers = ["api", "cli", "common", "proto", "runtime-shim", "simulator", "test"] as const;
const maxLines = 400;

interface SourceFile {
  readonly path: string;
  readonly text: string;
}

const sources = walk(root).map((path) => ({
  path: relative(root, path),
  text: readFileSync(path, "utf8"),
}));
const typescript = sources.filter(({ path }) => path.endsWith(".ts"));
const production = typescript.filter(
  ({ path }) =>
    !/\.(test|fixture)\.ts$/.test(path) &&
    layers.some((layer) => layerOf(path) === layer) &&
    layerOf(path) !== "test",
);

/** Who may import whom. `common` and `proto` know nobody; `cli` composes everything. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  common: [],
  proto: ["common"],
  "runtime-shim": ["common", "proto"],
  simulator: ["common", "proto", "runtime-shim"],
  api: ["common", "proto"],
  cli: ["api", "simulator", "runtime-shim", "common", "proto"],
};

describe("architecture", () => {
  it("reads the whole tree, so that green means something", () => {
    for (const layer of ["api", "cli", "common", "runtime-shim", "simulator"]) {
      expect(production.filter(({ path }) => layerOf(path) === layer).length).toBeGreaterThan(3);
    }
    expect(imports(production).length).toBeGreaterThan(100);
  });

  it("lets imports point one way only", () => {
    const wrong = imports(production).filter(({ from, to }) => {
      const [source, target] = [layerOf(from), layerOf(to)];
      return source !== target && !mayImport[source]?.includes(target);
    });
    expect(wrong.map(describeImport)).toEqual([]);
  });

  it("lets the simulator see the shim through its index and contract only", () => {
    const allowed = ["runtime-shim/index.ts", "runtime-shim/shim-options.ts"];
    const wrong = imports(production).filter(
      ({ from, to }) =>
        layerOf(from) === "simulator" && layerOf(to) === "runtime-shim" && !allowed.includes(to),
    );
    expect(wrong.map(describeImport)).toEqual([]);
  });

  it(`keeps every file under ${maxLines} lines`, () => {
    const long = sources
      .map(({ path, text }) => ({ path, lines: text.split("\n").length - 1 }))
      .filter(({ lines }) => lines > maxLines);
    expect(long).toEqual([]);
  });

  it("exports by name only", () => {
    expect(matching(typescript, /^export default\b/m, ["vitest.config.ts"])).toEqual([]);
  });

  it("prints through cli/output only", () => {
    const outside = production.filter(({ path }) => !path.startsWith("cli/output/"));
    expect(matching(outside, /\bconsole\.\w+\(/)).toEqual([]);
  });

  it("ends the process in main files only", () => {
    expect(
      matching(production, /\bprocess\.exit\(/, ["cli/main.ts", "runtime-shim/main.ts"]),
    ).toEqual([]);
  });

  it("has no junk drawers", () => {
    const drawers = sources.filter(({ path }) => /\/(utils?|helpers?|misc)\.\w+$/.test(path));
    expect(drawers.map(({ path }) => path)).toEqual([]);
  });
});

function walk(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    // Hidden folders, dependencies and everything generated or built.
    if (entry.name.startsWith(".")) return [];
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      return ["node_modules", "dist", "gen", "build"].includes(entry.name) ? [] : walk(path);
    }
    return /\.(ts|c|h|sh|mjs)$/.test(entry.name) ? [path] : [];
  });
}

function layerOf(path: string): string {
  return path.split("/")[0] as string;
}

interface Import {
  readonly from: string;
  readonly to: string;
}

/** Relative imports and re-exports, static and dynamic, types included. */
function imports(files: readonly SourceFile[]): readonly Import[] {
  const pattern = /(?:\bfrom\s+|\bimport\s*\(?\s*)["'](\.[^"']+)["']/g;
  return files
    .flatMap(({ path, text }) =>
      [...text.matchAll(pattern)].map((match) => ({
        from: path,
        to: normalize(join(dirname(path), match[1] as string)),
      })),
    )
    .filter(({ to }) => to.includes("/"));
}

function describeImport({ from, to }: Import): string {
  return `${from} imports ${to}`;
}

function matching(
  files: readonly SourceFile[],
  pattern: RegExp,
  except: readonly string[] = [],
): readonly string[] {
  return files
    .filter(({ path, text }) => !except.includes(path) && pattern.test(text))
    .map(({ path }) => path);
}
