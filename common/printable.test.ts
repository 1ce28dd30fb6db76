import { describe, expect, it } from "vitest";
import { printable } from "./printable.ts";

describe("printable", () => {
  it("takes escape sequences and control characters out of a guest's text", () => {
    expect(printable("a\u001b[31mb\u001b]0;t\u0007c\r\nd\u009b")).toBe("ab]0;tc\nd");
  });
});
