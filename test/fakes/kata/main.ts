/** The command line of Kata's Go shim, as containerd 1.7's shim package and Kata's main.go make it. */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { create, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { DeleteResponseSchema } from "../../../proto/containerd/gen/task_pb.js";
import { cleanUpGuest } from "./guest.ts";
import { containerType, readSpec, sandboxIdOf } from "./oci.ts";
import { serve } from "./service.ts";

const flags = new Map<string, string>();
const words: string[] = [];
const given = process.argv.slice(2);
for (let next = given.shift(); next !== undefined; next = given.shift()) {
  if (!next.startsWith("-")) words.push(next);
  else if (["-debug", "-v", "--version", "-info"].includes(next)) flags.set(next, "");
  else flags.set(next, given.shift() ?? "");
}
const flag = (name: string) => flags.get(name) ?? "";
const id = flag("-id");

async function main(): Promise<void> {
  if (process.argv.length === 3 && flags.has("--version")) {
    process.stdout.write(
      'Kata Containers containerd shim (Golang): id: "io.containerd.kata.v2", version: 4.1.0-played, commit: none\n',
    );
  } else if (flags.has("-v")) {
    // The containerd library's own, as it is built into Kata.
    process.stdout.write(
      "containerd-shim-kata-v2:\n  Version:  1.7.33+unknown\n  Revision: \n  Go version: go1.25\n\n",
    );
  } else if (flag("-namespace") === "") {
    throw new Error("shim namespace cannot be empty");
  } else if (words[0] === "start") await start();
  else if (words[0] === "delete") await remove();
  else {
    await serve({
      id,
      namespace: flag("-namespace"),
      socket: socketOf(id),
      eventsAddress: process.env.TTRPC_ADDRESS ?? "",
      ready: () => process.send?.("ready"),
    });
  }
}

/** <state>/s/<sha256 of ADDRESS/NAMESPACE/ID>, in containerd's default state folder. */
function socketOf(owner: string): string {
  const hash = createHash("sha256").update(join(flag("-address"), flag("-namespace"), owner));
  return `/run/containerd/s/${hash.digest("hex")}`;
}

async function start(): Promise<void> {
  const spec = readSpec(process.cwd());
  const owner = containerType(spec) === "container" ? sandboxIdOf(spec) : id;
  const address = `unix://${socketOf(owner)}`;
  if (owner === id) {
    mkdirSync(dirname(socketOf(id)), { recursive: true });
    const self = process.argv[1] ?? "";
    const own = process.argv.slice(2).filter((word) => word !== "start");
    // A mount namespace of its own: what Kata mounts is not seen on the host.
    const daemon = spawn(
      "unshare",
      ["--mount", "--propagation", "slave", process.execPath, self, ...own],
      { detached: true, stdio: ["ignore", "ignore", "ignore", "ipc"] },
    );
    await new Promise<void>((resolve, reject) => {
      daemon.once("message", () => resolve());
      daemon.once("exit", (code) => reject(new Error(`the daemon ended with ${code}`)));
    });
    daemon.disconnect();
    daemon.unref();
    writeFileSync("shim.pid", String(daemon.pid));
  }
  writeFileSync("address", address);
  process.stdout.write(address);
}

/** Cleanup in service.go: ends what is left of the container or sandbox, and says 137. */
async function remove(): Promise<void> {
  const spec = readSpec(process.cwd());
  const type = containerType(spec);
  const sandbox = type === "container" ? sandboxIdOf(spec) : id;
  await cleanUpGuest(sandbox, type === "container" ? id : undefined);
  const response = create(DeleteResponseSchema, {
    exitStatus: 137,
    exitedAt: timestampFromMs(Date.now()),
  });
  process.stdout.write(toBinary(DeleteResponseSchema, response));
}

main().catch((error: unknown) => {
  const text = error instanceof Error ? error.message : String(error);
  process.stderr.write(`containerd-shim-kata-v2: ${text}\n`);
  process.exit(1);
});
