import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type AcceptOne, acceptOne } from "../../../common/sockets/accept-one.ts";
import { createQmpClient } from "./qemu.ts";

describe("a QMP client", () => {
  let folder: string;
  let control: AcceptOne;
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), "katasim-qmp-"));
    control = await acceptOne(join(folder, "s"));
  });
  afterEach(() => {
    control.close();
    rmSync(folder, { recursive: true });
  });

  it("tells when its connection is over, and what was broken", async () => {
    const qemu = connect(join(folder, "s"));
    const qmp = createQmpClient(await control.connection);
    qemu.write("no message\n");
    expect(await qmp.closed).toBe("QEMU sent a line that is no JSON");
    await expect(qmp.execute("stop")).rejects.toThrow("closed");
  });

  it("tells of a connection that broke before anybody took it", async () => {
    const qemu = connect(join(folder, "s"));
    const socket = await control.connection;
    socket.destroy(new Error("reset"));
    await new Promise((resolve) => socket.once("close", resolve));
    expect(await createQmpClient(socket).closed).toBe("QEMU closed its control connection");
    qemu.destroy();
  });
});
