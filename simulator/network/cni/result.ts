/** The result of ADD (CNI specification 1.0, section 5), as far as a runtime reads it. */
import { isIPv4 } from "node:net";
import { z } from "zod";
import { networkError } from "../errors.ts";

const ResultSchema = z.looseObject({
  interfaces: z
    .array(z.looseObject({ name: z.string(), sandbox: z.string().optional() }))
    .optional(),
  ips: z
    .array(z.looseObject({ address: z.string(), interface: z.number().int().optional() }))
    .optional(),
});

export type CniResult = z.infer<typeof ResultSchema>;

/** Throws CNI_PLUGIN_FAILED for what is no result. */
export function parseResult(stdout: string, network: string, type: string): CniResult {
  let why: string;
  try {
    const parsed = ResultSchema.safeParse(JSON.parse(stdout));
    if (parsed.success) return parsed.data;
    why = parsed.error.issues[0]?.message ?? "";
  } catch (error) {
    why = String(error);
  }
  throw networkError(
    "CNI_PLUGIN_FAILED",
    `plugin type="${type}" name="${network}" failed (add): its answer is no result: ${why}`,
  );
}

/** The addresses of the pod's own interface, IPv4 before IPv6 as containerd orders them. */
export function podAddresses(result: CniResult, ifName: string): readonly string[] {
  const { interfaces = [], ips = [] } = result;
  const own = ips.filter((ip) => {
    const at = ip.interface === undefined ? undefined : interfaces[ip.interface];
    // An address without an interface is the pod's: there is no other it could be on.
    return (
      at === undefined || (at.name === ifName && at.sandbox !== undefined && at.sandbox !== "")
    );
  });
  const addresses = own.map(({ address }) => address.split("/")[0] ?? "");
  return [
    ...addresses.filter((address) => isIPv4(address)),
    ...addresses.filter((address) => !isIPv4(address)),
  ];
}
