/** Where a suite runs over all twins of the hypervisor contract: a folder, VMs in it, the played program. */
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect } from "vitest";
import {
  type FakeCloudHypervisor,
  installFakeCloudHypervisor,
} from "../fakes/cloud-hypervisor/install.ts";
import { type HypervisorTwin, hypervisorTwins } from "./hypervisor-twins.ts";
import { vmSpecsIn } from "./vm-specs.ts";

export interface HypervisorScene {
  readonly folder: string;
  readonly newSpec: ReturnType<typeof vmSpecsIn>;
  /** A suite for each twin, which may use its VMM from `beforeAll` to `afterAll`; skipped with the reason. */
  eachTwin(suite: (twin: HypervisorTwin) => void): void;
}

/** `prefix`: of the folder's name, short for the sockets' sake. */
export async function createHypervisorScene(prefix: string): Promise<HypervisorScene> {
  const folder = mkdtempSync(prefix);
  // VMMs run as other users and come to the programs in it.
  chmodSync(folder, 0o711);
  const twins = await hypervisorTwins(join(folder, "probe"));
  let fake: FakeCloudHypervisor;
  beforeAll(async () => {
    fake = await installFakeCloudHypervisor(join(folder, "bin"));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return {
    folder,
    newSpec: vmSpecsIn(folder),
    eachTwin(suite) {
      describe.each(twins)("$title", (twin) => {
        const skipped = twin.obstacle === undefined ? "" : ` (skipped: ${twin.obstacle})`;
        describe.skipIf(twin.obstacle !== undefined)(`keeps the contract${skipped}`, () => {
          beforeAll(() => {
            // For the whole suite: the VMM is found on PATH at every start.
            if (twin.played) process.env.PATH = `${fake.folder}:${process.env.PATH}`;
          });
          // Registered first, so it runs last: the suite has stopped its VMs by then.
          afterAll(() => {
            if (!twin.played) return;
            process.env.PATH = process.env.PATH?.replace(`${fake.folder}:`, "");
            expect(fake.refused()).toBe("");
          });
          suite(twin);
        });
      });
    },
  };
}
