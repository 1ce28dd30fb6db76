import { create, toBinary } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import { BootstrapParamsSchema } from "../../proto/containerd/gen/bootstrap_pb.js";
import { OptionsSchema } from "../../proto/containerd/gen/runtime_options_pb.js";
import { readStartInput } from "./start-input.ts";

const expected = { id: "c1", namespace: "k8s.io" };
const any = create(AnySchema, {
  typeUrl: "runtimeoptions.v1.Options",
  value: toBinary(
    OptionsSchema,
    create(OptionsSchema, { configBody: new TextEncoder().encode('{"accel":"tcg"}') }),
  ),
});

describe("readStartInput", () => {
  it("reads options of containerd up to 2.2", () => {
    expect(readStartInput(toBinary(AnySchema, any), expected)).toEqual({
      optionsJson: '{"accel":"tcg"}',
    });
  });

  it("reads BootstrapParams of containerd 2.3", () => {
    const params = create(BootstrapParamsSchema, {
      instanceId: "c1",
      namespace: "k8s.io",
      containerdTtrpcAddress: "/run/c.sock.ttrpc",
      extensions: [{ value: any }],
      socketDir: "/run/s",
    });
    expect(readStartInput(toBinary(BootstrapParamsSchema, params), expected)).toEqual({
      optionsJson: '{"accel":"tcg"}',
      ttrpcAddress: "/run/c.sock.ttrpc",
      socketDir: "/run/s",
    });
  });

  it("takes nothing from nothing and from strangers' bytes", () => {
    expect(readStartInput(new Uint8Array(), expected)).toEqual({});
    expect(readStartInput(new Uint8Array([255, 255]), expected)).toEqual({});
    const other = create(AnySchema, { typeUrl: "containerd.runc.v1.Options" });
    expect(readStartInput(toBinary(AnySchema, other), expected)).toEqual({});
  });
});
