/** Output and exits of programs in a guest alone, whatever reads or goes on writing. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { bootGuestVm, type GuestVm, whyNoVm } from "./guest-vm.ts";

const reason = whyNoVm();
if (reason !== undefined) console.warn(`skipped: guest VM tests (${reason})`);

describe.skipIf(reason !== undefined)("output of programs in a guest", () => {
  let vm: GuestVm;
  beforeAll(async () => {
    vm = await bootGuestVm();
    await vm.run("main", ["sleep", "100000"]);
  });
  afterAll(() => vm?.stop());

  const sh = async (script: string, options = {}) =>
    (await vm.exec("main", ["sh", "-c", script], options)).outcome;

  it("delivers all output before the exit, and stdin to its end", async () => {
    const { stdout } = await sh("wc -c; head -c 3000000 /dev/zero | tr '\\0' x", {
      stdin: Buffer.alloc(700_000, "y"),
    });
    expect(stdout).toBe(`700000\n${"x".repeat(3_000_000)}`);
  });

  it("tells an exit although a background process talks on and on", async () => {
    const { exitCode, stdout } = await sh("echo mine; yes & exit 4");
    expect(exitCode).toBe(4);
    expect(stdout).toMatch(/^mine\n/);
  });

  it("tells an exit although the host takes none of the last output", async () => {
    const stream = vm.client.openStream("output");
    // More than the stream's window, less than window and pipe: the program ends by itself.
    await vm.client.request("exec", [
      [1, "main"],
      [2, "unread"],
      ...["head", "-c", "300000", "/dev/zero"].map((word) => [30, word] as const),
      [31, "PATH=/usr/bin"],
      [40, stream.streamId],
    ]);
    await expect
      .poll(() => vm.exits.find(({ execId }) => execId === "unread")?.exitCode, { timeout: 30_000 })
      .toBe(0);
    stream.resume();
  });

  it("keeps one container's unread output from holding up another", async () => {
    const stream = vm.client.openStream("output");
    await vm.client.request("exec", [
      [1, "main"],
      [2, "flood"],
      [30, "yes"],
      [31, "PATH=/usr/bin"],
      [40, stream.streamId],
    ]);
    expect((await sh("echo alive")).stdout).toBe("alive\n");
    await vm.client.request("signal", [
      [1, "main"],
      [2, "flood"],
      [3, 9],
    ]);
    stream.resume();
    await expect.poll(() => vm.exits.find(({ execId }) => execId === "flood")?.exitCode).toBe(137);
  });
});
