import type { Clock } from '../clock.ts';
import type { Samples } from './metrics/families.ts';

/** Public facts about the whole program. */
export type Status = {
  startedAt: number;
  uptimeSeconds: number;
  /** Answered by all workers, ended ones included. Refused requests and pages count too; this request does not. */
  requests: number;
};

/**
 * @param readTotals the counts of all workers.
 * @returns a function that reads the status. @throws AppError TOTALS_UNAVAILABLE
 */
export function createStatus(readTotals: () => Promise<Samples>, clock: Clock): () => Promise<Status> {
  return async () => {
    const { hushbox_start_time_seconds: start = {}, hushbox_http_requests_total: requests = {} } = await readTotals();
    const startedAt = Math.round((start['']?.[0] ?? 0) * 1000);
    return {
      startedAt,
      uptimeSeconds: Math.max(0, clock() - startedAt) / 1000,
      requests: Object.values(requests).reduce((sum, [count = 0]) => sum + count, 0),
    };
  };
}
