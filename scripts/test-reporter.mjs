// A vitest reporter for scripts/test: one JSON line per test with its state and, for skips, the reason,
// appended to $KATASIM_TEST_RESULTS. A file that does not even load counts as one failed test.
import { appendFileSync } from "node:fs";
import { relative } from "node:path";

export default class ResultLines {
  onTestRunEnd(modules, unhandledErrors) {
    const lines = [];
    for (const module of modules) {
      const file = relative(process.cwd(), module.moduleId);
      const broken = [module, ...module.children.allSuites()].filter(
        (part) => part.errors().length > 0,
      );
      for (const part of broken) {
        lines.push({ file, name: part.fullName ?? "(the file itself)", state: "failed" });
      }
      for (const test of module.children.allTests()) {
        const result = test.result();
        // "pending" at the end of a run: its suite's set-up failed or the run was stopped.
        const state = result.state === "pending" ? "failed" : result.state;
        lines.push({ file, name: test.fullName, state, reason: result.note });
      }
    }
    for (const error of unhandledErrors) {
      lines.push({ file: "", name: `unhandled error: ${error.message}`, state: "failed" });
    }
    const text = lines.map((line) => `${JSON.stringify(line)}\n`).join("");
    if (process.env.KATASIM_TEST_RESULTS) appendFileSync(process.env.KATASIM_TEST_RESULTS, text);
  }
}
