import type { Clock } from '../clock.ts';
import type { Samples } from './metrics/families.ts';

/** What anybody may know of the whole program. */
export type Status = {
  startedAt: number;
  uptimeSeconds: number;
  /** Answered by all workers, those that ended included; refused ones and those for pages too, this one not. */
  requests: number;
};

/** So long an answer is good enough for all who ask: however many they are, the primary is asked ten times a second. */
const HELD_MS = 100;

/**
 * @param readTotals what all workers counted.
 * @returns what tells the status. @throws AppError TOTALS_UNAVAILABLE
 */
export function createStatus(readTotals: () => Promise<Samples>, clock: Clock): () => Promise<Status> {
  let askedAt = Number.NEGATIVE_INFINITY;
  let totals: Promise<Samples> = Promise.resolve({});

  function hold(): Promise<Samples> {
    if (performance.now() - askedAt < HELD_MS) return totals;
    askedAt = performance.now();
    totals = readTotals();
    totals.catch(() => {
      askedAt = Number.NEGATIVE_INFINITY;
    });
    return totals;
  }

  return async () => {
    const { hushbox_start_time_seconds: start = {}, hushbox_http_requests_total: requests = {} } = await hold();
    const startedAt = Math.round((start['']?.[0] ?? 0) * 1000);
    return {
      startedAt,
      uptimeSeconds: Math.max(0, clock() - startedAt) / 1000,
      requests: Object.values(requests).reduce((sum, [count = 0]) => sum + count, 0),
    };
  };
}
