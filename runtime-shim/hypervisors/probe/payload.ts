/**
 * What the probe runs instead of a BIOS: goes from reset to long mode, says "A" and "B" on the debug
 * port, spins 200 000 times in ring 0, says "C" and asks QEMU to exit. Assembled from the mnemonics
 * beside the bytes (GNU as); linear address of offset 0 is 0xffff0000.
 */

export const debugPort = 0x402;
export const exitPort = 0x501;
export const loopTurns = 200_000;

const imageBytes = 64 << 10;

const code: ReadonlyArray<readonly [offset: number, hex: string]> = [
  [0x00, "fa"], //                       cli
  [0x01, "2e660f01168c00"], //           lgdtl %cs:gdtptr
  [0x08, "0f20c0 0c01 0f22c0"], //       cr0 |= PE
  [0x10, "66ea1800ffff0800"], //         ljmpl $0x08, $start32
  [0x18, "66b81000 8ed8"], //            start32: ds = data segment
  [0x1e, "c7050010000003200000"], //     movl $0x2003, 0x1000      PML4[0] → 0x2000
  [0x28, "c7051820000003300000"], //     movl $0x3003, 0x2018      PDPT[3] → 0x3000
  [0x32, "c705f83f00008300e0ff"], //     movl $0xffe00083, 0x3ff8  PD[511] → this ROM, 2 MiB page
  [0x3c, "b820000000 0f22e0"], //        cr4 = PAE
  [0x44, "b800100000 0f22d8"], //        cr3 = 0x1000
  [0x4c, "b9800000c0 0f32"], //          rdmsr EFER
  [0x53, "0d00010000 0f30"], //          EFER |= LME
  [0x5a, "0f20c0 0d00000080 0f22c0"], // cr0 |= PG
  [0x65, "ea6c00ffff1800"], //           ljmp $0x18, $start64
  [0x6c, "66ba0204"], //                 start64: dx = 0x402
  [0x70, "b041ee b042ee"], //            out 'A', out 'B'
  [0x76, "b9400d0300"], //               mov $200000, %ecx
  [0x7b, "ffc9 75fc"], //                1: dec %ecx; jnz 1b
  [0x7f, "b043ee"], //                   out 'C'
  [0x82, "66ba0105 b010ee"], //          out 0x10 to 0x501
  [0x89, "f4 ebfd"], //                  2: hlt; jmp 2b
  [0x8c, "1f00 9800ffff"], //            gdtptr: limit 31, base gdt
  [0x98, "0000000000000000"], //         gdt: null
  [0xa0, "ffff0000009acf00"], //         32-bit code
  [0xa8, "ffff00000092cf00"], //         data
  [0xb0, "ffff0000009aaf00"], //         64-bit code
  [0xfff0, "e90d00"], //                 reset vector: jmp to offset 0
];

export function probePayload(): Buffer {
  const image = Buffer.alloc(imageBytes);
  for (const [offset, hex] of code) {
    Buffer.from(hex.replaceAll(" ", ""), "hex").copy(image, offset);
  }
  return image;
}
