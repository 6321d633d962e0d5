import test from 'ava';
import { createRate, type Limit, NO_LIMITS, type Taken, take } from '../../src/limits/limits.ts';

const LIMIT: Limit = { burst: 3, intervalMs: 100, toleranceMs: 0 };
const NOW = Date.UTC(2066, 0, 1);

const granted = (left: number): Taken => ({ granted: true, left });
const refused = (retryAfterMs: number): Taken => ({ granted: false, retryAfterMs });

/** Takes at each of these instants, relative to `NOW`. */
function takeAt(limit: Limit, ...instants: number[]): Taken[] {
  let fullAt = 0;
  return instants.map((instant) => {
    const next = take(fullAt, limit, NOW + instant);
    fullAt = next.fullAt;
    return next.taken;
  });
}

test('a burst is granted at once, then one more each interval, at its exact instant', (t) => {
  t.deepEqual(takeAt(LIMIT, 0, 0, 0, 0), [granted(2), granted(1), granted(0), refused(100)]);
  t.deepEqual(takeAt(LIMIT, 0, 0, 0, 99, 100, 100).slice(3), [refused(1), granted(0), refused(100)]);
  t.deepEqual(takeAt(LIMIT, 0, 0, 0, 250, 250, 250).slice(3), [granted(1), granted(0), refused(50)]);
});

test('no more than a burst is saved up', (t) => {
  t.deepEqual(takeAt(LIMIT, 0, 1e9, 1e9, 1e9, 1e9).slice(1), [granted(2), granted(1), granted(0), refused(100)]);
});

test('one is granted as much too early as the tolerance allows, and the wait is the honest one', (t) => {
  const tolerant = { ...LIMIT, toleranceMs: 20 };
  t.deepEqual(takeAt(tolerant, 0, 0, 0, 79, 80, 80).slice(3), [refused(21), granted(0), refused(120)]);
});

test('a clock that is set back finds the longest debt that the limit can make, and pays it off', (t) => {
  t.deepEqual(takeAt(LIMIT, 0, 0, 0, -1e9, 99 - 1e9, 100 - 1e9, 100 - 1e9).slice(3), [
    refused(100),
    refused(1),
    granted(0),
    refused(100),
  ]);
});

test('clocks that differ by up to 30 s grant no more together than the fastest of them', (t) => {
  const instants = Array.from({ length: 2_000 }, (_, n) => n - (n % 3) * 15_000);
  const outcomes = takeAt(LIMIT, ...instants);
  t.true(outcomes.filter((taken) => taken.granted).length <= LIMIT.burst + 2_000 / LIMIT.intervalMs);
});

test('a rate of creations is exact for any number a minute', (t) => {
  for (const perMinute of [1, 7, 60, 999, 10_000]) {
    const rate = createRate({ ...NO_LIMITS, clientCreatesPerMinute: perMinute });
    const outcomes = takeAt(rate, ...Array(perMinute + 1).fill(0)).map((taken) => taken.granted);
    t.is(outcomes.indexOf(false), perMinute);
  }
});

test('without a rate everything is granted, also while a clock goes back', (t) => {
  const outcomes = takeAt(createRate(NO_LIMITS), 0, 0, 0, -1, -1e9, 1e9, 0);
  t.true(outcomes.every((taken) => taken.granted));
});
