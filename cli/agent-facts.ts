/**
 * What the node agent tells of itself at this moment: `/debug/facts` of its kubelet endpoints, asked with the
 * admin's certificate.
 */
import { get } from "node:https";
import { text } from "node:stream/consumers";
import { checkServerIdentity } from "node:tls";
import type { AgentFacts } from "../simulator/agent.ts";
import type { SpareCounts } from "../simulator/runtime/index.ts";
import type { ClusterEntry } from "./kubeconfig/merge.ts";

// It is on this machine: one that does not answer soon hangs, and `status` shall not.
const timeoutMs = 5_000;

export interface NodeFacts extends AgentFacts {
  /** Absent where no VM waits for pods. */
  readonly pool?: SpareCounts;
}

/** Rejects when the endpoint does not answer, or not with facts. */
export async function readAgentFacts(
  entry: ClusterEntry,
  address: { readonly host: string; readonly port: number },
): Promise<NodeFacts> {
  const pem = (data: string) => Buffer.from(data, "base64").toString("utf8");
  const host = ["0.0.0.0", "::"].includes(address.host) ? "127.0.0.1" : address.host;
  const { status, body } = await new Promise<{ status: number | undefined; body: string }>(
    (resolve, reject) => {
      const request = get({
        host,
        port: address.port,
        path: "/debug/facts",
        agent: false,
        timeout: timeoutMs,
        ca: pem(entry.certificateAuthorityData),
        cert: pem(entry.clientCertificateData),
        key: pem(entry.clientKeyData),
        // The certificate is the agent's by its authority, whatever address it listens on.
        checkServerIdentity: (_, certificate) => checkServerIdentity("127.0.0.1", certificate),
      });
      request.once("timeout", () => request.destroy(new Error("the node agent does not answer")));
      request.once("error", reject);
      request.once("response", (response) =>
        text(response).then((body) => resolve({ status: response.statusCode, body }), reject),
      );
    },
  );
  if (status !== 200) throw new Error(`the node agent answers ${status}: ${body}`);
  return JSON.parse(body) as NodeFacts;
}
