export const SQLITE_BUSY = 5;
const PAUSE_MS = 0.5;

const pause = new Int32Array(new SharedArrayBuffer(4));

/**
 * Retries until there is no SQLITE_BUSY or the deadline has passed. It replaces SQLite's own busy timeout, which some
 * steps do not honour, and which sleeps longer each time. Blocks its thread.
 * @param deadline on the clock of `performance.now()`; at least one attempt is made.
 */
export function retryWhileBusy<T>(deadline: number, run: () => T, pauseMs = PAUSE_MS): T {
  for (;;) {
    try {
      return run();
    } catch (error) {
      if (resultCode(error) !== SQLITE_BUSY || performance.now() > deadline) throw error;
      Atomics.wait(pause, 0, 0, pauseMs);
    }
  }
}

/** SQLite's primary result code; 0 for an error that is not SQLite's. */
export function resultCode(error: unknown): number {
  const { errcode } = error as { errcode?: number };
  return (errcode ?? 0) & 0xff;
}
