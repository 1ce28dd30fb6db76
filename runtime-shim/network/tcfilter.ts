/**
 * Joins a VM's NIC with its pod's network namespace the way Kata's "tcfilter" model does: a tap beside
 * the pod's own interface, and traffic redirected between the two in both directions. The pod's
 * namespace is the only one that is touched.
 */
import { statSync } from "node:fs";
import { messageOf } from "../../common/errors.ts";
import { runProgram } from "../../common/process/run-program.ts";
import { shimError } from "../errors.ts";
import { type PodInterface, podInterface } from "./interface.ts";

export const tapName = "ktap0";

/**
 * The interface of a pod's namespace; undefined when there is none with an address. What an earlier
 * sandbox left there without clean-up is removed. Rejects with NETWORK or HOST_NETWORK.
 */
export async function findPodInterface(netnsPath: string): Promise<PodInterface | undefined> {
  assertNotOwnNamespace(netnsPath);
  const [links, routes] = await Promise.all([
    inNamespace(netnsPath, ["ip", "-json", "address", "show"]),
    inNamespace(netnsPath, ["ip", "-json", "-4", "route", "show"]),
  ]);
  const pod = parse(netnsPath, links, routes);
  if (pod !== undefined && links.includes(`"${tapName}"`)) {
    await disconnectTap(netnsPath, pod.name);
  }
  return pod;
}

/** Brings the tap of a running VMM into the pod's namespace and joins the two. Rejects with NETWORK. */
export async function connectTap(
  netnsPath: string,
  vmmPid: number,
  pod: PodInterface,
): Promise<void> {
  const links = [`link set dev ${tapName} mtu ${pod.mtu} up`, "link set dev lo up"];
  const filters = [...redirect(pod.name, tapName), ...redirect(tapName, pod.name)];
  const words = [`/proc/${vmmPid}/ns/net`, tapName, links.join("\n"), filters.join("\n")];
  try {
    await inNamespace(netnsPath, ["sh", "-ec", joinScript, netnsPath, ...words]);
  } catch (error) {
    await disconnectTap(netnsPath, pod.name);
    throw error;
  }
}

// $0 is the pod's namespace, $1 the VMM's, $2 the tap, $3 and $4 what ip and tc are to do. The VMM goes on
// reading and writing the tap, wherever it is.
const joinScript = `nsenter --net="$1" -- ip link set dev "$2" netns "$0"
printf '%s\\n' "$3" | ip -batch -
printf '%s\\n' "$4" | tc -batch -`;

/** Removes tap and redirections. Idempotent; a namespace that is gone took them along. */
export async function disconnectTap(netnsPath: string, podInterfaceName: string): Promise<void> {
  const run = (...args: string[]) => runProgram("nsenter", [`--net=${netnsPath}`, "--", ...args]);
  await run("ip", "link", "del", tapName);
  await run("tc", "qdisc", "del", "dev", podInterfaceName, "ingress");
}

/** u32 that matches everything: `matchall` is not in every kernel. */
function redirect(from: string, to: string): readonly string[] {
  return [
    `qdisc add dev ${from} ingress`,
    `filter add dev ${from} parent ffff: protocol all u32 match u32 0 0 action mirred egress redirect dev ${to}`,
  ];
}

function assertNotOwnNamespace(netnsPath: string): void {
  let same: boolean;
  try {
    same = statSync(netnsPath).ino === statSync("/proc/self/ns/net").ino;
  } catch (cause) {
    throw shimError(
      "NETWORK",
      `the network namespace ${netnsPath} cannot be used: ${messageOf(cause)}`,
      {
        cause,
      },
    );
  }
  if (same) {
    // Kata's own words.
    throw shimError("HOST_NETWORK", "Host networking requested, not supported by runtime");
  }
}

async function inNamespace(netnsPath: string, command: readonly string[]): Promise<string> {
  const outcome = await runProgram("nsenter", [`--net=${netnsPath}`, "--", ...command]);
  if (!outcome.ok) {
    const words = command.filter((word) => !word.includes("\n")).join(" ");
    throw shimError("NETWORK", `${words} failed in ${netnsPath}: ${outcome.stderr}`, {
      hint: outcome.missing ? "install the package iproute2" : "check the namespace with ip netns",
    });
  }
  return outcome.stdout;
}

function parse(netnsPath: string, links: string, routes: string): PodInterface | undefined {
  try {
    return podInterface(links, routes);
  } catch (cause) {
    throw shimError("NETWORK", `cannot read the interfaces of ${netnsPath}: ${messageOf(cause)}`, {
      cause,
    });
  }
}
