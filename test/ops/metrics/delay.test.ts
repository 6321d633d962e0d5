import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { createDelayReader } from '../../../src/ops/metrics/measure.ts';

function block(ms: number): void {
  for (const until = performance.now() + ms; performance.now() < until; );
}

test.serial('a block of an idle loop is seen, and one of a busy loop too', async (t) => {
  const read = createDelayReader();
  await sleep(50);
  read();
  await sleep(20);
  block(120); // not measured yet: all the time in which the loop was active is the bound
  await sleep(20);
  t.true(read() >= 110);
  await sleep(30); // measured from now on
  block(150);
  await sleep(30);
  t.true(read() >= 120);
});

test.serial('of a loop that does nothing no long delay is told', async (t) => {
  const read = createDelayReader();
  await sleep(300);
  const told: number[] = [];
  // Again where the system kept this thread from its core for long: that is a delay too.
  while (told.length < 3 && !told.some((ms) => ms <= 500)) {
    read();
    await sleep(1_000);
    told.push(read());
  }
  t.true(Math.min(...told) <= 500, told.join());
});
