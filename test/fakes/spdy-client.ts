/** The frames a Kubernetes client sends over SPDY/3.1, written independently of the server's encoders. */
import { setImmediate as turn } from "node:timers/promises";
import { constants, deflateRawSync } from "node:zlib";

/** `isFirst` opens the connection's one zlib stream: true for its first SYN_STREAM only. */
export function synStream(
  streamId: number,
  headers: Record<string, string>,
  isFirst: boolean,
): Buffer {
  const parts = [uint32(Object.keys(headers).length)];
  for (const text of Object.entries(headers).flat()) {
    parts.push(uint32(text.length), Buffer.from(text));
  }
  const block = deflateRawSync(Buffer.concat(parts), { finishFlush: constants.Z_SYNC_FLUSH });
  const prefix = isFirst ? Buffer.from([0x78, 0xbb, 0xe3, 0xc6, 0xa7, 0xc2]) : Buffer.alloc(0);
  const payload = Buffer.concat([uint32(streamId), uint32(0), Buffer.alloc(2), prefix, block]);
  const header = Buffer.from([0x80, 0x03, 0x00, 0x01, 0x00, 0, 0, 0]);
  header.writeUIntBE(payload.length, 5, 3);
  return Buffer.concat([header, payload]);
}

export function spdyData(streamId: number, bytes: Uint8Array, fin = false): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt32BE(streamId, 0);
  header.writeUInt8(fin ? 1 : 0, 4);
  header.writeUIntBE(bytes.length, 5, 3);
  return Buffer.concat([header, bytes]);
}

/** Lets everything in memory that is under way between two ends of a transport arrive. */
export async function settleTransport(): Promise<void> {
  for (let round = 0; round < 20; round += 1) await turn();
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
