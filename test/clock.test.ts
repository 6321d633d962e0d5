import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { PULSE_MS, pulse } from '../src/clock.ts';

/** A wait keeps no process alive. */
const alive = setInterval(() => {}, 1_000);
test.after(() => clearInterval(alive));

test.serial('waits that are due within half a second of each other end together', async (t) => {
  const startedAt = performance.now();
  const ended: [number, number][] = [];
  await Promise.all(
    [1_000, 1_100, 1_400, 1_700].map(async (ms) => {
      await pulse(ms);
      ended.push([ms, Math.round((performance.now() - startedAt) / 100)]);
    }),
  );
  const [first, second, third, fourth] = ended.map(([, tenths]) => tenths) as [number, number, number, number];
  t.true(second - first <= 1 && third - first <= 1, JSON.stringify(ended));
  t.true(fourth >= 12, JSON.stringify(ended));
});

test.serial('no wait is shorter by more than half a step, and a later wait can end first', async (t) => {
  const startedAt = performance.now();
  const stopping = new AbortController();
  const longest = pulse(60_000, stopping.signal);
  const long = pulse(2_000);
  await pulse(600);
  const short = performance.now() - startedAt;
  await long;
  t.is(await Promise.race([longest, 'waits']), 'waits');
  stopping.abort();
  t.true(short >= 599 - PULSE_MS / 2 && performance.now() - startedAt >= 1_999 - PULSE_MS / 2);
});

test.serial('a signal ends a wait early, and one that was given before at once', async (t) => {
  const stopping = new AbortController();
  const waiting = pulse(60_000, stopping.signal);
  t.is(await Promise.race([waiting, sleep(20, 'waits')]), 'waits');
  stopping.abort();
  await waiting;
  await pulse(60_000, stopping.signal);
  t.pass();
});
