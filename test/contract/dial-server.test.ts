/** The dial socket's own manners, over a real unix socket with a guest that only answers. */
import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, expect, it } from "vitest";
import { silentLogger } from "../../common/log.ts";
import { createGuestClient } from "../../runtime-shim/guest-client/client.ts";
import { startDialServer } from "../../runtime-shim/guest-client/dial-server.ts";
import { createFakeGuest } from "../fakes/fake-guest.ts";

const folder = mkdtempSync("/tmp/kdial-");
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it("closes a connection whose caller leaves without a word", async () => {
  const path = join(folder, "dial");
  const guest = createGuestClient(createFakeGuest().transport, {
    log: silentLogger,
    listener: { exited() {}, oom() {} },
  });
  const server = await startDialServer(path, guest);
  try {
    for (const words of ["", "CONN"]) {
      const socket = connect(path);
      socket.end(words);
      expect(await text(socket)).toBe("");
    }
  } finally {
    await server.close();
    guest.close("the test is over");
  }
});
