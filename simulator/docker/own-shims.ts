/**
 * How an engine can be told of a containerd shim that is not runc's, by the engine's version
 * (moby daemon/runtime_unix.go and api/types of v20.10, v23.0, v24.0). Engines from 23 on are
 * untried here.
 */
import { shortVersion } from "./find-engine.ts";

interface ShimRule {
  /** From this major version on. */
  readonly since: number;
  /** Ends the sentence "Docker Engine <version> …". */
  readonly words: string;
}

/** Newest first. */
const shimRules: readonly ShimRule[] = [
  {
    since: 24,
    words:
      "takes katasim's shim as a runtime with options: daemon.json runtimes.<name>.runtimeType and options (untried)",
  },
  {
    since: 23,
    words:
      "takes katasim's shim by name, without options, where it is on containerd's PATH: docker run --runtime io.containerd.katasim.v2 (untried)",
  },
  {
    since: 0,
    words: "cannot be told of katasim's shim: Docker 23 or newer can",
  },
];

/** Of "20.10.24+dfsg1"; a version that is no number counts as the oldest. */
export function ownShimWords(version: string): string {
  const major = Number.parseInt(shortVersion(version), 10) || 0;
  return (shimRules.find(({ since }) => major >= since) as ShimRule).words;
}
