/** The numbers of runtime-shim/guest/PROTOCOL.md, nothing else. */
export const protocolVersion = 1;

export const FrameKind = {
  request: 1,
  reply: 2,
  event: 3,
  data: 4,
  window: 5,
  reset: 6,
} as const;

export const Verb = {
  hello: 1,
  identity: 2,
  network: 3,
  mountDisk: 4,
  unmountDisk: 5,
  writeFile: 6,
  removePath: 7,
  createContainer: 8,
  start: 9,
  exec: 10,
  signal: 11,
  resize: 12,
  removeContainer: 14,
  update: 15,
  stats: 16,
  processes: 17,
  pause: 18,
  resume: 19,
  dial: 20,
  shutdown: 21,
  sandbox: 22,
  clock: 23,
  readFile: 24,
  listeners: 30,
} as const;

export type VerbName = keyof typeof Verb;

export const GuestEvent = { exited: 1, oom: 2, broken: 3, listening: 4 } as const;

/** Length field: at least kind and id, at most this. */
export const minFrameLength = 5;
export const maxFrameLength = (1 << 20) + 64;
/** Largest body of a DATA frame. */
export const maxDataBytes = 64 << 10;
/** What a stream's sender may send before the first WINDOW. */
export const initialWindowBytes = 256 << 10;

/** Name of the virtio-serial port. */
export const agentPortName = "katasim.agent.0";
/** The vsock port the agent listens on, where the VMM has vsock instead. */
export const agentVsockPort = 1024;
/** MOUNT_DISK mounts below. */
export const disksFolder = "/run/katasim/disks";
/** WRITE_FILE accepts paths below. */
export const sharedFolder = "/run/katasim/shared";
/** A tmpfs all containers of a pod share as /dev/shm. */
export const sharedMemoryFolder = "/run/katasim/sandbox/shm";
