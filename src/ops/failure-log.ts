import { AppError, type ErrorCode } from '../errors.ts';
import type { Log } from './log.ts';

const INTERVAL_MS = 1_000;
const FAIL_ALIKE: ReadonlySet<ErrorCode> = new Set(['STORAGE_UNAVAILABLE', 'STORAGE_FULL']);

/**
 * Logs requests that failed on our side. While storage is unavailable or full, every request fails in the same way: then
 * one line a second is written, with the number of failures since the last line.
 */
export function createFailureLog(log: Log): (requestId: string, err: unknown) => void {
  let nextAt = Number.NEGATIVE_INFINITY;
  let unwritten = 0;
  return (requestId, err) => {
    if (!(err instanceof AppError && FAIL_ALIKE.has(err.code))) {
      log.error({ requestId, err }, 'request failed');
    } else if (performance.now() < nextAt) {
      unwritten += 1;
    } else {
      log.error({ requestId, err, unwritten }, 'request failed');
      nextAt = performance.now() + INTERVAL_MS;
      unwritten = 0;
    }
  };
}
