/**
 * What a VM takes of this machine when it starts, whatever its size: guests take memory as they touch it.
 * Pure; the numbers are measured.
 */

// A booted QEMU guest, its emulator and its shim, without a template (with one it is a quarter of this).
const bootedMib = 192;
// The guest's kernel keeps a struct page of 64 bytes for each 4096 of its memory, and writes them all.
const pageStructsShare = 64 / 4096;

export function firstTakeMib(memoryMib: number): number {
  return Math.min(memoryMib, bootedMib + Math.ceil(memoryMib * pageStructsShare));
}
