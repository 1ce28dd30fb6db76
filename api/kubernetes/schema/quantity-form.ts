/**
 * The canonical text of a quantity: "1000m" → "1", "0.5" → "500m", "1024Mi" → "1Gi", "1000" → "1k".
 * The server re-emits every quantity in this form. Source: apimachinery
 * pkg/api/resource/quantity.go, CanonicalizeBytes.
 */
import { parseNano } from "../../../common/quantity.ts";

const nano = 1_000_000_000n;
/** Suffixes of 10^-9 … 10^18 in steps of a thousand; index 3 is the plain number. */
const decimalSuffixes = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
const binarySuffixes = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

/** Canonical form; undefined when the text is no quantity. */
export function canonicalQuantity(text: string | number): string | undefined {
  const source = String(text);
  const value = parseNano(source);
  if (value === undefined) return undefined;
  if (value === 0n) return "0";
  if (source.endsWith("i") && value % nano === 0n) {
    const units = value / nano;
    // Below 1024 the server falls back to decimal form.
    if (units >= 1024n || units <= -1024n) return reduce(units, 1024n, binarySuffixes);
  }
  const exponential = /[eE][+-]?\d+$/.test(source);
  return reduce(value, 1000n, exponential ? exponentSuffixes : decimalSuffixes);
}

const exponentSuffixes = decimalSuffixes.map((_, i) => (i === 3 ? "" : `e${(i - 3) * 3}`));

function reduce(value: bigint, step: bigint, suffixes: readonly string[]): string {
  let mantissa = value;
  let index = 0;
  while (index < suffixes.length - 1 && mantissa % step === 0n) {
    mantissa /= step;
    index += 1;
  }
  return `${mantissa}${suffixes[index]}`;
}
