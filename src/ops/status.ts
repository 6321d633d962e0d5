import type { Clock } from '../clock.ts';
import type { Samples } from './metrics/families.ts';

/** What anyone may know about the whole program. */
export type Status = {
  startedAt: number;
  uptimeSeconds: number;
  /** Answered by all workers, including those that ended; includes refused requests and pages, but not this request. */
  requests: number;
};

/** How long totals are reused, so that the primary is asked at most ten times a second, however many clients ask. */
const HELD_MS = 100;

/**
 * @param readTotals what all workers counted.
 * @returns reads the status. @throws AppError TOTALS_UNAVAILABLE
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
