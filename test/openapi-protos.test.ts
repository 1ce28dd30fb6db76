// Our subset of gnostic's OpenAPI v2 messages against the published descriptors: every message and field we
// name has the same number, type and place (oneof, repeated) there.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ScalarType } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { file_v2 } from "../proto/openapi/gen/v2_pb.js";

interface Descriptor {
  readonly fields: Readonly<
    Record<string, { readonly rule?: string; readonly type: string; readonly id: number }>
  >;
  readonly oneofs?: Readonly<Record<string, { readonly oneof: readonly string[] }>>;
}

const file = join(
  import.meta.dirname,
  "../../shared/k8s-openapi/proto/openapi-v2-descriptors.json",
);
const present = existsSync(file);
const reason = present ? "" : " (skipped: no gnostic descriptors in ../shared/k8s-openapi)";

describe.skipIf(!present)(`gnostic's OpenAPI v2 messages${reason}`, () => {
  const theirs: Readonly<Record<string, Descriptor>> = present
    ? JSON.parse(readFileSync(file, "utf8")).nested.openapi.nested.v2.nested
    : {};

  it("is the same package, with the document in it", () => {
    expect(file_v2.proto.package).toBe("openapi.v2");
    expect(file_v2.messages.map(({ name }) => name)).toContain("Document");
  });

  it.each(file_v2.messages.map((message) => [message.name, message] as const))(
    "agrees with the original: %s",
    (name, message) => {
      expect(message.fields.length).toBeGreaterThan(0);
      for (const field of message.fields) {
        const original = theirs[name]?.fields[field.name];
        expect([field.name, mine(field)]).toEqual([
          field.name,
          original && {
            number: original.id,
            type: original.type,
            repeated: original.rule === "repeated",
            inOneof: theirs[name]?.oneofs?.oneof?.oneof.includes(field.name) ?? false,
          },
        ]);
      }
    },
  );
});

type Field = (typeof file_v2.messages)[number]["fields"][number];

function mine(field: Field): object {
  const scalar = field.scalar ?? (field.fieldKind === "list" ? field.listKind : undefined);
  return {
    number: field.number,
    type:
      field.message?.name ??
      (typeof scalar === "number" ? ScalarType[scalar]?.toLowerCase() : undefined),
    repeated: field.fieldKind === "list",
    inOneof: field.oneof !== undefined,
  };
}
