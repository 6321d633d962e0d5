import test from 'ava';
import fc from 'fast-check';
import { nextAttemptAt } from '../../src/outbox/schedule.ts';
import { WEBHOOK_PACE } from '../../src/webhooks/pace.ts';
import { parseRetryAfter } from '../../src/webhooks/retry-after.ts';

const DAY = 86_400_000;
const HOUR = 3_600_000;

test('an event is tried ten times in the 24 hours after it, then given up', (t) => {
  const offsets: number[] = [];
  let now = 0;
  for (let attempts = 1; ; attempts++) {
    const next = nextAttemptAt(WEBHOOK_PACE, { occurredAt: 0, now, attempts, random: 0.5 });
    if (next === undefined) break;
    offsets.push(next / 1_000);
    now = next;
  }
  t.deepEqual(offsets, [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400]);
});

test('an attempt is due after now and within the day, whatever came before it', (t) => {
  const failure = fc.record({
    occurredAt: fc.constant(1_000_000),
    now: fc.integer({ min: 1_000_000, max: 1_000_000 + DAY - 5_000 }),
    attempts: fc.integer({ min: 1, max: 9 }),
    random: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
    retryAfterMs: fc.option(fc.integer({ min: 0, max: 10 * DAY }), { nil: undefined }),
  });
  fc.assert(
    fc.property(failure, ({ retryAfterMs, ...rest }) => {
      const next = nextAttemptAt(WEBHOOK_PACE, retryAfterMs === undefined ? rest : { ...rest, retryAfterMs });
      t.true(next !== undefined && next >= rest.now + 4_000 && next <= rest.occurredAt + DAY);
    }),
  );
});

test('the gap before an attempt is spread by a fifth either way', (t) => {
  const at = (random: number) => nextAttemptAt(WEBHOOK_PACE, { occurredAt: 0, now: 5_000, attempts: 2, random });
  t.deepEqual([at(0), at(0.5), at(1)], [241_000, 300_000, 359_000]);
});

test('a receiver may ask for a longer wait, for no shorter one, and for none beyond the day', (t) => {
  const at = (retryAfterMs: number) =>
    nextAttemptAt(WEBHOOK_PACE, { occurredAt: 0, now: HOUR, attempts: 4, random: 0.5, retryAfterMs });
  t.deepEqual([at(0), at(2 * HOUR), at(10 * DAY)], [2 * HOUR, 3 * HOUR, DAY]);
});

test('a clock that was set back makes no gap longer', (t) => {
  for (const back of [1_000, HOUR, 30 * DAY]) {
    const failure = { occurredAt: 100 * DAY, now: 100 * DAY - back, random: 0.5 };
    for (const [attempts, gap] of [
      [1, 5_000],
      [2, 295_000],
      [9, 14_400_000],
    ] as const) {
      t.is(nextAttemptAt(WEBHOOK_PACE, { ...failure, attempts }), failure.now + gap);
    }
  }
});

test('an event a day old gets no further attempt', (t) => {
  t.is(nextAttemptAt(WEBHOOK_PACE, { occurredAt: 0, now: DAY, attempts: 1, random: 0.5 }), undefined);
});

test('Retry-After is seconds or an HTTP date; anything else names no wait', (t) => {
  const now = Date.UTC(2026, 0, 1);
  t.is(parseRetryAfter('120', now), 120_000);
  t.is(parseRetryAfter('Thu, 01 Jan 2026 00:01:00 GMT', now), 60_000);
  t.is(parseRetryAfter('Wed, 31 Dec 2025 00:00:00 GMT', now), 0);
  t.is(parseRetryAfter('Thursday, 01-Jan-26 00:01:00 GMT', now), 60_000); // the older forms of RFC 9110 §5.6.7
  t.is(parseRetryAfter('Thu Jan  1 00:01:00 2026', now), 60_000);
  t.is(parseRetryAfter('Thu Jan 15 00:00:00 2026', now), 14 * DAY);
  t.is(parseRetryAfter('Friday, 01-Jan-76 00:00:00 GMT', now), Date.UTC(2076, 0, 1) - now);
  t.is(parseRetryAfter('Saturday, 01-Jan-77 00:00:00 GMT', now), 0); // not more than 50 years ahead
  t.is(parseRetryAfter('Sat, 31 Dec 2016 23:59:60 GMT', Date.UTC(2016, 11, 31)), DAY);
  t.is(parseRetryAfter('\t 0120 \t', now), 120_000);
  for (const digits of [10, 20, 400]) {
    const waitMs = parseRetryAfter('9'.repeat(digits), now) ?? 0;
    t.true(waitMs > 300 * 365 * DAY && Number.isFinite(waitMs), `${digits}`);
  }
  for (const value of [
    undefined,
    '',
    '-1',
    '1.5',
    '1e3',
    'soon',
    '2026-01-02',
    '+1',
    '0x1',
    'Thu, 01 Jan 2026 24:00:00 GMT',
    'Thu, 30 Feb 2026 00:00:00 GMT',
    'Thu, 01 Jan 2026 00:01:00 UTC',
    'Thu Jan 1 00:01:00 2026',
    'Someday, 01-Jan-26 00:01:00 GMT',
    'Xxx, 99 Xxx 2026 00:00:00 GMT',
  ]) {
    t.is(parseRetryAfter(value, now), undefined, value);
  }
});
