/**
 * From a running VMM to a guest with an identity: HELLO for any guest; IDENTITY, NETWORK and SANDBOX for
 * the one that is to be a pod's.
 */
import { randomBytes } from "node:crypto";
import { messageOf } from "../../common/errors.ts";
import type { Logger } from "../../common/log.ts";
import { shimError } from "../errors.ts";
import { createGuestClient, type GuestClient, type GuestListener } from "../guest-client/client.ts";
import { protocolVersion } from "../guest-client/protocol.ts";
import type { RunningVm } from "../hypervisors/hypervisor.ts";
import type { PodInterface } from "../network/interface.ts";
import { type ShimOptions, ShimOptionsSchema } from "../shim-options.ts";

/** Of every guest's NIC until NETWORK gives it the pod's: a clone comes with its template's. */
export const bootMac = "02:6b:61:74:61:01";

export interface GreetedGuest {
  readonly guest: GuestClient;
  readonly kernelRelease: string;
  /** From exec of the VMM to the agent's first answer. */
  readonly bootMs: number;
}

export interface GuestIdentity {
  readonly hostname: string;
  /** 32 hexadecimal digits (machine-id(5)). */
  readonly machineId: string;
  /** Resolves when the other end of its NIC is in place; undefined for a guest without one. */
  readonly network: Promise<PodInterface | undefined>;
  /** Of the pod, by name. */
  readonly sysctls: Readonly<Record<string, string>>;
  /** Size of the pod's /dev/shm; undefined for the guest's default. */
  readonly sharedMemoryBytes: number | undefined;
  /** Told when the guest is one of its own. */
  identified?(): void;
}

interface Dependencies {
  readonly log: Logger;
  readonly listener: GuestListener;
  readonly signal?: AbortSignal | undefined;
  readonly options?: Pick<ShimOptions, "bootTimeoutSeconds" | "guestTimeoutSeconds">;
}

/** Rejects with GUEST_BOOT_TIMEOUT or VMM_START_FAILED, both with the console's last words. */
export async function greetGuest(vm: RunningVm, dependencies: Dependencies): Promise<GreetedGuest> {
  const { log, listener, options = ShimOptionsSchema.parse({}) } = dependencies;
  // A cold boot takes 1.5 s in software on a quiet machine. Ten at once on two busy cores took 15 s.
  const bootTimeoutMs = options.bootTimeoutSeconds * 1000;
  let guest: GuestClient | undefined;
  const greet = async () => {
    const timeoutMs = options.guestTimeoutSeconds * 1000;
    guest = createGuestClient(await vm.agent, { log, listener, timeoutMs });
    // Asked before the kernel is up: it has the boot's own deadline.
    const hello = await guest.request("hello", [], bootTimeoutMs);
    const bootMs = Math.round(performance.now() - vm.startedAtMs);
    const protocol = hello.number(1);
    if (protocol !== protocolVersion) {
      const words = `the guest speaks protocol ${protocol}, not ${protocolVersion}`;
      throw shimError("GUEST_PROTOCOL", words, { hint: "run scripts/build-guest --force" });
    }
    return { guest, kernelRelease: hello.words(2) ?? "unknown", bootMs };
  };
  try {
    return await beforeDeadline(vm, greet(), bootTimeoutMs, dependencies.signal);
  } catch (error) {
    guest?.close("the boot failed");
    throw error;
  }
}

/** Answers the guest's boot id. Rejects as `greetGuest` does, and as the network does. */
export async function identifyGuest(
  vm: RunningVm,
  guest: GuestClient,
  identity: GuestIdentity,
  dependencies: Omit<Dependencies, "log" | "listener">,
): Promise<string> {
  const { options = ShimOptionsSchema.parse({}), signal } = dependencies;
  const identify = async () => {
    // The first command of all: nothing may run on a clock and a seed that are not its own.
    const answer = await guest.request("identity", [
      [1, randomBytes(64)],
      [2, BigInt(Date.now()) * 1_000_000n],
      [3, identity.hostname],
      [4, identity.machineId],
    ]);
    identity.identified?.();
    const network = await identity.network;
    if (network !== undefined) await configureNetwork(guest, network);
    // After the network: a sysctl may name an interface.
    await guest.request("sandbox", [
      ...Object.entries(identity.sysctls).map(([key, value]) => [1, `${key}=${value}`] as const),
      [2, identity.sharedMemoryBytes],
    ]);
    return answer.words(1) ?? "unknown";
  };
  try {
    return await beforeDeadline(vm, identify(), options.bootTimeoutSeconds * 1000, signal);
  } catch (error) {
    guest.close("the boot failed");
    throw error;
  }
}

/** The work's result, or why it failed, with what the VM said of it. */
async function beforeDeadline<T>(
  vm: RunningVm,
  work: Promise<T>,
  timeoutMs: number,
  signal: AbortSignal | undefined,
): Promise<T> {
  const deadline = deadlineOf(timeoutMs, signal);
  try {
    return await Promise.race([deadline.passed, work]);
  } catch (cause) {
    work.catch(() => {});
    // A connection that broke because the VM ended is better explained by that end.
    const exit = deadline.isPassed() ? undefined : await exitWithin(vm, 1_000);
    const tail = vm.consoleTail();
    const console = tail === "" ? "the console is empty" : `the console's last lines:\n${tail}`;
    const code = deadline.isPassed() ? "GUEST_BOOT_TIMEOUT" : "VMM_START_FAILED";
    const words = `the sandbox's VM did not start: ${exit ?? messageOf(cause)}; ${console}`;
    throw shimError(code, words, { cause });
  } finally {
    deadline.cancel();
  }
}

/** The reason of the VM's end, if it ends that soon. */
async function exitWithin(vm: RunningVm, timeoutMs: number): Promise<string | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, timeoutMs, undefined);
  });
  const reason = await Promise.race([vm.exited.then((exit) => exit.reason), late]);
  clearTimeout(timer);
  return reason;
}

function deadlineOf(bootTimeoutMs: number, signal: AbortSignal | undefined) {
  let passed = false;
  let cancel = () => {};
  const promise = new Promise<never>((_, reject) => {
    const fail = (words: string) => {
      passed = true;
      reject(new Error(words));
    };
    const timer = setTimeout(
      () => fail(`the guest's agent did not answer in ${bootTimeoutMs / 1000} s`),
      bootTimeoutMs,
    );
    const onAbort = () => fail(messageOf(signal?.reason));
    if (signal?.aborted) onAbort();
    signal?.addEventListener("abort", onAbort, { once: true });
    cancel = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
    };
  });
  promise.catch(() => {});
  return { passed: promise, isPassed: () => passed, cancel: () => cancel() };
}

async function configureNetwork(guest: GuestClient, pod: PodInterface): Promise<void> {
  await guest.request("network", [
    [1, bootMac],
    [2, pod.mac],
    [3, pod.name],
    ...pod.addresses.map((address) => [4, address] as const),
    [5, pod.mtu],
    ...pod.routes.map((route) => [6, route] as const),
  ]);
}
