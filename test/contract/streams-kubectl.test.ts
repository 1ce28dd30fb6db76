/** Exec, cp, attach and port-forward of the kubelet endpoints under genuine kubectl, over both protocols. */
import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readdirSync, readFileSync, realpathSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { dirname, join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { skippedBefore } from "../support/kubectl.ts";
import {
  digest,
  eventually,
  type Harness,
  megabyte,
  roundTrip,
  standstill,
  startHarness,
  withPortForward,
} from "./streams-harness.ts";

let harness: Harness;

beforeAll(async () => {
  harness = await startHarness();
});
afterEach(() => harness.settle());
afterAll(() => harness?.close());

const variants = [
  { protocol: "WebSocket", upgrade: "GET websocket", env: {} },
  {
    protocol: "SPDY",
    upgrade: "POST SPDY/3.1",
    env: { KUBECTL_REMOTE_COMMAND_WEBSOCKETS: "false", KUBECTL_PORT_FORWARD_WEBSOCKETS: "false" },
  },
];

for (const { protocol, upgrade, env } of variants) {
  const skipped = protocol === "WebSocket" ? skippedBefore(30, "kubectl") : "";
  describe.skipIf(skipped !== "")(`${skipped}kubectl over ${protocol}`, () => {
    const kubectl = (args: readonly string[], input?: Buffer) =>
      harness.run("kubectl", args, harness.environment(env), input);
    const exec = (command: readonly string[], input?: Buffer) =>
      kubectl(["exec", ...(input ? ["-i"] : []), "p1", "--", ...command], input);

    it("uses the protocol this suite is about", async () => {
      harness.front.upgrades.length = 0;
      await exec(["true"]);
      expect(harness.front.upgrades).toEqual([upgrade]);
    });

    it("keeps output and error output apart and passes the exit code", async () => {
      const outcome = await exec(["sh", "-c", "echo out; echo err >&2; exit 7"]);
      expect(outcome.stdout.toString()).toBe("out\n");
      expect(outcome.stderr).toBe("err\ncommand terminated with exit code 7\n");
      expect(outcome.code).toBe(7);
    });

    it("says why a command cannot be started", async () => {
      const outcome = await exec(["no-such-program"]);
      expect(outcome.stderr).toContain(
        "Internal error occurred: error executing command in container: failed to start exec",
      );
      expect(outcome.code).toBe(1);
    });

    it("ends standard input when the client's ends", async () => {
      const outcome = await exec(["sh", "-c", "cat; echo done"], Buffer.from("some input\n"));
      expect(outcome.stdout.toString()).toBe("some input\ndone\n");
    });

    it("never loses the last bytes of a command that ends at once", async () => {
      for (let round = 0; round < 10; round += 1) {
        const outcome = await exec(["head", "-c", "300000", "/dev/zero"]);
        expect(outcome.stdout.length).toBe(300_000);
      }
    });

    it("lets a command end without having read its input", async () => {
      const outcome = await exec(["sh", "-c", "echo early; exit 3"], randomBytes(20 * megabyte));
      expect(outcome.stdout.toString()).toBe("early\n");
      expect(outcome.code).toBe(3);
    });

    it("carries 100 MB to a command and back, identical", async () => {
      const bytes = randomBytes(100 * megabyte);
      const outcome = await exec(["cat"], bytes);
      expect(outcome.code).toBe(0);
      expect(outcome.stdout.length).toBe(bytes.length);
      expect(digest(outcome.stdout)).toBe(digest(bytes));
    });

    it("copies 3 MB in and out, identical", async () => {
      const bytes = randomBytes(3 * megabyte);
      const source = join(harness.folder, "source");
      const inside = join(harness.folder, "inside");
      const back = join(harness.folder, "back");
      writeFileSync(source, bytes);
      for (const args of [
        ["cp", source, `p1:${inside}`],
        ["cp", `p1:${inside}`, back],
      ]) {
        expect((await kubectl(args)).code).toBe(0);
      }
      expect(digest(readFileSync(back))).toBe(digest(bytes));
    });

    it("gives a terminal its size and takes keys", async () => {
      const inner =
        'until [ "$(stty size)" = "41 101" ]; do sleep 0.1; done; stty size; read word; echo "<$word>"';
      const script = `stty cols 101 rows 41; kubectl exec -it p1 -- sh -c '${inner}'`;
      const outcome = await harness.run(
        "script",
        ["-qefc", script, "/dev/null"],
        harness.environment({ ...env, SHELL: "/bin/sh" }),
        Buffer.from("key\n"),
      );
      expect(outcome.stdout.toString()).toContain("41 101");
      expect(outcome.stdout.toString()).toContain("<key>");
      expect(outcome.code).toBe(0);
    });

    it("ends the command when the client is killed", async () => {
      const child = harness.start(
        "kubectl",
        ["exec", "p1", "--", "sleep", "1000"],
        harness.environment(env),
      );
      await eventually("the command runs", () => harness.runtime.running.size === 1);
      child.kill("SIGKILL");
      await eventually("the command ends", () => harness.runtime.running.size === 0);
    });

    it("ends a command that does not read when its client is killed while sending", async () => {
      const args = ["exec", "-i", "p1", "--", "sleep", "1000"];
      const child = harness.start("kubectl", args, harness.environment(env));
      child.stdin.write(randomBytes(32 * megabyte));
      await eventually("the command runs", () => harness.runtime.running.size === 1);
      await standstill("sending", () => child.stdin.writableLength);
      child.kill("SIGKILL");
      await eventually("the command ends", () => harness.runtime.running.size === 0);
    });

    it("makes a command wait whose client does not read", async () => {
      const writtenBytes = () => {
        const [pid] = harness.runtime.running;
        const io = pid === undefined ? "" : readFileSync(`/proc/${pid}/io`, "latin1");
        return Number(/^wchar: (\d+)$/m.exec(io)?.[1] ?? 0);
      };
      // Nobody reads the child's standard output, so kubectl stops reading the connection.
      harness.start("kubectl", ["exec", "p1", "--", "yes"], harness.environment(env));
      const written = await standstill("the command", writtenBytes);
      // Kernel socket buffers of four connections hold most of it.
      expect(written).toBeLessThan(64 * megabyte);
    });

    it("attaches to the container's own process", async () => {
      const child = harness.start("kubectl", ["attach", "-i", "p1"], harness.environment(env));
      let stdout = "";
      child.stdout.on("data", (chunk: Buffer) => {
        stdout += chunk;
      });
      await eventually("attached", () => stdout.includes("attached\n"));
      child.stdin.write("hello\n");
      await eventually("the answer", () => stdout.includes("HELLO\n"));
    });

    it("forwards a port: 100 MB there and back, identical", async () => {
      const bytes = randomBytes(100 * megabyte);
      await withPortForward(
        harness,
        "kubectl",
        harness.environment(env),
        harness.echoPort,
        async (port) => {
          expect(digest(await roundTrip(port, bytes))).toBe(digest(bytes));
        },
      );
    });

    it("forwards several connections at once and one after the other", async () => {
      await withPortForward(
        harness,
        "kubectl",
        harness.environment(env),
        harness.echoPort,
        async (port) => {
          for (let round = 0; round < 3; round += 1) {
            const inputs = Array.from({ length: 8 }, () => randomBytes(megabyte));
            const outputs = await Promise.all(inputs.map((input) => roundTrip(port, input)));
            expect(outputs.map(digest)).toEqual(inputs.map(digest));
          }
        },
      );
    });

    it("says why a port cannot be forwarded", async () => {
      const closed = createServer();
      await new Promise<void>((resolve) => closed.listen(0, "127.0.0.1", resolve));
      const { port } = closed.address() as AddressInfo;
      await new Promise((resolve) => closed.close(resolve));
      await withPortForward(
        harness,
        "kubectl",
        harness.environment(env),
        port,
        async (localPort, stderr) => {
          await roundTrip(localPort, Buffer.from("x")).catch(() => {});
          await eventually("the reason", () =>
            stderr().includes(
              `error forwarding port ${port} to pod sandbox-1, uid : connect ECONNREFUSED`,
            ),
          );
        },
      );
    });
  });
}

/** The installed kubectl, and other versions where a side-by-side installation has them. */
function installedKubectls(): readonly { readonly name: string; readonly binary: string }[] {
  const found = spawnSync("sh", ["-c", "command -v kubectl"], { encoding: "utf8" }).stdout.trim();
  if (found === "") return [{ name: "kubectl", binary: "kubectl" }];
  const home = dirname(realpathSync(found));
  const versions = readdirSync(home).filter((name) => /^kubectl\.1\.\d+$/.test(name));
  return ["kubectl", ...versions].map((name) => ({ name, binary: join(home, name) }));
}

describe("every installed kubectl", () => {
  it.each(installedKubectls())(
    "$name runs a command, passes its exit code and forwards a port",
    async ({ binary }) => {
      const bytes = randomBytes(3 * megabyte);
      const outcome = await harness.run(
        binary,
        ["exec", "-i", "p1", "--", "sh", "-c", "cat; exit 7"],
        harness.environment(),
        bytes,
      );
      expect(digest(outcome.stdout)).toBe(digest(bytes));
      expect(outcome.code).toBe(7);
      await withPortForward(
        harness,
        binary,
        harness.environment(),
        harness.echoPort,
        async (port) => {
          expect(digest(await roundTrip(port, bytes))).toBe(digest(bytes));
        },
      );
    },
  );
});
