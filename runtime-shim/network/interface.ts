/** What a pod's network namespace holds, read from `ip -json`, as the guest is to have it. Pure. */
import { z } from "zod";

const LinkSchema = z.object({
  ifname: z.string(),
  address: z.string().default(""),
  mtu: z.number().default(1500),
  flags: z.array(z.string()).default([]),
  addr_info: z
    .array(
      z.object({
        family: z.string().optional(),
        local: z.string().optional(),
        prefixlen: z.number().optional(),
      }),
    )
    .default([]),
});

const RouteSchema = z.object({
  dst: z.string().default("default"),
  gateway: z.string().optional(),
  dev: z.string().optional(),
  protocol: z.string().optional(),
});

export interface PodInterface {
  readonly name: string;
  readonly mac: string;
  readonly mtu: number;
  /** "10.244.0.5/24" */
  readonly addresses: readonly string[];
  /** "0.0.0.0/0 via 10.244.0.1" or "10.0.0.0/8 link" */
  readonly routes: readonly string[];
}

/** The pod's one interface with an address; undefined when there is none. IPv4. */
export function podInterface(linksJson: string, routesJson: string): PodInterface | undefined {
  const links = z.array(LinkSchema).parse(JSON.parse(linksJson || "[]"));
  const routes = z.array(RouteSchema).parse(JSON.parse(routesJson || "[]"));
  const inet = (link: z.infer<typeof LinkSchema>) =>
    link.addr_info.filter(({ family, local }) => family === "inet" && local !== undefined);
  const link = links.find((candidate) => {
    return !candidate.flags.includes("LOOPBACK") && inet(candidate).length > 0;
  });
  if (link === undefined) return undefined;
  return {
    name: link.ifname,
    mac: link.address,
    mtu: link.mtu,
    addresses: inet(link).map(({ local, prefixlen }) => `${local}/${prefixlen ?? 32}`),
    routes: routes
      // The kernel makes these itself when the address is set.
      .filter(({ dev, protocol }) => dev === link.ifname && protocol !== "kernel")
      .map(({ dst, gateway }) => routeText(dst, gateway))
      // A route to the gateway itself must be there before one through it.
      .sort((a, b) => Number(b.endsWith(" link")) - Number(a.endsWith(" link"))),
  };
}

function routeText(dst: string, gateway: string | undefined): string {
  const network = dst === "default" ? "0.0.0.0/0" : dst.includes("/") ? dst : `${dst}/32`;
  return gateway === undefined ? `${network} link` : `${network} via ${gateway}`;
}
