import { AppError, type ErrorCode } from '../errors.ts';
import { type Log, reasonOf } from './log.ts';

const INTERVAL_MS = 1_000;
const FAIL_ALIKE: ReadonlySet<ErrorCode> = new Set(['STORAGE_UNAVAILABLE', 'STORAGE_FULL', 'AUTH_UNAVAILABLE']);

/**
 * Logs requests that failed on our side. While storage is unavailable or full, or tokens cannot be checked, every request fails in the same way: then
 * one line a second is written, with the number of failures since the last line.
 * @param isStarting until then a storage that does not answer is no error: health checks ask before it can.
 */
export function createFailureLog(log: Log, isStarting: () => boolean): (requestId: string, err: unknown) => void {
  let nextAt = Number.NEGATIVE_INFINITY;
  let unwritten = 0;
  return (requestId, err) => {
    if (!(err instanceof AppError && FAIL_ALIKE.has(err.code))) {
      log.error({ requestId, err }, 'request failed');
    } else if (performance.now() < nextAt) {
      unwritten += 1;
    } else {
      if (err.code === 'STORAGE_UNAVAILABLE' && isStarting()) {
        log.info({ requestId, reason: reasonOf(err), unwritten }, 'request refused: not ready yet');
      } else log.error({ requestId, err, unwritten }, 'request failed');
      nextAt = performance.now() + INTERVAL_MS;
      unwritten = 0;
    }
  };
}
