import type { Pace } from './pace.ts';

const LIFETIME_MS = 24 * 3_600_000;
const JITTER = 0.2;
const SHORTEST_WAIT_MS = 4_000;

/** A failed attempt: `attempts` counts it, `random` is in [0, 1), `retryAfterMs` is what the receiver asked for. */
export type Failure = { occurredAt: number; now: number; attempts: number; random: number; retryAfterMs?: number };

/**
 * When to try again, or `undefined` when the event is given up: after the last attempt, or a day after the event.
 * The gap before each attempt is spread by 20 % either way, so that events of one moment do not return as one wave.
 * A receiver can ask for more patience than the schedule has, never for less, nor for more than the day.
 */
export function nextAttemptAt(
  { offsetsMs }: Pick<Pace, 'offsetsMs'>,
  { occurredAt, now, attempts, random, retryAfterMs = 0 }: Failure,
): number | undefined {
  const offset = offsetsMs[attempts];
  const endsAt = occurredAt + LIFETIME_MS;
  if (offset === undefined || now >= endsAt) return undefined;
  const gap = offset - (offsetsMs[attempts - 1] ?? 0);
  // An event that lies ahead: the clock was set back, and the gap is not the longer for that.
  const planned = (occurredAt > now ? now + gap : occurredAt + offset) + gap * JITTER * (2 * random - 1);
  // After a stop of ours the plan may be long past: without a wait, all its attempts would follow at once.
  return Math.min(endsAt, Math.round(Math.max(planned, now + SHORTEST_WAIT_MS, now + retryAfterMs)));
}
