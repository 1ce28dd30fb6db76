/** Our shim with the network that QEMU plays: the guest's address, and where it leads. Needs root. */
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { vmTestObstacle } from "../support/guest-image.ts";
import { sandboxSpec } from "../support/oci-specs.ts";
import { type ShimDriver, task } from "../support/shim-driver.ts";
import { waitUntil } from "../support/wait-until.ts";
import { createShimScene } from "./shim-scene.ts";

const obstacle = vmTestObstacle();
if (obstacle !== undefined) console.warn(`skipped: ${obstacle}`);

describe.skipIf(obstacle !== undefined)("a sandbox on a network of its own", () => {
  const folder = mkdtempSync("/tmp/kuser-");
  // The VMM's place, so that what a guest reaches of "this machine" is this namespace's loopback.
  const netns = `user-test-${process.pid}`;
  const { openDriver, newSandbox, newContainer, finish, expectNothingLeft } =
    createShimScene(folder);
  const server = { port: 7000, stop: () => {} };

  beforeAll(async () => {
    execFileSync("ip", ["netns", "add", netns]);
    execFileSync("ip", ["-n", netns, "link", "set", "lo", "up"]);
    const program = `require("node:net").createServer((s) => s.end("secret of this machine"))
      .listen(${server.port}, "127.0.0.1", () => console.log("listening"))`;
    const args = ["netns", "exec", netns, process.execPath, "-e", program];
    const child = spawn("ip", args, { stdio: ["ignore", "pipe", "inherit"] });
    server.stop = () => void child.kill("SIGKILL");
    await new Promise((resolve) => child.stdout.once("data", resolve));
  });
  afterAll(() => {
    server.stop();
    execFileSync("ip", ["netns", "del", netns]);
    expectNothingLeft();
  });

  const spec = (id: string, address?: string) =>
    sandboxSpec(id, {
      netnsPath: `/run/netns/${netns}`,
      ...(address === undefined ? {} : { annotations: { "katasim.dev/address": address } }),
    });
  const ask = async (driver: ShimDriver, pod: string, id: string, script: string) => {
    const streams = await newContainer(driver, pod, id, ["bash", "-c", script]);
    await finish(driver, id);
    await streams.ended;
    return streams.text() + streams.errors();
  };
  const askGateway = (gateway: string) => `timeout 5 cat </dev/tcp/${gateway}/${server.port} 2>&1`;

  it("has the address that its spec names, and leads nowhere", async () => {
    const driver = await openDriver("closed", { network: "user" });
    try {
      const record = await newSandbox(driver, "closed", spec("closed", "10.244.0.9/24"));
      expect(record?.network).toBe("user");
      const shown = await ask(driver, "closed", "show", "ip -4 -o addr show eth0; ip route");
      expect(shown).toContain("10.244.0.9/24");
      expect(shown).toContain("default via 10.244.0.1");
      const got = await ask(driver, "closed", "try", askGateway("10.244.0.1"));
      expect(got).not.toContain("secret");
    } finally {
      await driver.close();
    }
  });

  it("leads where its VMM's user gets to when egress is open", async () => {
    const driver = await openDriver("open", { network: "user", egress: "open" });
    try {
      await newSandbox(driver, "open", spec("open"));
      expect(await ask(driver, "open", "show", "ip -4 -o addr show eth0")).toContain(
        "10.0.2.15/24",
      );
      expect(await ask(driver, "open", "try", askGateway("10.0.2.1"))).toContain("secret");
    } finally {
      await driver.close();
    }
  });

  it("lets this machine in through the dial socket alone", async () => {
    const driver = await openDriver("dial", { network: "user" });
    try {
      const record = await newSandbox(driver, "dial", spec("dial"));
      const script = "echo ready; nc -l -p 8080 -s 127.0.0.1 -q 1 <<<hello";
      const streams = await newContainer(driver, "dial", "server", ["bash", "-c", script]);
      await waitUntil(() => streams.text().includes("ready"), { what: "the server" });
      const dial = async () => {
        const socket = connect(record?.dialSocket ?? "");
        socket.write("CONNECT 8080\n");
        return text(socket);
      };
      let said = "";
      await waitUntil(
        async () => {
          said = await dial();
          return said.startsWith("OK");
        },
        { what: "the server to listen", describe: () => said },
      );
      expect(said).toBe("OK 8080\nhello\n");
      await driver.client.call(task.kill, { id: "server", signal: 9 }).catch(() => {});
    } finally {
      await driver.close();
    }
  });

  it("refuses an address that QEMU would take for something else", async () => {
    const driver = await openDriver("bad", { network: "user" });
    try {
      const odd = spec("bad", "10.0.2.15/24,hostfwd=tcp::2222-:22");
      await expect(newSandbox(driver, "bad", odd)).rejects.toThrow(/is no IPv4 address/);
    } finally {
      await driver.close();
    }
  });

  it("is not to be had from Cloud Hypervisor, and says so", async () => {
    const driver = await openDriver("clh", {
      ...{ network: "user", hypervisor: "cloud-hypervisor", accel: "auto" },
      probeCacheDir: join(folder, "probe"),
    });
    try {
      await expect(newSandbox(driver, "clh", spec("clh"))).rejects.toThrow(
        /Cloud Hypervisor has no user-mode network|cloud-hypervisor is not installed/,
      );
    } finally {
      await driver.close();
    }
  });
});
