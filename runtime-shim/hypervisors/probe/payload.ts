/**
 * What a probe boots instead of a kernel: an ELF file with a PVH note (Xen's x86/HVM direct boot ABI),
 * as every hypervisor here takes for its kernel. Goes from protected to long mode, says "A" and "B" on
 * the first serial port, spins 200 000 times in ring 0, says "C" and halts. Assembled from the
 * mnemonics beside the bytes (GNU as).
 */

export const loopTurns = 200_000;

const loadAddress = 0x100000;
const noteOffset = 0xb0;
const noteBytes = 24;
const codeOffset = 0x100;
// The file's page, then one for each level of the page tables, all zero.
const memoryBytes = 0x4000;

const code: ReadonlyArray<readonly [address: number, hex: string]> = [
  [0x100, "fa"], //                            cli
  [0x101, "0f011578011000"], //                lgdtl gdtptr
  [0x108, "66b81000 8ed8"], //                 ds = data segment
  [0x10e, "c7050010100003201000"], //          movl $0x102003, 0x101000   PML4[0] → PDPT
  [0x118, "c7050020100003301000"], //          movl $0x103003, 0x102000   PDPT[0] → PD
  [0x122, "c7050030100083000000"], //          movl $0x83, 0x103000       PD[0] → the first 2 MiB
  [0x12c, "b820000000 0f22e0"], //             cr4 = PAE
  [0x134, "b800101000 0f22d8"], //             cr3 = 0x101000
  [0x13c, "b9800000c0 0f32"], //               rdmsr EFER
  [0x143, "0d00010000 0f30"], //               EFER |= LME
  [0x14a, "0f20c0 0d01000080 0f22c0"], //      cr0 |= PG | PE
  [0x155, "ea5c0110001800"], //                ljmp $0x18, $start64
  [0x15c, "66baf803"], //                      start64: dx = 0x3f8, the first serial port
  [0x160, "b041ee b042ee"], //                 out 'A', out 'B'
  [0x166, "b9400d0300"], //                    mov $200000, %ecx
  [0x16b, "ffc9 75fc"], //                     1: dec %ecx; jnz 1b
  [0x16f, "b043ee"], //                        out 'C'
  [0x172, "f4 ebfd"], //                       2: hlt; jmp 2b
  [0x178, "1f00 80011000"], //                 gdtptr: limit 31, base gdt
  [0x180, "0000000000000000"], //              gdt: null
  [0x188, "ffff0000009acf00"], //              32-bit code
  [0x190, "ffff00000092cf00"], //              data
  [0x198, "ffff0000009aaf00"], //              64-bit code
];
const imageBytes = 0x1a0;

export function probePayload(): Buffer {
  const image = Buffer.alloc(imageBytes);
  writeElfHeader(image);
  writeSegment(image, 0, { type: 1, flags: 7, offset: 0, fileBytes: imageBytes, memoryBytes });
  writeSegment(image, 1, {
    ...{ type: 4, flags: 4, offset: noteOffset },
    ...{ fileBytes: noteBytes, memoryBytes: noteBytes },
  });
  // XEN_ELFNOTE_PHYS32_ENTRY: where the VMM enters, in 32-bit protected mode.
  image.writeUInt32LE(4, noteOffset);
  image.writeUInt32LE(8, noteOffset + 4);
  image.writeUInt32LE(18, noteOffset + 8);
  image.write("Xen\0", noteOffset + 12, "latin1");
  image.writeBigUInt64LE(BigInt(loadAddress + codeOffset), noteOffset + 16);
  for (const [address, hex] of code) {
    Buffer.from(hex.replaceAll(" ", ""), "hex").copy(image, address);
  }
  return image;
}

/** ELF-64, little endian, x86-64, two program headers behind this one. */
function writeElfHeader(image: Buffer): void {
  image.write("\x7fELF\x02\x01\x01", 0, "latin1");
  image.writeUInt16LE(2, 16);
  image.writeUInt16LE(62, 18);
  image.writeUInt32LE(1, 20);
  image.writeBigUInt64LE(BigInt(loadAddress + codeOffset), 24);
  image.writeBigUInt64LE(64n, 32);
  image.writeUInt16LE(64, 52);
  image.writeUInt16LE(56, 54);
  image.writeUInt16LE(2, 56);
}

interface Segment {
  readonly type: number;
  readonly flags: number;
  readonly offset: number;
  readonly fileBytes: number;
  readonly memoryBytes: number;
}

function writeSegment(image: Buffer, index: number, segment: Segment): void {
  const start = 64 + 56 * index;
  const address = BigInt(loadAddress + segment.offset);
  image.writeUInt32LE(segment.type, start);
  image.writeUInt32LE(segment.flags, start + 4);
  image.writeBigUInt64LE(BigInt(segment.offset), start + 8);
  image.writeBigUInt64LE(address, start + 16);
  image.writeBigUInt64LE(address, start + 24);
  image.writeBigUInt64LE(BigInt(segment.fileBytes), start + 32);
  image.writeBigUInt64LE(BigInt(segment.memoryBytes), start + 40);
  image.writeBigUInt64LE(4n, start + 48);
}
