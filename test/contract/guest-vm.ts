/**
 * A sandbox VM without the shim: QEMU in software, the real kernel and agent, a root disk made from the
 * built-in base image. For tests of the guest alone.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { connect as connectSocket, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Logger } from "../../common/log.ts";
import {
  createGuestClient,
  type ExitedEvent,
  type GuestClient,
  type OutOfMemory,
} from "../../runtime-shim/guest-client/client.ts";
import type { FieldList, Fields } from "../../runtime-shim/guest-client/fields.ts";
import { agentPortName } from "../../runtime-shim/guest-client/protocol.ts";
import type { GuestStream } from "../../runtime-shim/guest-client/stream.ts";
import { sharedCache } from "../support/temp-home.ts";

export const guestFolder = join(sharedCache(), "guest");
export const kernelCommandLine =
  "console=ttyS0 quiet panic=-1 cryptomgr.notests=1 audit=0 no_timer_check rcupdate.rcu_expedited=1";
export const guestMac = "52:54:00:00:00:05";

/** Why these tests cannot run here; undefined when they can. */
export function whyNoVm(): string | undefined {
  if (!existsSync(join(guestFolder, "release.json")))
    return `no guest in ${guestFolder}: ./scripts/build-guest`;
  if (!existsSync(join(guestFolder, "base-image", "rootfs.tar")))
    return "no base image: ./scripts/build-base-image";
  for (const program of ["qemu-system-x86_64", "mkfs.erofs", "mkfs.ext4"]) {
    try {
      execFileSync("sh", ["-c", `PATH=$PATH:/usr/sbin:/sbin command -v ${program}`]);
    } catch {
      return `${program} is missing: ./scripts/setup`;
    }
  }
  return undefined;
}

export interface Outcome {
  readonly exitCode: number;
  readonly outOfMemory: OutOfMemory | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ProcessOptions {
  readonly stdin?: Buffer;
  readonly tty?: boolean;
  readonly uid?: number;
  readonly cwd?: string;
  readonly env?: readonly string[];
  readonly more?: FieldList;
}

export interface Running {
  /** Empty for a container's first process. */
  readonly execId: string;
  readonly stdin: GuestStream | undefined;
  readonly stdout: GuestStream;
  readonly outcome: Promise<Outcome>;
}

export interface GuestVm {
  readonly client: GuestClient;
  readonly hello: Fields;
  readonly bootId: string;
  /** Containers that ran out of memory, and why. */
  readonly oom: Array<{ readonly id: string; readonly who: OutOfMemory }>;
  readonly exits: ExitedEvent[];
  /** CREATE_CONTAINER on a writable tmpfs, unless `more` names an upper disk. */
  create(id: string, args: readonly string[], options?: ProcessOptions): Promise<Running>;
  /** create and START. */
  run(id: string, args: readonly string[], options?: ProcessOptions): Promise<Running>;
  exec(id: string, args: readonly string[], options?: ProcessOptions): Promise<Running>;
  console(): string;
  /** Bytes as they are, for what no shim would send. */
  sendRaw(bytes: Buffer): void;
  /** The same machine over the connection that QEMU makes after this one has ended. */
  reconnect(): Promise<GuestVm>;
  /** Stops the machine's processors, and its clocks with them. */
  stand(): Promise<void>;
  goOn(): Promise<void>;
  /** The VMM's exit. */
  readonly gone: Promise<void>;
  stop(): Promise<void>;
}

/** Docker's and containerd's default set. */
const capabilities = 0xa80425fbn;
const mounts = [
  "proc\0/proc\0proc\0nosuid,noexec,nodev",
  "tmpfs\0/dev\0tmpfs\0nosuid,strictatime,mode=755,size=65536k",
  "devpts\0/dev/pts\0devpts\0nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5",
  "sysfs\0/sys\0sysfs\0nosuid,noexec,nodev,ro",
  "cgroup\0/sys/fs/cgroup\0cgroup\0nosuid,noexec,nodev,relatime,ro",
  "/run/katasim/sandbox/shm\0/dev/shm\0bind\0rbind,rw",
];
const silent = { debug() {}, info() {}, warn() {}, error() {} } as unknown as Logger;

export async function bootGuestVm({ memoryMib = 512 } = {}): Promise<GuestVm> {
  const folder = mkdtempSync("/tmp/katasim-guest-");
  const { rootDisk, upperDisk } = makeDisks(folder);
  const console = join(folder, "console");
  const { vmm, server, nextConnection } = await startQemu(folder, {
    ...{ console, rootDisk, upperDisk, memoryMib },
  });
  const monitor = join(folder, "monitor");
  const gone = new Promise<void>((resolve) => vmm.once("exit", () => resolve()));
  const stop = async () => {
    vmm.kill("SIGKILL");
    await gone;
    server.close();
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    return await connect({
      gone,
      stop,
      nextConnection,
      console: () => readFileSync(console, "utf8"),
      stand: () => askMonitor(monitor, "stop"),
      goOn: () => askMonitor(monitor, "cont"),
    });
  } catch (error) {
    await stop();
    throw error;
  }
}

function makeDisks(folder: string) {
  const root = join(folder, "root");
  const rootDisk = join(folder, "root.erofs");
  const upperDisk = join(folder, "upper.ext4");
  const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` };
  execFileSync("mkdir", [root]);
  execFileSync("tar", ["-xf", join(guestFolder, "base-image", "rootfs.tar"), "-C", root]);
  execFileSync("mkfs.erofs", ["-zlz4", rootDisk, root], { env, stdio: "pipe" });
  rmSync(root, { recursive: true });
  execFileSync("truncate", ["-s", "256M", upperDisk]);
  execFileSync("mkfs.ext4", ["-q", "-O", "^has_journal", upperDisk], { env });
  return { rootDisk, upperDisk };
}

/** One QMP command over a connection of its own. */
async function askMonitor(path: string, command: string): Promise<void> {
  const socket = connectSocket(path);
  try {
    socket.write('{"execute":"qmp_capabilities","id":1}');
    socket.write(`{"execute":"${command}","id":2}`);
    for await (const line of createInterface({ input: socket })) {
      const answer = JSON.parse(line) as { id?: number; return?: unknown };
      if (answer.id === 2 && answer.return !== undefined) return;
      if ("error" in answer) throw new Error(line);
    }
    throw new Error("the monitor closed");
  } finally {
    socket.destroy();
  }
}

async function startQemu(
  folder: string,
  {
    console,
    rootDisk,
    upperDisk,
    memoryMib,
  }: Record<"console" | "rootDisk" | "upperDisk", string> & {
    readonly memoryMib: number;
  },
) {
  const path = join(folder, "agent");
  const server = createServer();
  const arrived: Socket[] = [];
  const waiting: Array<(socket: Socket) => void> = [];
  server.on("connection", (socket) => {
    const next = waiting.shift();
    if (next) next(socket);
    else arrived.push(socket);
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  const disk = (name: keyof typeof bootDisks, file: string, readOnly: string) => [
    "-blockdev",
    `driver=raw,node-name=${name},read-only=${readOnly},file.driver=file,file.filename=${file}`,
    "-device",
    `virtio-blk-pci,drive=${name},serial=${name},addr=0x${bootDisks[name]}`,
  ];
  const vmm: ChildProcess = spawn(
    "qemu-system-x86_64",
    [
      ["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"],
      ["-M", "q35", "-accel", "tcg", "-cpu", "max", "-m", `${memoryMib}M`, "-smp", "1"],
      ["-kernel", join(guestFolder, "vmlinux"), "-initrd", join(guestFolder, "initramfs.cpio")],
      ["-append", kernelCommandLine, "-serial", `file:${console}`],
      ["-qmp", `unix:${join(folder, "monitor")},server=on,wait=off`],
      ["-device", "virtio-serial-pci", "-chardev", `socket,id=agent,path=${path},reconnect=1`],
      ["-device", `virtserialport,chardev=agent,name=${agentPortName}`],
      disk("root", rootDisk, "on"),
      disk("upper", upperDisk, "off"),
      [
        "-netdev",
        "user,id=net,restrict=on",
        "-device",
        `virtio-net-pci,netdev=net,mac=${guestMac}`,
      ],
    ].flat(),
    { stdio: "inherit" },
  );
  const failed = new Promise<never>((_, reject) => {
    vmm.once("error", reject);
    vmm.once("exit", (code) => reject(new Error(`QEMU ended with ${code}`)));
  });
  failed.catch(() => {});
  const nextConnection = () => {
    const there = arrived.shift();
    const next = there ?? new Promise<Socket>((resolve) => waiting.push(resolve));
    return Promise.race([next, failed]);
  };
  return { vmm, server, nextConnection };
}

// Their places on the root bus. A disk that is there at boot is a slot: it gets its driver by its place.
const bootDisks = { root: "10", upper: "11" } as const;

export function slotOf(disk: keyof typeof bootDisks): string {
  return `0000:00:${bootDisks[disk]}.0`;
}

interface Machine extends Pick<GuestVm, "gone" | "stop" | "console" | "stand" | "goOn"> {
  nextConnection(): Promise<Socket>;
}

async function connect(machine: Machine): Promise<GuestVm> {
  const { nextConnection, ...facts } = machine;
  const socket = await nextConnection();
  const exits: ExitedEvent[] = [];
  const oom: Array<{ id: string; who: OutOfMemory }> = [];
  const waiting = new Map<string, (event: ExitedEvent) => void>();
  const client = createGuestClient(socket, {
    log: silent,
    listener: {
      exited(event) {
        exits.push(event);
        waiting.get(`${event.id}/${event.execId}`)?.(event);
      },
      oom: (id, who) => void oom.push({ id, who }),
    },
  });
  const hello = await client.request("hello");
  const identity = await client.request("identity", [
    [1, randomBytes(64)],
    [2, BigInt(Date.now()) * 1_000_000n],
    [3, "sandbox"],
  ]);
  await client.request("mountDisk", [
    [1, "root"],
    [2, "erofs"],
    [3, 1],
    [6, slotOf("root")],
  ]);

  /** Opens streams, sends the request, and follows the process to its end. */
  const spawnProcess = async (
    verb: "createContainer" | "exec",
    key: string,
    head: FieldList,
    args: readonly string[],
    options: ProcessOptions,
  ): Promise<Running> => {
    const stdin = options.stdin === undefined ? undefined : client.openStream("input");
    const stdout = client.openStream("output");
    const stderr = options.tty ? undefined : client.openStream("output");
    const exited = new Promise<ExitedEvent>((resolve) => waiting.set(key, resolve));
    const text = Promise.all([collect(stdout), stderr ? collect(stderr) : ""]);
    text.catch(() => {}); // what still runs when the machine is stopped
    await client.request(verb, [
      ...head,
      ...processFields(args, options, { stdin, stdout, stderr }),
    ]);
    if (options.stdin?.length) stdin?.write(options.stdin);
    if (!options.tty) stdin?.end();
    const outcome = exited.then(async ({ exitCode, outOfMemory }) => {
      const [out, err] = await text;
      return { exitCode, outOfMemory, stdout: out, stderr: err };
    });
    return { execId: key.slice(key.indexOf("/") + 1), stdin, stdout, outcome };
  };

  let execs = 0;
  const create: GuestVm["create"] = (id, args, options = {}) => {
    const head: FieldList = [
      [1, id],
      [2, "root"],
      [4, 0],
      ...mounts.map((m) => [5, Buffer.from(m)] as const),
    ];
    return spawnProcess("createContainer", `${id}/`, head, args, options);
  };
  return {
    ...facts,
    sendRaw: (bytes) => void socket.write(bytes),
    reconnect: () => connect(machine),
    client,
    hello,
    bootId: identity.text(1) ?? "",
    oom,
    exits,
    create,
    async run(id, args, options) {
      const running = await create(id, args, options);
      await client.request("start", [[1, id]]);
      return running;
    },
    exec(id, args, options = {}) {
      execs += 1;
      const execId = `exec-${execs}`;
      const head: FieldList = [
        [1, id],
        [2, execId],
      ];
      return spawnProcess("exec", `${id}/${execId}`, head, args, options);
    },
  };
}

function processFields(
  args: readonly string[],
  options: ProcessOptions,
  streams: {
    stdin?: GuestStream | undefined;
    stdout: GuestStream;
    stderr?: GuestStream | undefined;
  },
): FieldList {
  const caps = options.uid ? 0n : capabilities;
  const env = [
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    ...(options.env ?? []),
  ];
  return [
    ...args.map((arg) => [30, arg] as const),
    ...env.map((variable) => [31, variable] as const),
    [32, options.cwd ?? "/"],
    [33, options.uid ?? 0],
    [34, options.uid ?? 0],
    [36, options.tty ?? false],
    [39, streams.stdin?.streamId],
    [40, streams.stdout.streamId],
    [41, streams.stderr?.streamId],
    [42, caps],
    [43, caps],
    [44, caps],
    ...(options.more ?? []),
  ];
}

async function collect(stream: GuestStream): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}
