import { describe, expect, it } from "vitest";
import { createQmpDecoder } from "./control/qmp-messages.ts";
import { createVmmState, type VmmState, vmmTransitions } from "./vmm-state.ts";

describe("QMP", () => {
  it("reads greeting, answers, errors and events, cut anywhere", () => {
    const lines = [
      { QMP: { version: { qemu: { major: 7, minor: 2, micro: 22 } } } },
      { return: {}, id: 1 },
      { error: { class: "GenericError", desc: "no ä such" }, id: 2 },
      { event: "DEVICE_DELETED", data: { device: "d-1" } },
    ];
    const bytes = Buffer.from(lines.map((line) => `${JSON.stringify(line)}\r\n`).join(""));
    const decoder = createQmpDecoder();
    const messages = [...bytes].flatMap((byte) => decoder.push(Buffer.from([byte])));
    expect(messages).toEqual([
      { kind: "greeting", version: "7.2.22" },
      { kind: "return", id: 1, value: {} },
      { kind: "error", id: 2, description: "no ä such" },
      { kind: "event", name: "DEVICE_DELETED", data: { device: "d-1" } },
    ]);
  });

  it("refuses what is no JSON", () => {
    expect(() => createQmpDecoder().push(Buffer.from("hello\n"))).toThrow("no JSON");
  });
});

describe("VMM states", () => {
  it("follow the table", () => {
    const states = Object.keys(vmmTransitions) as VmmState[];
    for (const next of states) {
      const state = createVmmState();
      expect(state.move(next)).toBe(vmmTransitions.starting.includes(next));
    }
    expect(vmmTransitions.gone).toEqual([]);
  });
});
