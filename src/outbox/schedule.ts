const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** When each attempt is due, in ms after the event. */
const OFFSETS: readonly number[] = [
  0,
  5 * SECOND,
  5 * MINUTE,
  30 * MINUTE,
  2 * HOUR,
  5 * HOUR,
  10 * HOUR,
  14 * HOUR,
  20 * HOUR,
  24 * HOUR,
];
const LIFETIME_MS = 24 * HOUR;
const JITTER = 0.2;
const SHORTEST_WAIT_MS = 4 * SECOND;

/** A failed attempt: `attempts` counts it, `random` is in [0, 1), `retryAfterMs` is what the receiver asked for. */
export type Failure = { occurredAt: number; now: number; attempts: number; random: number; retryAfterMs?: number };

/**
 * When to try again, or `undefined` when the event is given up: after the last attempt, or a day after the event.
 * The gap before each attempt is spread by 20 % either way, so that events of one moment do not return as one wave.
 * A receiver can ask for more patience than the schedule has, never for less, nor for more than the day.
 */
export function nextAttemptAt({ occurredAt, now, attempts, random, retryAfterMs = 0 }: Failure): number | undefined {
  const offset = OFFSETS[attempts];
  const endsAt = occurredAt + LIFETIME_MS;
  if (offset === undefined || now >= endsAt) return undefined;
  const gap = offset - (OFFSETS[attempts - 1] ?? 0);
  const planned = occurredAt + offset + gap * JITTER * (2 * random - 1);
  // After a stop of ours the plan may be long past: without a wait, all its attempts would follow at once.
  return Math.min(endsAt, Math.round(Math.max(planned, now + SHORTEST_WAIT_MS, now + retryAfterMs)));
}
