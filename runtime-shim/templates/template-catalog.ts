/** Templates for whoever keeps them: made before a sandbox wants one, listed, and taken away. */
import { readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import type { Logger } from "../../common/log.ts";
import { shimError } from "../errors.ts";
import type { Nic, VmShape, VmSpec } from "../hypervisors/hypervisor.ts";
import { userNetwork } from "../network/user-network.ts";
import { bootMac } from "../service/boot-guest.ts";
import { assertRoomForVm } from "../service/host-memory.ts";
import { machineOf, placeFor, planVm, type VmPlan } from "../service/plan-vm.ts";
import { spareNic } from "../service/sandbox-network.ts";
import { type ShimOptions, ShimOptionsSchema } from "../shim-options.ts";
import { sizingProfiles } from "../sizing/profiles.ts";
import type { PodLimits } from "../sizing/vm-size.ts";
import { obtainTemplate } from "./make-template.ts";
import { templateInputs, templateKey } from "./template-key.ts";
import {
  createTemplateStore,
  type StoredTemplate,
  type Template,
  type TemplateStore,
} from "./template-store.ts";

export interface ListedTemplate extends StoredTemplate {
  /** VMs that have its memory mapped at this moment. */
  readonly usedBy: number;
}

export interface TemplateCatalog {
  readonly maxBytes: number;
  list(): readonly ListedTemplate[];
  verify: TemplateStore["verify"];
  remove: TemplateStore["remove"];
  /** The one a pod with these limits is cloned from, or of that size. Rejects as a boot does. */
  build(wanted: TemplateWish): Promise<Template & { readonly isNew: boolean }>;
  /** Those of which no VM can be cloned any more: another kernel, hypervisor or processor. */
  stale(): Promise<readonly ListedTemplate[]>;
  /** What is left of makers that were killed. */
  trim: TemplateStore["trim"];
}

export interface TemplateWish {
  readonly limits: PodLimits;
  /** In place of what the limits give. */
  readonly shape?: Partial<VmShape>;
  /** In place of the room that the options give it to grow. */
  readonly most?: VmShape | undefined;
  /** In place of the options' network. */
  readonly nic?: TemplateNic;
}

export type TemplateNic = keyof typeof networks;

export interface CatalogOptions {
  /** The shim's, as JSON can say them. */
  readonly options: object;
  /** For the sockets of a VM that is saved. */
  readonly socketFolder: string;
  readonly folder: string;
  readonly log: Logger;
}

export function createTemplateCatalog(given: CatalogOptions): TemplateCatalog {
  const { socketFolder, folder, log } = given;
  const options = ShimOptionsSchema.parse(given.options);
  const maxBytes = options.templateCacheMib * 2 ** 20;
  const store = createTemplateStore({ folder, maxBytes, log });
  const list = () => {
    const mapped = mappedInodes();
    return store.list().map((template) => ({ ...template, usedBy: usersOf(template, mapped) }));
  };
  const specOf = async (wish: TemplateWish) => {
    const { limits, shape, nic: kind } = wish;
    const own = { ...options, network: kind === undefined ? options.network : networks[kind] };
    const nic = nicOf(own.network);
    const plan = await planVm({ options: own, limits }, log);
    const { files, choice } = plan;
    const place = placeFor("template", plan, own, log);
    const { most: planned, ...machine } = machineOf(plan, place);
    const most = "most" in wish ? wish.most : planned;
    const spec: VmSpec = {
      ...machine,
      ...(most === undefined ? {} : { most }),
      ...{ id: "template", sharedMemory: false, ...shape },
      ...(nic === undefined ? {} : { nic }),
      ...{ agentSocket: "", controlSocket: "", consoleLog: "", pidFile: "" },
    };
    return { spec, files, hypervisor: choice.hypervisor, plan };
  };
  return {
    maxBytes,
    list,
    verify: store.verify,
    remove: store.remove,
    trim: store.trim,
    async build(wish) {
      const { plan, ...request } = await specOf(wish);
      assertSensible(request.spec, plan);
      const startedAtMs = Date.now();
      const template = await obtainTemplate(store, { ...request, socketFolder, options, log });
      return { ...template, isNew: template.manifest.madeAtMs >= startedAtMs };
    },
    async stale() {
      const found: ListedTemplate[] = [];
      for (const template of list()) {
        const { manifest } = template;
        if (manifest !== undefined) {
          const { vcpus, memoryMib, most } = manifest.inputs;
          const nic = nicKinds.find((kind) => kind === manifest.inputs.nic);
          const wish = { limits: {}, shape: { vcpus, memoryMib }, most, ...(nic && { nic }) };
          const { spec, files, hypervisor } = await specOf(wish);
          if (templateKey(templateInputs(hypervisor, spec, files)) === template.key) continue;
        }
        found.push(template);
      }
      return found;
    },
  };
}

const networks = { tap: "netns", user: "user", none: "none" } as const;
const nicKinds = ["tap", "user", "none"] as const;

// The smallest that any profile gives a pod; a guest of half of it panics.
const leastMemoryMib = sizingProfiles["aks-ga"].minimumMemoryMib;

/** Throws VM_SIZE or HOST_MEMORY, at once and in words: such a VM would only not answer. */
function assertSensible({ memoryMib }: VmSpec, { overheadMib }: VmPlan): void {
  if (memoryMib < leastMemoryMib) {
    const words = `a VM of ${memoryMib} MiB is smaller than any pod's: at least ${leastMemoryMib} MiB`;
    throw shimError("VM_SIZE", words);
  }
  assertRoomForVm(memoryMib, overheadMib);
}

function nicOf(network: ShimOptions["network"]): Nic | undefined {
  if (network === "none") return undefined;
  if (network === "netns") return spareNic;
  const { pod: _, ...play } = userNetwork();
  return { kind: "user", mac: bootMac, egress: "none", ...play };
}

/** How many processes of a hypervisor have each file mapped, by its inode. */
function mappedInodes(): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      if (!/^(qemu-system|cloud-hypervisor)/.test(basename(readlinkSync(`/proc/${pid}/exe`)))) {
        continue;
      }
      const inodes = readFileSync(`/proc/${pid}/maps`, "utf8")
        .split("\n")
        .map((line) => line.split(/\s+/)[4] ?? "0");
      for (const inode of new Set(inodes)) counts.set(inode, (counts.get(inode) ?? 0) + 1);
    } catch {
      // Ended while we looked, or another user's.
    }
  }
  return counts;
}

function usersOf(
  { folder, manifest }: StoredTemplate,
  mapped: ReadonlyMap<string, number>,
): number {
  const counts = (manifest?.files ?? []).map(({ name }) => {
    try {
      return mapped.get(String(statSync(join(folder, name)).ino)) ?? 0;
    } catch {
      return 0;
    }
  });
  return Math.max(0, ...counts);
}
