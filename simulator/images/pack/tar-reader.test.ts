import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createByteReader } from "./byte-reader.ts";
import { readTar, type TarEntry } from "./tar-reader.ts";

async function* stream(bytes: Buffer, chunk = 700): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += chunk) yield bytes.subarray(at, at + chunk);
}

async function entriesOf(bytes: Buffer, chunk?: number): Promise<TarEntry[]> {
  const entries: TarEntry[] = [];
  for await (const entry of readTar(createByteReader(stream(bytes, chunk)))) entries.push(entry);
  return entries;
}

interface Header {
  readonly name?: string;
  readonly flag?: string;
  readonly content?: Buffer;
  readonly uid?: string;
}

function block({ name = "f", flag = "0", content = Buffer.alloc(0), uid = "0000000" }: Header) {
  const header = Buffer.alloc(512);
  header.write(name, 0, "latin1");
  header.write("0000644", 100);
  header.write(uid, 108, "latin1");
  header.write("0000000", 116);
  header.write(content.length.toString(8).padStart(11, "0"), 124);
  header.write("00000000001", 136);
  header.write(flag, 156);
  header.write("ustar\0" + "00", 257);
  header.fill(0x20, 148, 156);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  const padding = Buffer.alloc((512 - (content.length % 512)) % 512);
  return Buffer.concat([header, content, padding]);
}

const pax = (...records: ReadonlyArray<readonly [string, Buffer | string]>) =>
  block({
    flag: "x",
    content: Buffer.concat(
      records.map(([key, value]) => {
        const rest = Buffer.concat([
          Buffer.from(` ${key}=`),
          Buffer.from(value),
          Buffer.from("\n"),
        ]);
        let length = rest.length + 1;
        while (String(length).length + rest.length !== length) length += 1;
        return Buffer.concat([Buffer.from(String(length)), rest]);
      }),
    ),
  });

describe("the tar reader", () => {
  it("skips what nobody reads of a file, whatever the chunks", async () => {
    const archive = Buffer.concat([
      block({ name: "a", content: Buffer.alloc(1300, 1) }),
      block({ name: "b" }),
      Buffer.alloc(1024),
    ]);
    for (const chunk of [1, 511, 512, 5000]) {
      expect((await entriesOf(archive, chunk)).map(({ name, size }) => [name, size])).toEqual([
        ["a", 1300],
        ["b", 0],
      ]);
    }
  });

  it("takes names, owners, times and attributes from pax records, as bytes", async () => {
    const capability = Buffer.from("0100000200ff0000", "hex");
    const archive = Buffer.concat([
      pax(
        ["path", "späße"],
        ["uid", "4294967294"],
        ["mtime", "1000000000.123456789"],
        ["SCHILY.xattr.security.capability", capability],
      ),
      block({ name: "short" }),
      block({ name: "next" }),
    ]);
    const [entry, next] = await entriesOf(archive);
    expect(Buffer.from(entry?.name ?? "", "latin1").toString()).toBe("späße");
    expect(entry).toMatchObject({ uid: 4294967294, mtime: { s: 1e9, ns: 123456789 } });
    expect(entry?.xattrs.get("security.capability")).toEqual(capability);
    expect(next).toMatchObject({ name: "next", uid: 0, mtime: { s: 1, ns: 0 } });
  });

  it("takes GNU's long names and large numbers", async () => {
    const long = "n".repeat(300);
    const archive = Buffer.concat([
      block({ flag: "L", content: Buffer.from(`${long}\0`) }),
      block({ uid: "\x80\x00\x00\x00\x00\x01\x11\x70" }),
    ]);
    expect(await entriesOf(archive)).toMatchObject([{ name: long, uid: 70_000 }]);
  });

  it.each([
    ["an entry of type", block({ flag: "S" })],
    ["a wrong checksum", Buffer.concat([block({}).subarray(0, 511), Buffer.from("x")])],
    ["sparse", pax(["GNU.sparse.major", "1"])],
    ["a broken pax record", block({ flag: "x", content: Buffer.from("99 path=x\n") })],
    ["a header of", block({ flag: "x", content: Buffer.alloc(2 << 20) })],
    [
      "a header that is cut short",
      block({ flag: "L", content: Buffer.alloc(600) }).subarray(0, 700),
    ],
  ])("refuses %s", async (words, archive) => {
    await expect(entriesOf(archive)).rejects.toMatchObject({
      code: "IMAGE_INVALID",
      message: expect.stringContaining(words),
    });
  });

  it("ends on any bytes, with entries or with a reason", async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 2048 }), async (bytes) => {
        const archive = Buffer.concat([pax(["path", "x"]), block({}), Buffer.from(bytes)]);
        const outcome = await entriesOf(archive).catch((error: unknown) => error);
        expect(outcome instanceof Error ? outcome.message : "entries").toMatch(
          /entries|it has|cut short/,
        );
      }),
    );
  });
});
