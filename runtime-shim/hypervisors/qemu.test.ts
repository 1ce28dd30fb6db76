import { describe, expect, it } from "vitest";
import { createQmpDecoder } from "./control/qmp-messages.ts";
import { reasonOf } from "./qemu.ts";
import { createVmmState, type VmmState, vmmTransitions } from "./vmm-state.ts";

const child = { pid: 123, stderrTail: () => "qemu: first\nqemu: cannot allocate memory" };
const quiet = { text: () => "" };

describe("the reason of a VMM's end", () => {
  it("names the signal", () => {
    expect(reasonOf(child, { code: null, signal: "SIGKILL" }, quiet)).toBe(
      "the virtual machine monitor (qemu-system-x86_64, pid 123) was killed by SIGKILL",
    );
  });

  it("quotes what it said", () => {
    expect(reasonOf(child, { code: 1, signal: null }, quiet)).toContain("cannot allocate memory");
  });

  it("tells a guest's panic from a power-off", () => {
    const panic = {
      text: () => "x\n[ 1.0] Kernel panic - not syncing: Attempted to kill init!\ny",
    };
    expect(reasonOf(child, { code: 0, signal: null }, panic)).toBe(
      "the guest's kernel stopped: Kernel panic - not syncing: Attempted to kill init!",
    );
    expect(reasonOf(child, { code: 0, signal: null }, quiet)).toBe("the guest powered off");
  });
});

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
