// Sums the result lines of scripts/test. Prints failures, skips with their reasons, the time of each
// stage, and as its LAST line `N passed, N failed` or `N passed, N failed, N skipped`. Exits 1 when
// something failed, when nothing passed, or under CI=true when a skip is not on test/allowed-skips.txt.
import { existsSync, readFileSync } from "node:fs";

const [resultsFile, stagesFile] = process.argv.slice(2);
const results = jsonLines(resultsFile);
const stages = jsonLines(stagesFile);
const allowed = readFileSync("test/allowed-skips.txt", "utf8")
  .split("\n")
  .map((line) => line.replace(/#.*/, "").trim())
  .filter((line) => line !== "");

const failed = results.filter(({ state }) => state === "failed");
const skipped = results.filter(({ state }) => state === "skipped");
const passed = results.filter(({ state }) => state === "passed");
const label = ({ file, name }) => (file ? `${file} > ${name}` : name);

if (failed.length > 0) {
  console.log("\nFailed:");
  for (const result of failed) console.log(`  ${label(result)}`);
}
let refused = 0;
if (skipped.length > 0) {
  console.log("\nSkipped:");
  // Tests of one file mostly share one reason: one line for all of them.
  const groups = new Map();
  for (const result of skipped) {
    const known = allowed.some((start) => label(result).startsWith(start));
    const wrong = process.env.CI === "true" && !known;
    if (wrong) refused += 1;
    const reason = result.reason ?? /\(skipped: ([^)]*)\)/.exec(result.name)?.[1] ?? result.name;
    const key = `${result.file}: ${reason}${wrong ? "  [not in test/allowed-skips.txt]" : ""}`;
    groups.set(key, (groups.get(key) ?? 0) + 1);
  }
  for (const [key, count] of groups) console.log(`  ${count} × ${key}`);
}
console.log("\nTime:");
for (const { stage, seconds } of stages) console.log(`  ${stage.padEnd(12)} ${seconds} s`);
if (refused > 0) console.log(`\n${refused} skips are not allowed in CI`);

const counts = [`${passed.length} passed`, `${failed.length} failed`];
if (skipped.length > 0) counts.push(`${skipped.length} skipped`);
console.log(counts.join(", "));
process.exitCode = failed.length > 0 || refused > 0 || passed.length === 0 ? 1 : 0;

function jsonLines(file) {
  if (!existsSync(file)) return [];
  return readFileSync(file, "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line));
}
