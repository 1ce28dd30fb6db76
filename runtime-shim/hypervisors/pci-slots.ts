/** The places of a PCI bus that devices are plugged into, each taken once. */
export interface PciSlots {
  /** The lowest free one; undefined when all are taken. */
  take(): number | undefined;
  giveBack(slot: number): void;
}

/** Slots 1 to `count`; 0 is the bridge's own. */
export function createPciSlots(count: number): PciSlots {
  const taken = new Set<number>();
  return {
    take() {
      for (let slot = 1; slot <= count; slot += 1) {
        if (taken.has(slot)) continue;
        taken.add(slot);
        return slot;
      }
      return undefined;
    },
    giveBack: (slot) => void taken.delete(slot),
  };
}

/** As QEMU writes a device's place. */
export function slotAddress(slot: number): string {
  return `0x${slot.toString(16)}`;
}
