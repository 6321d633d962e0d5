import type { Pace } from '../outbox/pace.ts';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

export const WEBHOOK_PACE: Pace = {
  offsetsMs: [
    ...[0, 5 * SECOND, 5 * MINUTE, 30 * MINUTE],
    ...[2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR],
  ],
  underWayEach: 16,
  leaseMs: 45 * SECOND,
  attemptMs: 20 * SECOND,
  finishGatherMs: 20,
};
