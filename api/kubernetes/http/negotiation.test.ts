import { describe, expect, it } from "vitest";
import { negotiate } from "./negotiation.ts";

describe("negotiate", () => {
  it("takes the first range it can serve", () => {
    const accept =
      "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
    expect(negotiate(accept)).toMatchObject({ as: "Table", version: "v1", encoding: "json" });
  });

  it("answers JSON to clients that prefer protobuf but take JSON", () => {
    expect(negotiate("application/vnd.kubernetes.protobuf, application/json")).toMatchObject({
      as: "object",
      encoding: "json",
    });
  });

  it("tells the two aggregated discovery versions apart", () => {
    expect(
      negotiate("application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList"),
    ).toMatchObject({ discovery: true, version: "v2beta1" });
  });

  it("refuses a client that takes nothing but protobuf", () => {
    expect(() => negotiate("application/vnd.kubernetes.protobuf")).toThrow(/media types/);
  });

  it.each([undefined, "", "*/*"])("answers JSON to %j", (accept) => {
    expect(negotiate(accept).encoding).toBe("json");
  });
});
