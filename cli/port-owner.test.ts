import { describe, expect, it } from "vitest";
import { listeningInodes } from "./port-owner.ts";

describe("listeningInodes", () => {
  it("takes listening sockets of the port only", () => {
    const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:192B 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1 0 100 0 0 10 0
   1: 0100007F:192B 0100007F:C001 01 00000000:00000000 00:00000000 00000000     0        0 4243 1 0 100 0 0 10 0
   2: 0100007F:192C 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4244 1 0 100 0 0 10 0
`;
    expect(listeningInodes(table, 6443)).toEqual(["4242"]);
  });
});
