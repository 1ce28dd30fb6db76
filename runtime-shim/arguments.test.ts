import { describe, expect, it } from "vitest";
import { parseArguments } from "./arguments.ts";

const parse = (line: string) => parseArguments(line.split(" "), "/cwd");

describe("parseArguments", () => {
  it("reads containerd's command line", () => {
    expect(
      parse(
        "-namespace k8s.io -address /run/c.sock -publish-binary /usr/bin/containerd -id a -debug start",
      ),
    ).toEqual({
      action: "start",
      namespace: "k8s.io",
      id: "a",
      address: "/run/c.sock",
      bundle: "/cwd",
      debug: true,
    });
  });

  it("takes the bundle of delete", () => {
    expect(parse("-namespace n -id a -bundle /b delete")).toMatchObject({
      action: "delete",
      bundle: "/b",
    });
  });

  it("is the daemon without an action", () => {
    expect(parse("--namespace=n --id=a").action).toBe("run");
  });

  it("needs nothing for -v and -info", () => {
    expect(parse("-v").action).toBe("version");
    expect(parse("-info").action).toBe("info");
  });

  it.each([
    ["-namespace n start", "the flag -id is missing"],
    ["-namespace n -id", "the flag -id needs a value"],
    ["-namespace n -id a restart", "unknown action restart: use start, delete or spare"],
    ["-namespace n -id a -fast start", "unknown flag -fast"],
    ["-namespace n -id a start start", "unexpected argument start"],
  ])("refuses %j", (line, words) => {
    expect(() => parse(line)).toThrow(words);
  });
});
