import { describe, expect, it } from "vitest";
import { environment, processArgs } from "./process-args.ts";

const image = (Entrypoint: string[] | null, Cmd: string[] | null) => ({
  config: { Entrypoint, Cmd },
});

describe("processArgs", () => {
  // The table of Kubernetes' documentation "Define a Command and Arguments for a Container".
  it.each([
    [undefined, undefined, ["/ep-1", "foo", "bar"]],
    [["/ep-2"], undefined, ["/ep-2"]],
    [undefined, ["zoo", "boo"], ["/ep-1", "zoo", "boo"]],
    [["/ep-2"], ["zoo", "boo"], ["/ep-2", "zoo", "boo"]],
  ])("with command %j and args %j runs %j", (command, args, expected) => {
    const wanted = { ...(command && { command }), ...(args && { args }) };
    expect(processArgs(wanted, image(["/ep-1"], ["foo", "bar"]))).toEqual(expected);
  });

  it("refuses a container without any command", () => {
    expect(() => processArgs({}, image(null, null))).toThrow(/no command specified/);
    expect(() => processArgs({}, {})).toThrow(/no command specified/);
  });
});

describe("environment", () => {
  const base = { image: {}, hostname: "h", tty: false, env: [] };

  it("has a PATH and the host name", () => {
    expect(environment(base)).toEqual([
      "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
      "HOSTNAME=h",
    ]);
  });

  it("lets the image override defaults and the pod override the image", () => {
    const values = environment({
      ...base,
      image: { config: { Env: ["PATH=/bin", "A=image", "B=has=equals"] } },
      env: [{ name: "A", value: "pod" }],
    });
    expect(values).toEqual(["PATH=/bin", "HOSTNAME=h", "A=pod", "B=has=equals"]);
  });

  it("names a terminal only where there is one", () => {
    expect(environment({ ...base, tty: true })).toContain("TERM=xterm");
    expect(environment(base).some((pair) => pair.startsWith("TERM="))).toBe(false);
  });
});
