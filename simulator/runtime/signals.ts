/** Signal names of image configs (STOPSIGNAL) to numbers. */
import { constants } from "node:os";

const sigterm = 15;

/** "SIGQUIT", "QUIT" or "3"; SIGTERM when absent or unknown, as containerd's CRI part falls back. */
export function signalNumber(text: string | undefined): number {
  if (text === undefined || text === "") return sigterm;
  const number = Number(text);
  if (Number.isInteger(number) && number >= 1 && number <= 64) return number;
  const upper = text.toUpperCase();
  const rt = /^(?:SIG)?RTMIN(?:\+(\d+))?$/.exec(upper);
  // 34: the C library's SIGRTMIN, which signal names in images mean.
  if (rt !== null) return 34 + Number(rt[1] ?? 0);
  const name = upper.startsWith("SIG") ? upper : `SIG${upper}`;
  return (constants.signals as Readonly<Record<string, number>>)[name] ?? sigterm;
}
