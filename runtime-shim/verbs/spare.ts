/**
 * `spare`: a shim that waits for its sandbox, so that a pod need not wait for a shim. Whoever runs it
 * writes lines of JSON to its standard input and reads one line of answer to each:
 *
 *   {"prepare": {id, socketPrefix, options, annotations, rehearse}}  makes a VM in advance → {"prepared": true}
 *   {"start": {namespace, id, address, bundle, debug, ttrpcAddress, input}}  what `start` is given, with its
 *       standard input in base64 → {"address": "unix:///…", "pid": N}
 *
 * or {"error": words}. From `start` on it is the daemon of that sandbox and nobody's child. It ends with
 * its standard input before that, and then nothing of it is left.
 */
import { createInterface } from "node:readline";
import { z } from "zod";
import { messageOf } from "../../common/errors.ts";
import { silentLogger } from "../../common/log.ts";
import { parseOptions } from "../service/create-request.ts";
import { createSpareVm, type SpareVm } from "../service/spare-vm.ts";
import { podLimitsFromAnnotations } from "../sizing/vm-size.ts";
import { serve } from "./run.ts";
import { startSandbox } from "./start.ts";
import { readStartInput } from "./start-input.ts";

const PrepareSchema = z.strictObject({
  id: z.string(),
  socketPrefix: z.string(),
  /** JSON of the shim's options. */
  options: z.string(),
  /** Of the sandbox's spec: what they say of its size. */
  annotations: z.record(z.string(), z.string()),
  rehearse: z.boolean(),
});

const StartSchema = z.strictObject({
  namespace: z.string(),
  id: z.string(),
  address: z.string(),
  bundle: z.string(),
  debug: z.boolean(),
  ttrpcAddress: z.string(),
  input: z.base64(),
});

const OrderSchema = z.union([
  z.strictObject({ prepare: PrepareSchema }),
  z.strictObject({ start: StartSchema }),
]);

export type PrepareOrder = z.infer<typeof PrepareSchema>;
export type StartOrder = z.infer<typeof StartSchema>;

/** Resolves when the sandbox it became is gone, or when nobody has come. */
export async function spare(): Promise<void> {
  let vm: SpareVm | undefined;
  const answer = (object: object) => void process.stdout.write(`${JSON.stringify(object)}\n`);
  // Whoever reads may go away.
  process.stdout.on("error", () => {});
  answer({ spare: process.pid });
  const lines = createInterface({ input: process.stdin });
  for await (const line of lines) {
    try {
      const order = OrderSchema.parse(JSON.parse(line));
      if ("start" in order) {
        const ended = becomeShim(order.start, vm, answer);
        lines.close();
        process.stdin.destroy();
        return await ended;
      }
      const { id, socketPrefix, options, annotations, rehearse } = order.prepare;
      await vm?.discard();
      const limits = podLimitsFromAnnotations(annotations);
      const request = { id, socketPrefix, options: parseOptions(options), limits, rehearse };
      vm = createSpareVm(request, silentLogger);
      vm.ready.then(
        () => answer({ prepared: true }),
        (error: unknown) => answer({ error: messageOf(error) }),
      );
    } catch (error) {
      answer({ error: messageOf(error) });
    }
  }
  await vm?.discard();
}

/** Rejects when it cannot be that sandbox's shim; the VM is gone then. */
async function becomeShim(
  order: StartOrder,
  spareVm: SpareVm | undefined,
  answer: (object: object) => void,
): Promise<void> {
  const { namespace, id, bundle } = order;
  let served: Promise<void> | undefined;
  try {
    process.chdir(bundle);
    const input = readStartInput(Buffer.from(order.input, "base64"), { id, namespace });
    const ttrpcAddress = order.ttrpcAddress || input.ttrpcAddress;
    const known = { ...input, ...(ttrpcAddress === undefined ? {} : { ttrpcAddress }) };
    const folders = spareVm === undefined ? {} : { spareFolders: spareVm.folders };
    const address = await startSandbox({ ...order, action: "start" }, known, folders, () => {
      return new Promise((listening, failed) => {
        const ready = () => {
          listening();
          return true;
        };
        served = serve(bundle, { ready, spareVm });
        served.catch(failed);
      });
    });
    answer({ address, pid: process.pid });
  } catch (error) {
    await spareVm?.discard();
    answer({ error: messageOf(error) });
    throw error;
  }
  // Undefined for the shim of a sandbox that has one.
  await served;
  await spareVm?.discard();
}
