/** A deadline in time that this process lived through. */

const ticks = 10;

/**
 * Answers how to cancel it. Time in which this process stood still (a frozen cgroup, SIGSTOP, a
 * suspended machine) does not count: the peer on the same machine may have stood still, too, and an
 * answer that came meanwhile is still to be read.
 */
export function startDeadline(timeoutMs: number, onPassed: () => void): () => void {
  const tickMs = timeoutMs / ticks;
  let left = ticks;
  let lastMs = performance.now();
  const timer = setInterval(() => {
    const nowMs = performance.now();
    if (nowMs - lastMs < 2 * tickMs) left -= 1;
    lastMs = nowMs;
    if (left > 0) return;
    clearInterval(timer);
    onPassed();
  }, tickMs);
  return () => clearInterval(timer);
}
