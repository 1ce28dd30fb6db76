/** Starting the API server: certificates that last, and every way a start can fail. */
import { readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createApiServer } from "../../api/index.ts";
import type { SimError } from "../../common/errors.ts";
import { silentLogger } from "../../common/log.ts";
import { startApiServer, type TestApiServer, testNodeName } from "../support/start-api-server.ts";

let api: TestApiServer;
beforeAll(async () => {
  api = await startApiServer();
});
afterAll(() => api?.[Symbol.asyncDispose]());

describe("certificates", () => {
  it("are readable by their owner only and used again after a restart", async () => {
    const before = api.server.credentials;
    await api.restart();
    expect(api.server.credentials).toEqual(before);
    for (const file of await readdir(api.paths.pki)) {
      expect(statSync(join(api.paths.pki, file)).mode & 0o777).toBe(0o600);
    }
    expect(statSync(api.paths.pki).mode & 0o777).toBe(0o700);
  });

  it("are made anew when they run out, under the same authority", async () => {
    await using other = await startApiServer();
    await other.server.close();
    const later = { nowMs: () => Date.now() + 340 * 86_400_000, sleep: neverAwake };
    const renewed = await createApiServer({
      paths: other.paths,
      port: 0,
      nodeName: testNodeName,
      log: silentLogger,
      clock: later,
    });
    try {
      expect(renewed.credentials.caPem).toBe(other.server.credentials.caPem);
      expect(renewed.credentials.admin).not.toEqual(other.server.credentials.admin);
    } finally {
      await renewed.close();
    }
  });
});

const neverAwake = (_delayMs: number, signal?: AbortSignal) =>
  new Promise<void>((_resolve, reject) => {
    signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
  });

describe("start", () => {
  const startAt = (port: number, host = "127.0.0.1") =>
    createApiServer({ paths: api.paths, host, port, nodeName: testNodeName, log: silentLogger });

  it("says that the port is taken, and what to try", async () => {
    await using other = await startApiServer();
    await other.server.close();
    const blocker = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => blocker.once("listening", resolve));
    const { port } = blocker.address() as { port: number };
    const failed = await createApiServer({
      paths: other.paths,
      port,
      nodeName: testNodeName,
      log: silentLogger,
    }).catch((error: SimError) => error);
    blocker.close();
    expect(failed).toMatchObject({ code: "PORT_IN_USE", hint: expect.stringContaining("port") });
    expect((failed as SimError).message).toContain(String(port));
  });

  it("says that the address is none of this machine's", async () => {
    await expect(startAt(0, "192.0.2.1")).rejects.toMatchObject({ code: "LISTEN_FAILED" });
  });

  it("names the damaged database and leaves it", async () => {
    await using other = await startApiServer();
    await other.server.close();
    for (const suffix of ["-wal", "-shm"]) rmSync(other.paths.database + suffix, { force: true });
    writeFileSync(other.paths.database, "this was a database once");
    await expect(other.restart()).rejects.toMatchObject({
      code: "STORE_CORRUPT",
      message: expect.stringContaining(other.paths.database),
    });
    expect(readFileSync(other.paths.database, "utf8")).toBe("this was a database once");
  });

  it("names the certificate it cannot read", async () => {
    await using other = await startApiServer();
    await other.server.close();
    writeFileSync(join(other.paths.pki, "admin.crt"), "garbage");
    await expect(other.restart()).rejects.toMatchObject({
      code: "PKI_UNREADABLE",
      message: expect.stringContaining("admin.crt"),
    });
  });
});
