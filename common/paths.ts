/**
 * Where katasim keeps its files: XDG places, or everything under one folder with `--home` or
 * KATASIM_HOME. Nothing else in the project composes these paths.
 */
import { createHash } from "node:crypto";
import { homedir } from "node:os";
import { join, resolve } from "node:path";

export interface Paths {
  /** The instance these paths belong to (`--name`). */
  readonly name: string;
  /**
   * What the kernel's own names (network namespaces, cgroups) are made from: two homes may hold
   * instances of the same name.
   */
  readonly machineName: string;
  /** The one folder given by `--home`, if any. */
  readonly home: string | undefined;
  /** config.yaml lives here. */
  readonly config: string;
  /** What must survive a restart: database, PKI, pod logs, kubeconfig. Per instance. */
  readonly state: string;
  /** What can be made again: guest kernel, initramfs, images. Shared by instances. */
  readonly cache: string;
  /** Sockets, bundles, pid files; gone after `down`. Per instance, mode 0700. */
  readonly run: string;
  readonly database: string;
  readonly pki: string;
  readonly adminKubeconfig: string;
  readonly logs: string;
  /** Kubelet layout: <ns>_<pod>_<uid>/<container>/<attempt>.log */
  readonly podLogs: string;
  /** Per-pod volumes and files: <uid>/... */
  readonly pods: string;
  /** Seccomp profiles that pods name as Localhost; the kubelet's seccomp folder. */
  readonly seccomp: string;
  /** vmlinux, initramfs.cpio, release.json, pause/, base image. */
  readonly guest: string;
  readonly images: string;
  /** Root file systems of containerd's images, packed for guests. */
  readonly rootfs: string;
  /** Saved VMs that sandboxes are cloned from. */
  readonly templates: string;
  readonly pidFile: string;
  /** One folder per sandbox: the bundles of its containers. */
  readonly sandboxes: string;
  /** Unix sockets, in short paths: the kernel takes at most 107 bytes. */
  readonly sockets: string;
}

export interface PathsOptions {
  readonly name: string;
  readonly home?: string | undefined;
  readonly env?: NodeJS.ProcessEnv;
}

export function resolvePaths(options: PathsOptions): Paths {
  const env = options.env ?? process.env;
  const { name } = options;
  const given = options.home ?? env.KATASIM_HOME;
  const home = given === undefined || given === "" ? undefined : resolve(given);
  const user = env.HOME ?? homedir();
  const xdg = (variable: string, fallback: string) =>
    join(env[variable] || join(user, fallback), "katasim");
  const config = home ? join(home, "config") : xdg("XDG_CONFIG_HOME", ".config");
  const state = join(home ? join(home, "state") : xdg("XDG_STATE_HOME", ".local/state"), name);
  // KATASIM_CACHE lets several homes (tests, CI) share one guest kernel and image store.
  const cache = env.KATASIM_CACHE || (home ? join(home, "cache") : xdg("XDG_CACHE_HOME", ".cache"));
  const run = home
    ? join(home, "run", name)
    : env.XDG_RUNTIME_DIR
      ? join(env.XDG_RUNTIME_DIR, "katasim", name)
      : join(state, "run");
  return {
    name,
    machineName: home
      ? `${name}-${createHash("sha256").update(home).digest("hex").slice(0, 6)}`
      : name,
    home,
    config,
    state,
    cache,
    run,
    database: join(state, "katasim.sqlite"),
    pki: join(state, "pki"),
    adminKubeconfig: join(state, "admin.kubeconfig"),
    logs: join(state, "logs"),
    podLogs: join(state, "logs", "pods"),
    pods: join(state, "pods"),
    seccomp: join(state, "seccomp"),
    guest: join(cache, "guest"),
    images: join(cache, "images"),
    rootfs: join(cache, "rootfs"),
    templates: join(cache, "templates"),
    pidFile: join(run, "katasim.pid"),
    sandboxes: join(run, "sandboxes"),
    sockets: join(run, "s"),
  };
}
