import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createLineSplitter, createLogFormatter, fixedTimestamp, parseCriLine } from "./cri-log.ts";

const time = "2026-01-02T03:04:05.123456789Z";
const line = (text: string) => Buffer.from(text);
const formatAll = (options: Parameters<typeof createLogFormatter>[0], lines: readonly string[]) => {
  const formatter = createLogFormatter(options);
  return lines.flatMap((text) => formatter.format(line(text)).map(String)).join("");
};

describe("the CRI log format", () => {
  it("is time, stream, tag and content, spaces in the content kept", () => {
    expect(parseCriLine(line(`${time} stderr F  two  spaces \n`))).toEqual({
      timestamp: time,
      stream: "stderr",
      content: line(" two  spaces \n"),
    });
  });

  it("joins pieces: a partial line's newline is not the container's", () => {
    const lines = [`${time} stdout P ab\n`, `${time} stdout P cd\n`, `${time} stdout F ef\n`];
    expect(formatAll({ timestamps: false }, lines)).toBe("abcdef\n");
    expect(formatAll({ timestamps: true }, lines)).toBe(`${time} abcdef\n`);
  });

  it("takes further tags after the first", () => {
    expect(parseCriLine(line(`${time} stdout P:x ab\n`))?.content).toEqual(line("ab"));
  });

  it.each([
    "",
    "\n",
    "rubbish\n",
    `${time}\n`,
    `${time} stdout F\n`,
    `${time} other F x\n`,
    "no stdout F x\n",
  ])("passes over %j", (text) => {
    expect(parseCriLine(line(text))).toBeUndefined();
  });

  it("keeps an empty line", () => {
    expect(formatAll({ timestamps: false }, [`${time} stdout F \n`])).toBe("\n");
  });

  it("prints nine digits, whatever the writer gave", () => {
    expect(fixedTimestamp("2026-01-02T03:04:05Z")).toBe("2026-01-02T03:04:05.000000000Z");
    expect(fixedTimestamp("2026-01-02T03:04:05.5+02:00")).toBe(
      "2026-01-02T03:04:05.500000000+02:00",
    );
  });

  it("leaves out what is older", () => {
    const lines = [`2026-01-01T00:00:00Z stdout F old\n`, `${time} stdout F new\n`];
    expect(
      formatAll({ timestamps: false, sinceMs: Date.parse("2026-01-02T00:00:00Z") }, lines),
    ).toBe("new\n");
  });

  it("stops at the byte limit, in the middle of a line too", () => {
    const formatter = createLogFormatter({ timestamps: false, limitBytes: 6 });
    expect(formatter.format(line(`${time} stdout F abc\n`)).map(String)).toEqual(["abc\n"]);
    expect(formatter.done()).toBe(false);
    expect(formatter.format(line(`${time} stdout F def\n`)).map(String)).toEqual(["de"]);
    expect(formatter.done()).toBe(true);
  });
});

describe("the line splitter", () => {
  it("gives the same lines however the bytes are cut", () => {
    fc.assert(
      fc.property(
        fc.array(fc.stringMatching(/^[a-z ]{0,20}$/), { maxLength: 20 }),
        fc.array(fc.nat(), { maxLength: 20 }),
        (texts, cuts) => {
          const bytes = Buffer.from(texts.join("\n"));
          const splitter = createLineSplitter(1000);
          const lines: string[] = [];
          const places = [...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].sort(
            (a, b) => a - b,
          );
          let from = 0;
          for (const to of places) {
            lines.push(...splitter.push(bytes.subarray(from, to)).map(String));
            from = to;
          }
          expect(lines.join("") + splitter.rest()).toBe(bytes.toString());
          expect(lines.every((text) => text.indexOf("\n") === text.length - 1)).toBe(true);
        },
      ),
    );
  });

  it("passes over a line that is too long, and only that", () => {
    const splitter = createLineSplitter(10);
    const lines = ["ok\n", "x".repeat(8), "x".repeat(8), "x\nfine\n"].flatMap((text) =>
      splitter.push(line(text)).map(String),
    );
    expect(lines).toEqual(["ok\n", "fine\n"]);
  });
});
