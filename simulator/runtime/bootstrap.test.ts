import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import {
  BootstrapParamsSchema,
  BootstrapResultSchema,
} from "../../proto/containerd/gen/bootstrap_pb.js";
import { addressOf, startStdin, wantsBootstrapParams } from "./bootstrap.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const protobuf = (protocol: string) =>
  toBinary(
    BootstrapResultSchema,
    create(BootstrapResultSchema, { version: 3, address: "unix:///run/s", protocol }),
  );

describe("addressOf", () => {
  it.each([
    ["a plain address", bytes("unix:///run/s\n")],
    ["JSON", bytes('{"version":3,"address":"unix:///run/s","protocol":"ttrpc"}')],
    ["a BootstrapResult", protobuf("ttrpc")],
  ])("reads %s", (_, answer) => {
    expect(addressOf(answer)).toBe("unix:///run/s");
  });

  it.each(["", "hello", "{", "{}", '{"address":7}', "\x00\xff"])("refuses %j", (answer) => {
    expect(() => addressOf(bytes(answer))).toThrow(/answered no address/);
  });

  it("refuses a shim that does not speak ttrpc", () => {
    expect(() => addressOf(protobuf("grpc"))).toThrow("speaks grpc");
  });
});

describe("start's input", () => {
  it.each([
    ["  Version:  1.6.20~ds1", false],
    ["  Version:  v2.2.9", false],
    ["  Version:  v2.3.0", true],
    ["  Version:  v3.0.1", true],
    ["something else", false],
  ])("is BootstrapParams for %j: %s", (text, expected) => {
    expect(wantsBootstrapParams(text)).toBe(expected);
  });

  it("carries the options in either form", () => {
    const options = toBinary(AnySchema, create(AnySchema, { typeUrl: "t", value: bytes("v") }));
    const input = { id: "i", namespace: "n", eventsAddress: "/e", options };
    expect(startStdin({ ...input, bootstrapParams: false })).toBe(options);
    const params = fromBinary(
      BootstrapParamsSchema,
      startStdin({ ...input, bootstrapParams: true }),
    );
    expect(params).toMatchObject({ instanceId: "i", namespace: "n", containerdTtrpcAddress: "/e" });
    expect(params.extensions[0]?.value?.typeUrl).toBe("t");
  });
});
