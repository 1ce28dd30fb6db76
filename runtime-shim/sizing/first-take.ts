/**
 * What a VM takes of this machine when it starts, whatever its size: guests take memory as they touch it.
 * Pure; the numbers are measured.
 */

// A guest booted by QEMU in software with an idle container, and its shim: 233 MiB PSS of 2 GiB.
const bootedMib = 224;
// The guest's kernel keeps a struct page of 64 bytes for each 4096 of its memory, and writes them all.
const pageStructsShare = 64 / 4096;

export function firstTakeMib(memoryMib: number): number {
  return Math.min(memoryMib, bootedMib + Math.ceil(memoryMib * pageStructsShare));
}
