import type { Pace } from '../outbox/pace.ts';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
/** Of the last attempts, which go on until the day is over. */
const LAST_GAP_MS = 10 * MINUTE;
const LAST_ATTEMPTS = 144;

/** A mail that somebody waits for: our own server is asked again soon, and by few connections at a time. */
export const MAIL_PACE: Pace = {
  offsetsMs: [
    ...[0, 5 * SECOND, 15 * SECOND, 30 * SECOND, 45 * SECOND],
    ...[MINUTE, 1.5 * MINUTE, 2 * MINUTE, 3 * MINUTE, 5 * MINUTE],
    ...Array.from({ length: LAST_ATTEMPTS }, (_, index) => (index + 1) * LAST_GAP_MS),
  ],
  underWayEach: 4,
  leaseMs: 60 * SECOND,
  attemptMs: 40 * SECOND,
  finishGatherMs: 0, // a mail that was accepted and not written down is sent twice if the process dies
};
/** Of one attempt, with everything in it. */
export const ATTEMPT_MAX_MS = 35 * SECOND;
