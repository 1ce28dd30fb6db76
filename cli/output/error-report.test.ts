import { describe, expect, it } from "vitest";
import { cliError } from "../errors.ts";
import { errorReportJson, formatErrorReport, reportFromError } from "./error-report.ts";

describe("reportFromError", () => {
  it("prints what failed, why, what to try, code and log", () => {
    const error = cliError("PORT_TAKEN", "port 6443 is taken", {
      cause: new Error("nginx (pid 7) listens there"),
      hint: "use --api-port 0",
      details: { log: "/l" },
    });
    const report = reportFromError(error);
    expect(report.exitCode).toBe(3);
    expect(formatErrorReport(report)).toBe(
      "error: port 6443 is taken\n  why: nginx (pid 7) listens there\n  try: use --api-port 0\n  code: PORT_TAKEN\n  log: /l\n",
    );
  });

  it("shows stacks only when asked", () => {
    const report = reportFromError(new TypeError("x is undefined"));
    expect(formatErrorReport(report)).not.toContain("    at ");
    expect(formatErrorReport(report, { stack: true })).toContain("    at ");
  });

  it("takes everything unknown for a bug of ours", () => {
    expect(reportFromError(new TypeError("x"))).toMatchObject({ exitCode: 70, code: "INTERNAL" });
    expect(reportFromError("thrown text")).toMatchObject({ exitCode: 70, message: "thrown text" });
  });

  it.each([
    ["ENOSPC", "write", undefined, "the disk is full"],
    ["EROFS", "open", "/ro/x", "cannot write /ro/x: a read-only file system is in the way"],
    ["ENOENT", "mkdir", "/ro/x", "cannot write /ro/x: a read-only file system is in the way"],
    [
      "ENOTDIR",
      "mkdir",
      "/dev/null/x",
      "cannot write /dev/null/x: a file is where a folder must be",
    ],
  ])("blames the machine for %s of %s", (code, syscall, path, message) => {
    const error = Object.assign(new Error(`${code}: ${syscall}`), { code, syscall, path });
    const report = reportFromError(error);
    expect(report).toMatchObject({ exitCode: 3, code: "MACHINE_LACKS", message });
    expect(report.why).toEqual([`${code}: ${syscall}`]);
    expect(report.hint).toContain("--home");
  });

  it("takes a file that is missing for a bug of ours", () => {
    const error = Object.assign(new Error("ENOENT"), {
      code: "ENOENT",
      syscall: "open",
      path: "/x",
    });
    expect(reportFromError(error).code).toBe("INTERNAL");
  });

  it("names each cause once and survives a cycle", () => {
    const inner = new Error("inner");
    const outer = new Error("outer: inner", { cause: new Error("middle", { cause: inner }) });
    expect(reportFromError(outer).why).toEqual(["middle"]);
    inner.cause = inner;
    expect(reportFromError(new Error("top", { cause: inner })).why).toEqual(["inner"]);
  });

  it("is one JSON object for machines", () => {
    const { error } = JSON.parse(errorReportJson(reportFromError(cliError("USAGE", "bad"))));
    expect(error).toMatchObject({ message: "bad", code: "USAGE", exitCode: 2 });
  });
});
