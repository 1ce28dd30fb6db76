/** The guest's end of the agent protocol in memory, for unit tests of our end. It answers as it is told. */
import { Duplex } from "node:stream";
import {
  decodeFields,
  encodeFields,
  type FieldList,
  type Fields,
} from "../../runtime-shim/guest-client/fields.ts";
import { encodeGuestFrame } from "../../runtime-shim/guest-client/frames.ts";
import { FrameKind } from "../../runtime-shim/guest-client/protocol.ts";

export interface SeenRequest {
  readonly id: number;
  readonly verb: number;
  readonly fields: Fields;
}

export interface FakeGuest {
  /** What the client is given. */
  readonly transport: Duplex;
  readonly requests: readonly SeenRequest[];
  /** Frames that are no requests, in order. */
  readonly frames: ReadonlyArray<{
    readonly kind: number;
    readonly id: number;
    readonly body: Buffer;
  }>;
  reply(id: number, fields?: FieldList, status?: number): void;
  event(type: number, fields: FieldList): void;
  send(kind: number, id: number, body?: Buffer): void;
  raw(bytes: Buffer): void;
  /** From now on it takes no bytes, as an agent that does not read. */
  stopReading(): void;
  /** From now on it takes a piece in each turn of the event loop. */
  readOn(): void;
  /** The VM is gone. */
  hangUp(): void;
}

export function createFakeGuest(): FakeGuest {
  const requests: SeenRequest[] = [];
  const frames: Array<{ kind: number; id: number; body: Buffer }> = [];
  // Requests are frames too: the host's decoder knows only what guests may send.
  let held = Buffer.alloc(0);
  const receive = (chunk: Buffer) => {
    held = Buffer.concat([held, chunk]);
    while (held.length >= 4 && held.length >= 4 + held.readUInt32BE(0)) {
      const length = held.readUInt32BE(0);
      const kind = held.readUInt8(4);
      const id = held.readUInt32BE(5);
      const body = held.subarray(9, 4 + length);
      held = held.subarray(4 + length);
      if (kind === FrameKind.request) {
        requests.push({ id, verb: body.readUInt8(0), fields: decodeFields(body.subarray(1)) });
      } else frames.push({ kind, id, body });
    }
  };
  let pace: "at once" | "not" | "turn by turn" = "at once";
  let readOn = () => {};
  const transport = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, callback) {
      const take = () => {
        receive(chunk);
        callback();
      };
      if (pace === "at once") take();
      else if (pace === "not") readOn = take;
      else setImmediate(take);
    },
  });
  const raw = (bytes: Buffer) => void transport.push(bytes);
  const send = (kind: number, id: number, body = Buffer.alloc(0)) =>
    raw(encodeGuestFrame(kind, id, body));
  return {
    transport,
    requests,
    frames,
    reply(id, fields = [], status = 0) {
      const head = Buffer.alloc(4);
      head.writeUInt32BE(status);
      raw(encodeGuestFrame(FrameKind.reply, id, head, encodeFields(fields)));
    },
    event: (type, fields) =>
      raw(encodeGuestFrame(FrameKind.event, 0, Buffer.from([type]), encodeFields(fields))),
    send,
    raw,
    stopReading() {
      pace = "not";
    },
    readOn() {
      pace = "turn by turn";
      readOn();
    },
    hangUp: () => void transport.push(null),
  };
}
