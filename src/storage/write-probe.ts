import { setTimeout as sleep } from 'node:timers/promises';
import { AppError } from '../errors.ts';

/** For this long after a write, another one would be taken too. */
const FRESH_MS = 1_000;
/** How soon after a failure the next attempt is made. */
const RETRY_MS = 500;
/** A write that takes longer counts as refused until it is done. */
const PATIENCE_MS = 2_000;

/**
 * Whether the storage takes writes, by trying: with a full disk or a lock that somebody holds, look-ups still work. Any
 * number of callers share one attempt a second, so that a flood of them costs nothing.
 * @param write a small durable write.
 * @param uptime milliseconds that pass even if someone sets the clock.
 * @returns a function that rejects with AppError STORAGE_UNAVAILABLE when no write is taken.
 */
export function createWriteProbe(
  write: () => Promise<unknown>,
  uptime: () => number = () => performance.now(),
  patienceMs = PATIENCE_MS,
): () => Promise<void> {
  let attempt: { startedAt: number; done: Promise<void> } | undefined;
  let takenAt = Number.NEGATIVE_INFINITY;
  let failure: { error: unknown; at: number } | undefined;

  async function run(): Promise<void> {
    try {
      await write();
      takenAt = uptime();
      failure = undefined;
    } catch (error) {
      failure = { error, at: uptime() };
      throw error;
    } finally {
      attempt = undefined;
    }
  }

  return async () => {
    const now = uptime();
    if (failure && now - failure.at < RETRY_MS) throw failure.error;
    if (!failure && now - takenAt < FRESH_MS) return;
    attempt ??= { startedAt: now, done: run() };
    const { startedAt, done } = attempt;
    const stopping = new AbortController();
    try {
      await Promise.race([done, refuseAfter(startedAt + patienceMs - now, stopping.signal)]);
    } finally {
      stopping.abort();
    }
  };
}

async function refuseAfter(ms: number, signal: AbortSignal): Promise<void> {
  const isLate = await sleep(Math.max(0, ms), true, { signal }).catch(() => false);
  const cause = new Error('a write takes longer than 2 s');
  if (isLate) throw new AppError('STORAGE_UNAVAILABLE', { cause, retryAfterSeconds: 1 });
}
