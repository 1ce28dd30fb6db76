/** `katasim sandbox list|show|console`: the pods' sandboxes as the node's records and shims know them. */
import type { Command } from "commander";
import type { TimedStep } from "../../common/timeline.ts";
import type { VmRecord } from "../../runtime-shim/index.ts";
import { cliError } from "../errors.ts";
import { interruptSignal } from "../interrupts.ts";
import { printLog } from "../log-follower.ts";
import { memoryText } from "../output/memory-text.ts";
import { cliObject } from "../output/objects.ts";
import { type Column, formatTable, humanDuration } from "../output/table.ts";
import { type Bind, withOutput } from "../program.ts";
import type { SandboxMemory, SandboxView } from "../sandboxes.ts";

const columns: readonly Column<SandboxView>[] = [
  { head: "ID", cell: (sandbox) => sandbox.id.slice(0, 12) },
  { head: "NAMESPACE", cell: (sandbox) => sandbox.namespace },
  { head: "POD", cell: (sandbox) => sandbox.pod },
  { head: "HANDLER", cell: (sandbox) => sandbox.handler },
  { head: "STATE", cell: (sandbox) => sandbox.state },
  {
    head: "VM",
    cell: ({ vm, kata }) => {
      const rung = vm ?? kata;
      return rung && `${rung.hypervisor}/${rung.accelerator}`;
    },
  },
  { head: "VCPU", cell: ({ vm, kata }) => (vm ?? kata)?.vcpus },
  {
    head: "MEMORY",
    cell: ({ vm, kata }) => {
      const size = vm ?? kata;
      return size && `${size.memoryMib}Mi`;
    },
  },
  { head: "TAKES", cell: ({ memory }) => takes(memory) },
  { head: "VMM", cell: ({ memory }) => mebibytes(memory.vmmBytes), wide: true },
  { head: "SHIM", cell: ({ memory }) => mebibytes(memory.shimBytes), wide: true },
  { head: "OTHER", cell: ({ memory }) => mebibytes(memory.otherBytes), wide: true },
  { head: "AGE", cell: (sandbox) => humanDuration(Date.now() - sandbox.createdAtMs) },
  { head: "IP", cell: (sandbox) => sandbox.ip, wide: true },
  { head: "KERNEL", cell: (sandbox) => sandbox.vm?.kernelRelease, wide: true },
  { head: "VMM PID", cell: ({ vm, kataVmmPid }) => vm?.vmmPid ?? kataVmmPid, wide: true },
  { head: "SHIM PID", cell: (sandbox) => sandbox.shimPid, wide: true },
  { head: "REASON", cell: (sandbox) => sandbox.reason, wide: true },
];

const timelineColumns: readonly Column<TimedStep>[] = [
  { head: "STEP", cell: ({ step, about }) => (about === undefined ? step : `${step} (${about})`) },
  { head: "SINCE FIRST", cell: ({ sinceFirstMs }) => `${sinceFirstMs.toFixed(1)} ms` },
  { head: "SINCE BEFORE", cell: ({ sinceBeforeMs }) => `${sinceBeforeMs.toFixed(1)} ms` },
  { head: "AT", cell: ({ atMs }) => new Date(atMs).toISOString(), wide: true },
];

/** Loaded on use: records and protobuf messages would slow down `--help`. */
const sandboxes = () => import("../sandboxes.ts");

export function addSandbox(program: Command, bind: Bind): void {
  const group = program.command("sandbox").description("the sandboxes of the node's pods");

  bind(
    withOutput(group.command("list").description("all sandboxes, with their VMs")),
    async (context) => {
      const { listSandboxes } = await sandboxes();
      context.printList({
        kind: "Sandbox",
        columns,
        rows: await listSandboxes(context.paths),
        name: (sandbox) => `sandbox/${sandbox.id}`,
        empty: "no sandboxes: kubectl apply a pod first",
      });
      return 0;
    },
  );

  const show = withOutput(group.command("show"))
    .description("one sandbox: sizing, processes, files, command line")
    .argument("<sandbox>", "sandbox id (a unique beginning will do) or pod name")
    .option("--timeline", "how its start went, step by step (-o json always has it)");
  bind(show, async (context) => {
    const { timeline } = show.opts<{ timeline?: boolean }>();
    const { findSandbox } = await sandboxes();
    const sandbox = await findSandbox(context.paths, show.args[0] ?? "");
    context.printObject(cliObject("Sandbox", sandbox), () =>
      timeline
        ? formatTable(timelineColumns, sandbox.timeline, { headers: context.headers })
        : formatSandbox(sandbox),
    );
    return 0;
  });

  const console = group
    .command("console")
    .description("follow the console of a sandbox's VM")
    .argument("<sandbox>", "sandbox id (a unique beginning will do) or pod name")
    .option("--no-follow", "print what is there and stop");
  bind(console, async (context) => {
    const { follow } = console.opts<{ follow: boolean }>();
    const { findSandbox } = await sandboxes();
    const sandbox = await findSandbox(context.paths, console.args[0] ?? "");
    if (sandbox.consoleLog === undefined) {
      throw cliError("NOT_FOUND", `sandbox ${sandbox.id.slice(0, 12)} has no console`, {
        hint: sandbox.sandboxed
          ? "wait until its VM has booted"
          : "it runs on the node's own kernel: use kubectl logs",
      });
    }
    const interrupts = interruptSignal();
    try {
      await printLog({
        file: sandbox.consoleLog,
        // A boot is a few hundred lines: all of it.
        tail: 10_000,
        follow,
        write: (line) => context.print(`${line}\n`),
        signal: interrupts.signal,
      });
      return interrupts.exitCode() ?? 0;
    } finally {
      interrupts.dispose();
    }
  });
}

function formatSandbox(sandbox: SandboxView): string {
  const { vm } = sandbox;
  const rows: readonly (readonly [string, string | number | undefined])[] = [
    ["Id", sandbox.id],
    ["Pod", `${sandbox.namespace}/${sandbox.pod}`],
    ["Handler", sandbox.handler],
    ["State", sandbox.state],
    ["Reason", sandbox.reason],
    ["IP", sandbox.ip],
    ["Created", new Date(sandbox.createdAtMs).toISOString()],
    ["Bundle", sandbox.bundle],
    ["Shim", sandbox.shimPid === undefined ? undefined : `pid ${sandbox.shimPid}`],
    ["Takes", memoryText(sandbox.memory)],
    ["VM", vm && `${vm.hypervisor} ${vm.hypervisorVersion} on ${vm.accelerator}, pid ${vm.vmmPid}`],
    ["On the host", vm && hostLimits(vm.cgroup)],
    ["Size", vm && `${vm.vcpus} vCPU, ${vm.memoryMib} MiB${room(vm)}`],
    ...(vm?.sizing ?? []).map((line) => ["", line] as const),
    ...kataRows(sandbox),
    ["Kernel", vm?.kernelRelease],
    ["Boot id", vm?.bootId],
    ["Start", vm && `${vm.startKind}, ${vm.bootMs} ms`],
    ["Console", sandbox.consoleLog],
    ["Command", vm?.argv.join(" ")],
  ];
  return rows
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${(key && `${key}:`).padEnd(10)} ${value}\n`)
    .join("");
}

/** "~" where pages that others share are counted in full. */
function takes({ totalBytes, measure }: SandboxMemory): string {
  return `${measure === "rss" ? "~" : ""}${mebibytes(totalBytes)}`;
}

function mebibytes(bytes: number): string {
  return `${Math.round(bytes / 2 ** 20)}Mi`;
}

function kataRows({
  kata,
  kataVmmPid,
}: SandboxView): readonly (readonly [string, string | undefined])[] {
  if (kata === undefined) return [];
  const { version, hypervisor, accelerator, configuration, vcpus, memoryMib } = kata;
  return [
    [
      "VM",
      `${hypervisor} on ${accelerator}, pid ${kataVmmPid ?? "unknown"}, by genuine Kata ${version}`,
    ],
    ["Size", `${vcpus} vCPU, ${memoryMib} MiB: by Kata's own ${configuration}, not measured`],
    ...kata.sizing.map((line) => ["", line] as const),
    ["Kernel", "unknown: Kata's shim does not tell"],
  ];
}

function room({ most }: VmRecord): string {
  return most === undefined ? "" : `, at most ${most.vcpus} vCPU and ${most.memoryMib} MiB`;
}

function hostLimits(cgroup: VmRecord["cgroup"]): string {
  if (cgroup === undefined) return "without limits: cgroups could not be written";
  return `at most ${cgroup.cpuMillis / 1000} cores and ${cgroup.memoryMib} MiB, in cgroup ${cgroup.path}`;
}
