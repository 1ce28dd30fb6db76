/**
 * Kubernetes quantities ("1500m", "2Gi") to numbers and back.
 * Source: apimachinery pkg/api/resource/quantity.go. Values are kept as exact BigInt nano-units, so
 * sums never lose a byte.
 */

const suffixes: Readonly<Record<string, readonly [bigint, bigint]>> = {
  n: [1n, 1_000_000_000n],
  u: [1n, 1_000_000n],
  m: [1n, 1_000n],
  "": [1n, 1n],
  k: [10n ** 3n, 1n],
  M: [10n ** 6n, 1n],
  G: [10n ** 9n, 1n],
  T: [10n ** 12n, 1n],
  P: [10n ** 15n, 1n],
  E: [10n ** 18n, 1n],
  Ki: [1n << 10n, 1n],
  Mi: [1n << 20n, 1n],
  Gi: [1n << 30n, 1n],
  Ti: [1n << 40n, 1n],
  Pi: [1n << 50n, 1n],
  Ei: [1n << 60n, 1n],
};

const pattern = /^([+-]?)(\d+(?:\.\d*)?|\.\d+)((?:[eE][+-]?\d+)|[KMGTPE]i|[numkMGTPE]?)$/;

/** The words of the real API server for a quantity it cannot read. */
export const quantityErrorText =
  "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

const nano = 1_000_000_000n;

/** Nano-units, rounded up as Kubernetes does; undefined when the text is no quantity. */
export function parseNano(text: string | number): bigint | undefined {
  const match = pattern.exec(String(text));
  if (!match) return undefined;
  const [, sign, digits = "", suffix = ""] = match;
  const [whole = "", fraction = ""] = digits.split(".");
  let numerator = BigInt(`${whole}${fraction}` || "0") * nano;
  let denominator = 10n ** BigInt(fraction.length);
  if (/^[eE][+-]?\d/.test(suffix)) {
    const exponent = Number(suffix.slice(1));
    if (Math.abs(exponent) > 40) return undefined;
    if (exponent >= 0) numerator *= 10n ** BigInt(exponent);
    else denominator *= 10n ** BigInt(-exponent);
  } else {
    const scale = suffixes[suffix];
    if (!scale) return undefined;
    numerator *= scale[0];
    denominator *= scale[1];
  }
  const value = (numerator + denominator - 1n) / denominator;
  return sign === "-" ? -value : value;
}

export function isQuantity(text: unknown): boolean {
  return (typeof text === "string" || typeof text === "number") && parseNano(text) !== undefined;
}

/** Whole milli-units, rounded up: "500m" → 500, "2" → 2000. Throws RangeError on a bad quantity. */
export function toMillis(text: string | number): number {
  return Number(ceilDiv(required(text), 1_000_000n));
}

/** Whole units, rounded up: "1Ki" → 1024. Throws RangeError on a bad quantity. */
export function toUnits(text: string | number): number {
  return Number(ceilDiv(required(text), nano));
}

/** Milli-CPUs to the canonical form: 500 → "500m", 2000 → "2". */
export function formatCpu(millis: number): string {
  return millis % 1000 === 0 ? String(millis / 1000) : `${millis}m`;
}

/** Bytes to the canonical binary form: 2147483648 → "2Gi"; odd numbers stay plain. */
export function formatBytes(bytes: number): string {
  for (const unit of ["Ei", "Pi", "Ti", "Gi", "Mi", "Ki"]) {
    const size = Number((suffixes[unit] as readonly [bigint, bigint])[0]);
    if (bytes !== 0 && bytes % size === 0) return `${bytes / size}${unit}`;
  }
  return String(bytes);
}

function required(text: string | number): bigint {
  const value = parseNano(text);
  if (value === undefined) throw new RangeError(quantityErrorText);
  return value;
}

function ceilDiv(value: bigint, by: bigint): bigint {
  return value >= 0n ? (value + by - 1n) / by : value / by;
}
