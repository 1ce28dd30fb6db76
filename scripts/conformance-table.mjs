// Writes test/conformance/README.md, the table of what works through genuine ctr and the CRI, from the
// result lines of a conformance run (scripts/test-reporter.mjs); or checks that it says the same.
//
//   KATASIM_TEST_RESULTS=/tmp/r npx vitest run --project conformance --reporter=./scripts/test-reporter.mjs
//   node scripts/conformance-table.mjs /tmp/r [--check]
import { existsSync, readFileSync, writeFileSync } from "node:fs";

const [resultsFile = "", mode] = process.argv.slice(2);
const output = "test/conformance/README.md";
const folder = "test/conformance/";

const results = (existsSync(resultsFile) ? readFileSync(resultsFile, "utf8") : "")
  .split("\n")
  .filter((line) => line !== "")
  .map((line) => JSON.parse(line))
  .filter(({ file }) => file.startsWith(folder));

const sections = [
  { title: "ctr run", file: "ctr-run.test.ts", columns: ["katasim", "runc"] },
  { title: "ctr task, ctr events", file: "ctr-task.test.ts", columns: ["katasim", "runc"] },
  { title: "CRI", file: "cri.test.ts" },
  { title: "CRI, as cri-tools' critest asks", file: "critest.test.ts" },
];

/** What the suite says of one file, or undefined where it was not run on this machine. */
function rowsOf(file) {
  const own = results.filter((result) => result.file === folder + file);
  if (own.length === 0 || own.every(({ state }) => state === "skipped")) return undefined;
  return own.map(({ name, state }) => ({ path: name.replaceAll("'", "").split(" > "), state }));
}

const mark = { passed: "yes", failed: "NO", skipped: "not run" };
const cell = (text) => text.replaceAll("|", "\\|");

function section({ title, file, columns }) {
  const rows = rowsOf(file);
  if (rows === undefined) return undefined;
  if (columns === undefined) {
    const lines = rows.map(
      ({ path, state }) => `| ${cell(path.slice(1).join(": "))} | ${mark[state]} |`,
    );
    return [`## ${title}`, "", "| | |", "| --- | --- |", ...lines, ""].join("\n");
  }
  const byRow = new Map();
  for (const { path, state } of rows) {
    const [column, row] = [path[1], path.at(-1)];
    byRow.set(row, { ...byRow.get(row), [column]: mark[state] });
  }
  const lines = [...byRow].map(
    ([row, states]) =>
      `| ${cell(row)} | ${columns.map((name) => states[name] ?? "").join(" | ")} |`,
  );
  const head = [
    `| | ${columns.join(" | ")} |`,
    `| ${["", ...columns].map(() => "---").join(" | ")} |`,
  ];
  return [`## ${title}`, "", ...head, ...lines, ""].join("\n");
}

function notSupported() {
  const rows = rowsOf("not-supported.test.ts");
  if (rows === undefined) return undefined;
  const lines = rows.map(({ path }) => {
    const [, what, meets, why] = /^(.*?): (.*?)\. (.*)$/.exec(path.at(-1)) ?? [];
    return `| ${path[1]} | ${cell(what)} | ${cell(meets)} | ${cell(why)} |`;
  });
  return [
    ...["## Not supported, and why", ""],
    "Each row is a test, too: it asserts what one meets instead.",
    ...["", "| by | what | what one meets | why |", "| --- | --- | --- | --- |"],
    ...[...lines, ""],
  ].join("\n");
}

const head = `# What works through genuine containerd

Made by \`scripts/conformance-table.mjs\` from a run of the tests in this
folder. Genuine containerd 1.6 (Debian's) drives \`io.containerd.katasim.v2\`; in the first two tables the
same row is run with containerd's own runc shim beside it, and must end alike. A row without a mark in one
column is about that runtime alone. \`chaos.test.ts\` kills shims, VMMs and containerd at random moments.
`;
const parts = [...sections.map(section), notSupported()];
if (parts.includes(undefined)) {
  console.log(`${output} is not compared: the conformance tests did not run here`);
  process.exit(mode === "--check" ? 0 : 1);
}
const text = [head, ...parts].join("\n");
if (mode !== "--check") writeFileSync(output, text);
else if (!existsSync(output) || readFileSync(output, "utf8") !== text) {
  console.log(
    `${output} does not say what the tests say: node scripts/conformance-table.mjs RESULTS`,
  );
  process.exit(1);
}
