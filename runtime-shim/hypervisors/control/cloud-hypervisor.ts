/**
 * A client of Cloud Hypervisor's REST API on its unix socket. Each request has a connection and a
 * deadline of its own; answers are bounded.
 */
import { request as httpRequest } from "node:http";
import { messageOf } from "../../../common/errors.ts";
import { shimError } from "../../errors.ts";

export interface CloudHypervisorClient {
  /** Rejects with VMM_CONTROL in Cloud Hypervisor's words, or VMM_GONE when nobody answers. */
  get(path: string): Promise<unknown>;
  put(path: string, body?: object): Promise<unknown>;
}

// Everything but a boot is answered within milliseconds; a VMM that does not answer is stuck.
const requestTimeoutMs = 10_000;
// vm.info of a VM with all disks is below 100 KiB.
const maxAnswerBytes = 1 << 20;

export function createCloudHypervisorClient(socketPath: string): CloudHypervisorClient {
  const call = (method: "GET" | "PUT", path: string, body?: object) =>
    send(socketPath, method, path, body === undefined ? "" : JSON.stringify(body));
  return {
    get: (path) => call("GET", path),
    put: (path, body) => call("PUT", path, body),
  };
}

function send(socketPath: string, method: string, path: string, body: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const gone = (why: string) =>
      reject(shimError("VMM_GONE", `Cloud Hypervisor did not answer ${path}: ${why}`));
    const request = httpRequest({
      socketPath,
      method,
      path: `/api/v1/${path}`,
      agent: false,
      signal: AbortSignal.timeout(requestTimeoutMs),
      headers: {
        accept: "application/json",
        ...(body === "" ? {} : { "content-type": "application/json" }),
        // Its server does not take chunks.
        "content-length": Buffer.byteLength(body),
      },
    });
    request.on("error", (error) => gone(messageOf(error)));
    request.on("response", (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      response.on("data", (chunk: Buffer) => {
        size += chunk.length;
        if (size > maxAnswerBytes) response.destroy(new Error("its answer is too long"));
        else chunks.push(chunk);
      });
      response.on("error", (error) => gone(messageOf(error)));
      response.on("end", () => {
        const text = Buffer.concat(chunks).toString("utf8");
        const status = response.statusCode ?? 0;
        if (status >= 200 && status < 300) return resolve(parse(text));
        reject(shimError("VMM_CONTROL", `${path}: ${errorWords(text) || `HTTP ${status}`}`));
      });
    });
    request.end(body);
  });
}

function parse(text: string): unknown {
  if (text === "") return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Newer versions answer a list, from the outermost reason to the innermost; older ones plain text. */
function errorWords(text: string): string {
  const parsed = parse(text);
  const words = Array.isArray(parsed) ? parsed.filter((item) => typeof item === "string") : [text];
  return words.join(": ").trim().slice(0, 1_000);
}
