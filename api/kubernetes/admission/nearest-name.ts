/** "Did you mean": the known name within two typing slips (Damerau-Levenshtein). */

// Two slips of a long name are a typo; two slips of a short one are another name.
const allowedSlips = (length: number) => (length >= 8 ? 2 : length >= 4 ? 1 : 0);

export function nearestName(name: string, known: readonly string[]): string | undefined {
  return known
    .map((candidate) => ({ candidate, slips: slipsBetween(name, candidate) }))
    .filter(({ slips }) => slips <= allowedSlips(name.length))
    .sort((a, b) => a.slips - b.slips)[0]?.candidate;
}

/** Insertions, deletions, substitutions and swaps of neighbours. */
export function slipsBetween(a: string, b: string): number {
  const width = b.length + 1;
  const costs = new Int32Array((a.length + 1) * width);
  const at = (i: number, j: number) => costs[i * width + j] ?? 0;
  for (let i = 0; i <= a.length; i += 1) costs[i * width] = i;
  for (let j = 0; j <= b.length; j += 1) costs[j] = j;
  for (let i = 1; i <= a.length; i += 1) {
    for (let j = 1; j <= b.length; j += 1) {
      const differs = a[i - 1] === b[j - 1] ? 0 : 1;
      let cost = Math.min(at(i - 1, j) + 1, at(i, j - 1) + 1, at(i - 1, j - 1) + differs);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        cost = Math.min(cost, at(i - 2, j - 2) + 1);
      }
      costs[i * width + j] = cost;
    }
  }
  return at(a.length, b.length);
}
