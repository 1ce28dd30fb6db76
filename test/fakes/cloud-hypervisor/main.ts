/**
 * A program in Cloud Hypervisor's place, for machines where the real one cannot run. It takes only what
 * the published description has, keeps the real one's VM states, and boots the real guest: under QEMU
 * in software, with the guest's serial port joined to the hybrid-vsock socket. A file beside the
 * program says how it misbehaves; what it refuses is written down there.
 */
import { spawn } from "node:child_process";
import {
  appendFileSync,
  existsSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:http";
import { createServer as createSocketServer, type Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { silentLogger } from "../../../common/log.ts";
import type { RunningVm, VmSpec } from "../../../runtime-shim/hypervisors/hypervisor.ts";
import { createQemu } from "../../../runtime-shim/hypervisors/qemu.ts";
import { readDescription } from "./description.ts";

interface Settings {
  /** Path of the OpenAPI description. */
  readonly description: string;
  /** "crash vm.boot", "hang vm.create", "late vm.boot", "garbage vmm.ping" */
  readonly behaviour?: string;
}

interface VmConfig {
  readonly cpus: { readonly boot_vcpus: number; readonly max_vcpus: number };
  readonly memory: { readonly size: number; readonly hotplug_size?: number };
  readonly payload: { readonly kernel: string; readonly initramfs: string };
  readonly net?: readonly NetConfig[];
  readonly vsock: { readonly socket: string };
}

interface NetConfig {
  readonly id?: string;
  readonly tap: string;
  readonly mac: string;
}

interface DiskConfig {
  readonly id: string;
  readonly serial: string;
  readonly path: string;
  readonly readonly?: boolean;
}

class Refusal extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

const program = realpathSync(process.argv[1] as string);
const settings = JSON.parse(readFileSync(`${program}.json`, "utf8")) as Settings;
const description = readDescription(settings.description);
const [misdeed, where] = (settings.behaviour ?? "").split(" ");
const socketPath = /^path=(.+)$/.exec(argument("--api-socket"))?.[1] ?? "";
const lateMs = 1_500;
const mebibyte = 1 << 20;

let state: "NotCreated" | "Created" | "Running" | "Paused" | "Shutdown" = "NotCreated";
let config: VmConfig | undefined;
let vm: RunningVm | undefined;
/** Of the guest that QEMU plays. */
let vcpus = 0;
/** How each plugged device is taken out. */
const devices = new Map<string, () => Promise<void> | undefined>();

const verbs: Record<string, (body: unknown) => Promise<unknown> | unknown> = {
  "vmm.ping": () => ({ version: "v51.1-fake", build_version: "fake", pid: process.pid }),
  "vmm.shutdown": () => void setTimeout(leave, 50),
  "vm.create": (body) => {
    expectState("NotCreated");
    config = body as VmConfig;
    state = "Created";
  },
  "vm.boot": async () => {
    expectState("Created");
    await boot(config as VmConfig);
    state = "Running";
  },
  "vm.info": () => {
    if (config === undefined) throw new Refusal(404, "The VM is not created");
    const tree = [...devices.keys()].map((id) => [id, { id }]);
    return { config, state, device_tree: Object.fromEntries(tree) };
  },
  "vm.pause": async () => {
    expectState("Running");
    await vm?.pause();
    state = "Paused";
  },
  "vm.resume": async () => {
    expectState("Paused");
    await vm?.resume();
    state = "Running";
  },
  "vm.shutdown": async () => {
    if (state !== "Running" && state !== "Paused") throw new Refusal(405, "The VM is not booted");
    state = "Shutdown";
    await vm?.stop();
  },
  "vm.snapshot": async (body) => {
    expectState("Paused");
    const folder = folderOf((body as { destination_url: string }).destination_url);
    await vm?.snapshot(folder);
    writeFileSync(join(folder, "config.json"), JSON.stringify(config));
  },
  "vm.restore": async (body) => {
    expectState("NotCreated");
    const folder = folderOf((body as { source_url: string }).source_url);
    config = JSON.parse(readFileSync(join(folder, "config.json"), "utf8")) as VmConfig;
    await boot(config, folder);
    await vm?.pause();
    state = "Paused";
  },
  "vm.add-disk": async (body) => {
    const { id, serial, path, readonly } = body as DiskConfig;
    if (devices.has(id)) throw new Refusal(409, `Identifier ${id} is not unique`);
    if (!existsSync(path)) throw new Refusal(500, `Failed opening ${path}: No such file`);
    await vm?.attachDisk({ serial, path, readOnly: readonly ?? false });
    return plugged(id, () => vm?.detachDisk(serial));
  },
  "vm.add-net": async (body) => {
    const { id = "net", tap, mac } = body as NetConfig;
    if (devices.has(id)) throw new Refusal(409, `Identifier ${id} is not unique`);
    await vm?.attachNic({ kind: "tap", tap, mac });
    return plugged(id, () => vm?.detachNic(mac));
  },
  "vm.resize": async (body) => {
    if (state !== "Running") throw new Refusal(500, `The VM is ${state}, not Running`);
    const { desired_vcpus, desired_ram } = body as { desired_vcpus: number; desired_ram: number };
    // Fewer processors are asked of the guest, after the answer; QEMU cannot play that.
    vcpus = Math.max(vcpus, desired_vcpus);
    await vm?.resize({ vcpus, memoryMib: desired_ram / mebibyte });
  },
  "vm.remove-device": (body) => {
    const { id } = body as { id: string };
    const takeOut = devices.get(id);
    if (takeOut === undefined) throw new Refusal(404, `No device with the identifier ${id}`);
    // Answered before the guest has let go of it.
    void takeOut()?.then(() => devices.delete(id));
  },
};

function plugged(id: string, takeOut: () => Promise<void> | undefined): object {
  devices.set(id, takeOut);
  return { id, bdf: `0000:00:${(devices.size + 5).toString(16).padStart(2, "0")}.0` };
}

function expectState(wanted: typeof state): void {
  if (state !== wanted) throw new Refusal(500, `The VM is ${state}, not ${wanted}`);
}

function folderOf(url: string): string {
  if (!url.startsWith("file:///")) throw new Refusal(500, `Unsupported URL ${url}`);
  return url.slice("file://".length);
}

async function boot(machine: VmConfig, snapshot?: string): Promise<void> {
  const { cpus, memory, payload, net, vsock } = machine;
  vcpus = cpus.boot_vcpus;
  const nic = net?.[0];
  const qemu = createQemu({ log: silentLogger });
  const spec: VmSpec = {
    id: "fake",
    accelerator: "tcg",
    vcpus: cpus.boot_vcpus,
    memoryMib: memory.size / mebibyte,
    most: {
      vcpus: cpus.max_vcpus,
      memoryMib: (memory.size + (memory.hotplug_size ?? 0)) / mebibyte,
    },
    kernel: payload.kernel,
    initrd: payload.initramfs,
    // A snapshot of its own holds the memory.
    openReadOnly: "",
    noKernel: payload.kernel,
    // The guest is to find them by their serials, as the real one's.
    withoutSlots: true,
    ...(nic === undefined ? {} : { nic: { kind: "tap" as const, ...nic } }),
    agentSocket: `${vsock.socket}.port`,
    controlSocket: `${socketPath}.qmp`,
    consoleLog: `${socketPath}.console`,
    pidFile: `${socketPath}.pid`,
  };
  vm = await (snapshot === undefined ? qemu.start(spec) : qemu.restore(spec, snapshot));
  // Shut down, the VM is gone and the VMM stays.
  void vm.exited.then(() => {
    if (state !== "Shutdown") leave();
  });
  let agent: Socket | undefined;
  void vm.agent.then((socket) => {
    agent = socket;
  });
  const server = createSocketServer((caller) => {
    caller.once("data", (line) => {
      // Nobody listens in the guest yet, or on another port.
      if (line.toString("latin1") !== "CONNECT 1024\n" || agent === undefined) {
        caller.destroy();
        return;
      }
      caller.write("OK 1073741824\n");
      caller.pipe(agent).pipe(caller);
    });
    caller.on("error", () => {});
  });
  server.listen(vsock.socket);
}

function leave(): void {
  for (const file of [".qmp", ".console", ".console.1", ".pid"]) {
    rmSync(`${socketPath}${file}`, { force: true });
  }
  process.exit(0);
}

async function misbehave(name: string): Promise<string | undefined> {
  if (name !== where) return undefined;
  if (misdeed === "crash") process.kill(process.pid, "SIGABRT");
  if (misdeed === "hang") await new Promise(() => {});
  if (misdeed === "late") await sleep(lateMs);
  return misdeed === "garbage" ? "{ not json" : undefined;
}

function argument(name: string): string {
  return process.argv[process.argv.indexOf(name) + 1] ?? "";
}

const server = createServer(async (request, response) => {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const body = Buffer.concat(chunks).toString("utf8");
  const path = (request.url ?? "").replace(/^\/api\/v1/, "");
  const name = path.slice(1);
  try {
    const verdict = description.verdict(request.method ?? "", path, body);
    if (verdict !== undefined) {
      appendFileSync(`${program}.refused`, `${verdict}\n`);
      throw new Refusal(400, verdict);
    }
    const garbage = await misbehave(name);
    const verb = verbs[name];
    if (verb === undefined) throw new Refusal(500, `${name} is not played`);
    const answer = await verb(body === "" ? undefined : JSON.parse(body));
    response.statusCode = answer === undefined ? 204 : 200;
    response.end(garbage ?? (answer === undefined ? undefined : JSON.stringify(answer)));
  } catch (error) {
    response.statusCode = error instanceof Refusal ? error.status : 500;
    response.end(JSON.stringify(["Error from API", String((error as Error).message)]));
  }
});
if (process.argv.includes("--api-socket")) server.listen(socketPath);
else runKernel(argument("--kernel"));

/** Without an API socket it boots what its arguments say, as the probe asks of it. */
function runKernel(kernel: string): void {
  const machine = ["-nodefaults", "-display", "none", "-M", "q35", "-m", "64M", "-accel", "tcg"];
  // It is killed when it has said enough, and must not leave QEMU behind.
  const command = ["--pdeathsig=SIGKILL", "--", "qemu-system-x86_64", ...machine];
  const child = spawn("setpriv", [...command, "-kernel", kernel, "-serial", "stdio"], {
    stdio: ["ignore", "inherit", "inherit"],
  });
  child.once("exit", (code) => process.exit(code ?? 1));
}
