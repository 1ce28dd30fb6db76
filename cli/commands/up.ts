/** `katasim up`: the node in the foreground, or detached with -d; idempotent. */
import type { Command } from "commander";
import { Option } from "commander";
import { egressChoices } from "../../runtime-shim/hypervisors/hypervisor.ts";
import { requirements } from "../../runtime-shim/hypervisors/ladder.ts";
import type { CommandContext } from "../context.ts";
import { readPidFile } from "../daemon/pid-file.ts";
import { createReporter } from "../daemon/reports.ts";
import { parseDurationMs } from "../duration.ts";
import { writeKubeconfigEntry } from "../kubeconfig/file.ts";
import { reportFromError } from "../output/error-report.ts";
import { cliObject, formatObject } from "../output/objects.ts";
import { assertCanStart } from "../preflight.ts";
import type { Bind } from "../program.ts";
import {
  accelChoices,
  type GivenSettings,
  hypervisorChoices,
  kataChoices,
  type NodeSettings,
  networkChoices,
  onOff,
  readRememberedSettings,
  rememberSettings,
  resolveSettings,
  trustedRuntimeChoices,
} from "../settings.ts";
import type { NodeSummary } from "../summary.ts";
import { contextName, readAdminEntry } from "./kubeconfig.ts";

interface UpOptions extends GivenSettings {
  readonly detach?: boolean;
  readonly wait: string;
  /** A file, or false with `--no-kubeconfig`. */
  readonly kubeconfig?: string | false;
  readonly switchContext: boolean;
  readonly retain?: boolean;
  readonly dryRun?: boolean;
  readonly reportOverIpc?: boolean;
}

export function addUp(program: Command, bind: Bind): void {
  const command = program
    .command("up")
    .description("start the node and its API; in the foreground unless -d")
    .option("-d, --detach", "leave it running in the background")
    .option("--wait <duration>", "how long to wait for the node to be Ready", "60s")
    .option("--listen <address>", "address to listen on (default: 127.0.0.1)")
    .option("--api-port <port>", "port of the Kubernetes API, 0 for any (default: 6443)")
    .option("--kubelet-port <port>", "port of the kubelet endpoints, 0 for any (default: 0)")
    .option("--node-name <name>", "name of the node")
    .option("--vm-size <size>", "Azure VM size the node reports (default: Standard_D4s_v3)")
    .addOption(
      new Option(
        "--hypervisor <name>",
        "nothing else is tried when forced (default: auto)",
      ).choices(hypervisorChoices),
    )
    .addOption(
      new Option("--accel <name>", "nothing else is tried when forced (default: auto)").choices(
        accelChoices,
      ),
    )
    .addOption(
      new Option(
        "--require <what>",
        "refuse to start, and refuse sandboxes, unless the best rung is this (default: any)",
      ).choices(requirements),
    )
    .addOption(
      new Option(
        "--trusted-runtime <name>",
        "what runs pods without a RuntimeClass: containerd's runc shim or Docker Engine; nothing else is tried when forced (default: auto)",
      ).choices(trustedRuntimeChoices),
    )
    .addOption(
      new Option(
        "--network <kind>",
        "what makes the pods' network (default: cni for root, else user: one in each VM alone)",
      ).choices(networkChoices),
    )
    .addOption(
      new Option(
        "--egress <kind>",
        "where VMs get to with --network user: nowhere, or wherever you do (default: none)",
      ).choices(egressChoices),
    )
    .option("--pod-cidr <range>", "the pods' addresses (default: the first free 10.244.N.0/24)")
    .option("--cni-conf <file>", "CNI configuration to use in place of katasim's own (own)")
    .option("--cni-bin-dir <folders>", "of CNI plugins (default: /opt/cni/bin:/usr/lib/cni)")
    .addOption(
      new Option(
        "--kata <which>",
        "whose shim serves the handler kata; genuine never falls back (default: katasim)",
      ).choices(kataChoices),
    )
    .option("--kata-config <file>", "genuine Kata's configuration (default: where Kata looks)")
    .option(
      "--parallel-starts <n>",
      "how many sandboxes start at a time, VMs and others each (default: two for each core)",
    )
    .addOption(
      new Option(
        "--templates <switch>",
        "clone VMs from templates, or boot every one (default: on)",
      ).choices(onOff),
    )
    .option(
      "--warm-pool <n>",
      "VMs that wait for pods (default: by free memory, once a sandboxed pod was there)",
    )
    .option(
      "--memory-reserve <mib>",
      "memory of this machine that no VM is started into (default: a twentieth, 256 to 1024)",
    )
    .option("--kubeconfig <file>", "kubeconfig to write, instead of $KUBECONFIG or ~/.kube/config")
    .option("--no-kubeconfig", "write no kubeconfig")
    .option("--no-switch-context", "leave current-context as it is")
    .option("--retain", "keep what a failed start leaves, for debugging")
    .option("--dry-run", "say what would be started, and start nothing")
    .option("-o, --output <format>", "table, json or yaml")
    .addOption(new Option("--report-over-ipc").hideHelp());
  bind(command, async (context) => {
    const options = command.opts<UpOptions>();
    const settings = resolveSettings(
      options,
      context.env,
      await readRememberedSettings(context.paths),
    );
    const waitMs = parseDurationMs(options.wait, "--wait");
    if (options.dryRun) return dryRun(context, settings);
    if (options.reportOverIpc) return runAsDaemon(context, settings, waitMs, options);
    const owner = await readPidFile(context.paths.pidFile);
    if (owner !== undefined) return alreadyRunning(context, settings, options, owner.pid);
    await assertCanStart(context.paths, settings);
    return options.detach
      ? upDetached(context, settings, options)
      : upForeground(context, settings, waitMs, options);
  });
}

function dryRun(context: CommandContext, settings: NodeSettings): number {
  const { paths } = context;
  const plan = cliObject("Plan", {
    name: paths.name,
    settings,
    state: paths.state,
    run: paths.run,
    cache: paths.cache,
  });
  context.print(formatObject(plan, context.output === "json" ? "json" : "yaml"));
  return 0;
}

async function alreadyRunning(
  context: CommandContext,
  settings: NodeSettings,
  options: UpOptions,
  pid: number,
): Promise<number> {
  const { waitForInstance } = await import("../node-status.ts");
  const waitMs = parseDurationMs(options.wait, "--wait");
  const entry = await waitForInstance(context, settings.nodeName, waitMs);
  await mergeKubeconfig(context, options);
  context.say(`katasim "${context.paths.name}" is already running (pid ${pid}) at ${entry.server}`);
  return 0;
}

async function upDetached(
  context: CommandContext,
  settings: NodeSettings,
  options: UpOptions,
): Promise<number> {
  const { startDetached } = await import("../daemon/detach.ts");
  const { interruptSignal } = await import("../interrupts.ts");
  const { paths, progress } = context;
  const interrupts = interruptSignal();
  try {
    const summary = await startDetached({
      argv: daemonArguments(context, settings, options),
      env: context.env,
      paths,
      progress,
      signal: interrupts.signal,
    });
    progress.done();
    await mergeKubeconfig(context, options);
    printSummary(context, summary, true);
    return 0;
  } catch (error) {
    progress.fail();
    // Two `up -d` at once: one daemon won, and both callers get what they asked for.
    const owner = await readPidFile(paths.pidFile);
    if (reportFromError(error).code === "ALREADY_RUNNING" && owner !== undefined) {
      return alreadyRunning(context, settings, options, owner.pid);
    }
    throw error;
  } finally {
    interrupts.dispose();
  }
}

async function upForeground(
  context: CommandContext,
  settings: NodeSettings,
  waitMs: number,
  options: UpOptions,
): Promise<number> {
  const { runNode } = await import("../run-node.ts");
  const exitCode = await runNode({
    paths: context.paths,
    settings,
    waitMs,
    progress: context.progress,
    verbosity: context.verbosity,
    retain: options.retain ?? false,
    stopsPods: true,
    onReady: async (summary) => {
      await mergeKubeconfig(context, options);
      await rememberSettings(context.paths, settings);
      printSummary(context, summary, false);
    },
  });
  return exitCode;
}

/** The detached child: its words go to the parent until the node is ready, then to its log only. */
async function runAsDaemon(
  context: CommandContext,
  settings: NodeSettings,
  waitMs: number,
  options: UpOptions,
): Promise<number> {
  const reporter = createReporter();
  try {
    const { runNode } = await import("../run-node.ts");
    return await runNode({
      paths: context.paths,
      settings,
      waitMs,
      progress: reporter.progress,
      verbosity: context.verbosity,
      retain: options.retain ?? false,
      stopsPods: false,
      onReady: async (summary) => {
        await rememberSettings(context.paths, settings);
        await reporter.send({ type: "ready", summary });
        reporter.close();
      },
    });
  } catch (error) {
    const report = reportFromError(error);
    await reporter.send({ type: "failed", report });
    reporter.close();
    return report.exitCode;
  }
}

function daemonArguments(
  context: CommandContext,
  settings: NodeSettings,
  options: UpOptions,
): readonly string[] {
  const { paths, verbosity } = context;
  return [
    process.argv[1] ?? "",
    "up",
    "--report-over-ipc",
    ...["--name", paths.name],
    ...(paths.home === undefined ? [] : ["--home", paths.home]),
    ...["--wait", options.wait],
    ...["--listen", settings.listen],
    ...["--api-port", String(settings.apiPort)],
    ...["--kubelet-port", String(settings.kubeletPort)],
    ...["--node-name", settings.nodeName],
    ...["--vm-size", settings.vmSize],
    ...["--hypervisor", settings.hypervisor],
    ...["--accel", settings.accel],
    ...["--require", settings.require],
    ...["--trusted-runtime", settings.trustedRuntime],
    ...["--network", settings.network],
    ...["--pod-cidr", settings.podCidr],
    ...["--cni-conf", settings.cniConf],
    ...["--cni-bin-dir", settings.cniBinDir],
    ...["--kata", settings.kata],
    ...["--kata-config", settings.kataConfig],
    ...["--parallel-starts", String(settings.parallelStarts)],
    ...["--templates", settings.templates],
    ...["--warm-pool", String(settings.warmPool)],
    ...["--memory-reserve", String(settings.memoryReserve)],
    ...["--egress", settings.egress],
    ...(options.retain ? ["--retain"] : []),
    ...Array.from({ length: verbosity }, () => "-v"),
  ];
}

async function mergeKubeconfig(context: CommandContext, options: UpOptions): Promise<void> {
  if (options.kubeconfig === false) return;
  await writeKubeconfigEntry(
    {
      flag: typeof options.kubeconfig === "string" ? options.kubeconfig : undefined,
      env: context.env,
    },
    await readAdminEntry(context),
    { switchContext: options.switchContext },
  );
}

function printSummary(context: CommandContext, summary: NodeSummary, detached: boolean): void {
  const { name, nodeName, server, readyMs, handlers } = summary;
  for (const limit of summary.network.limits) context.progress.warn(limit);
  for (const handler of handlers.filter((candidate) => !candidate.usable)) {
    context.progress.warn(`runtime handler ${handler.name} is not usable: ${handler.reason}`);
  }
  if (context.output === "json" || context.output === "yaml") {
    context.print(formatObject(cliObject("Node", { ...summary }), context.output));
    return;
  }
  context.say(`node ${nodeName} is Ready at ${server} (${(readyMs / 1000).toFixed(1)} s)`);
  context.say(`  kubectl --context ${contextName(name)} get nodes`);
  context.say(detached ? `  stop: ${context.self} down` : "  stop: Ctrl-C");
}
