/**
 * `start` as every containerd calls it: each bootstrap protocol, several at once, given up half-way.
 * No VM is booted here.
 */
import { type ChildProcess, spawn } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { create, toBinary } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { readPidFile } from "../../common/process/process-identity.ts";
import { BootstrapParamsSchema } from "../../proto/containerd/gen/bootstrap_pb.js";
import { OptionsSchema } from "../../proto/containerd/gen/runtime_options_pb.js";
import { connectTtrpc, grpcCodeOf } from "../../runtime-shim/ttrpc/client.ts";
import { processes } from "../support/leaks.ts";
import { sandboxSpec } from "../support/oci-specs.ts";
import { task } from "../support/shim-driver.ts";
import { waitUntil } from "../support/wait-until.ts";
import { shim } from "./shim-scene.ts";

const folder = mkdtempSync("/tmp/kst-");
const sockets = join(folder, "s");
const namespace = "k8s.io";
const notFound = 5;

const options = create(AnySchema, {
  typeUrl: "runtimeoptions.v1.Options",
  value: toBinary(
    OptionsSchema,
    create(OptionsSchema, { configBody: Buffer.from(JSON.stringify({ socketDir: sockets })) }),
  ),
});
const legacy = toBinary(AnySchema, options);
const bundles = new Set<string>();

function bundleOf(id: string): string {
  const bundle = join(folder, id);
  if (!bundles.has(id)) {
    mkdirSync(bundle, { recursive: true });
    writeFileSync(join(bundle, "config.json"), JSON.stringify(sandboxSpec(id)));
    bundles.add(id);
  }
  return bundle;
}

function launch(id: string, action: string, env: NodeJS.ProcessEnv = {}): ChildProcess {
  const flags = ["-namespace", namespace, "-address", "/run/none.sock", "-id", id];
  return spawn(shim, [...flags, "-publish-binary", "none", action], {
    cwd: bundleOf(id),
    stdio: ["pipe", "pipe", "pipe"],
    env: { ...process.env, ...env },
  });
}

/** stdout and stderr as one, as containerd reads them. */
async function run(id: string, action: string, input: Uint8Array, env?: NodeJS.ProcessEnv) {
  const child = launch(id, action, env);
  let output = "";
  child.stdout?.on("data", (chunk) => {
    output += chunk;
  });
  child.stderr?.on("data", (chunk) => {
    output += chunk;
  });
  child.stdin?.end(input);
  const code = await new Promise<number>((resolve) => child.once("close", (c) => resolve(c ?? -1)));
  return { code, output };
}

const daemons = () => processes({ home: folder, instance: "-" });

describe("start", () => {
  afterEach(async () => {
    for (const id of bundles) await run(id, "delete", new Uint8Array());
    bundles.clear();
    await waitUntil(() => daemons().length === 0, { what: "the daemons' end", describe: daemons });
    expect(existsSync(sockets) ? readdirSync(sockets) : []).toEqual([]);
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it.each([
    ["an Any with options (containerd 1.6 to 2.2)", legacy],
    [
      "BootstrapParams (containerd 2.3 and later)",
      toBinary(
        BootstrapParamsSchema,
        create(BootstrapParamsSchema, {
          instanceId: "pod",
          namespace,
          extensions: [{ value: options }],
        }),
      ),
    ],
    [
      "BootstrapParams with a socket folder and no options",
      toBinary(
        BootstrapParamsSchema,
        create(BootstrapParamsSchema, { instanceId: "pod", namespace, socketDir: sockets }),
      ),
    ],
  ])("takes %s on stdin, and answers an address that serves task v2 and v3", async (_, input) => {
    const { code, output } = await run("pod", "start", input);
    expect({ code, output }).toEqual({
      code: 0,
      output: expect.stringMatching(new RegExp(`^unix://${sockets}/[0-9a-f]{16}\\.task$`)),
    });
    expect(readFileSync(join(bundleOf("pod"), "address"), "utf8")).toBe(output);
    const client = await connectTtrpc(output);
    for (const version of ["v2", "v3"]) {
      const answer = client.call(
        task.state,
        { id: "pod" },
        { service: `containerd.task.${version}.Task` },
      );
      expect(grpcCodeOf(await answer.catch((error: unknown) => error))).toBe(notFound);
    }
    await client.call(task.shutdown, { id: "pod" });
    await client.closed;
  });

  it("takes no input at all: options come with Create", async () => {
    const { code, output } = await run("pod", "start", new Uint8Array());
    expect({ code, output }).toEqual({
      code: 0,
      output: expect.stringMatching(/^unix:\/\/\/run\/katasim\/s\/[0-9a-f]{16}\.task$/),
    });
  });

  it("answers one address to several at once, and starts one daemon", async () => {
    const outcomes = await Promise.all([1, 2, 3, 4, 5].map(() => run("pod", "start", legacy)));
    expect(new Set(outcomes.map(({ output }) => output)).size).toBe(1);
    expect(outcomes.map(({ code }) => code)).toEqual([0, 0, 0, 0, 0]);
    await waitUntil(() => daemons().length === 1, { what: "one daemon", describe: daemons });
  });

  it("does the same over the socket file of a shim that was killed", async () => {
    const { output } = await run("pod", "start", legacy);
    process.kill(readPidFile(join(bundleOf("pod"), "shim.pid"))?.pid ?? 0, "SIGKILL");
    await waitUntil(() => daemons().length === 0, { what: "the daemon's end" });
    expect(existsSync(output.replace("unix://", ""))).toBe(true);
    const outcomes = await Promise.all([1, 2, 3, 4, 5].map(() => run("pod", "start", legacy)));
    expect(outcomes).toEqual(Array(5).fill({ code: 0, output }));
    await waitUntil(() => daemons().length === 1, { what: "one daemon", describe: daemons });
    (await connectTtrpc(output)).close();
  });

  it("ends a daemon whose bundle was taken away, as a restarted containerd does", async () => {
    await run("pod", "start", legacy);
    rmSync(bundleOf("pod"), { recursive: true });
    bundles.delete("pod");
    await waitUntil(() => daemons().length === 0, { what: "the daemon's end", describe: daemons });
    expect(readdirSync(sockets)).toEqual([]);
  });

  it("ends a daemon that gets no task, because containerd was killed before Create", async () => {
    await run("pod", "start", legacy);
    await waitUntil(() => daemons().length === 0, { what: "the daemon's end", describe: daemons });
    expect(existsSync(join(bundleOf("pod"), "shim.pid"))).toBe(false);
  });

  it("leaves no daemon and no socket when containerd gives the start up", async () => {
    for (const waitMs of [30, 80, 130, 180, 230]) {
      const child = launch("pod", "start");
      child.stdin?.end(legacy);
      const exited = new Promise((resolve) => child.once("exit", resolve));
      await new Promise((resolve) => setTimeout(resolve, waitMs));
      child.kill("SIGKILL");
      await exited;
      // containerd's next step after a failed start.
      await run("pod", "delete", new Uint8Array());
      await waitUntil(() => daemons().length === 0, {
        what: "the daemon's end",
        describe: daemons,
      });
      expect(existsSync(sockets) ? readdirSync(sockets) : []).toEqual([]);
    }
  });
});
