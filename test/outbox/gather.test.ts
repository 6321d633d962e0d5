import test from 'ava';
import { gather } from '../../src/outbox/gather.ts';

test('what comes within the while is done in one step, and what comes later in another', async (t) => {
  const steps: (readonly number[])[] = [];
  const run = gather<number>(5, async (items) => void steps.push([...items]));
  await Promise.all([run(1), run(2), run(3)]);
  await Promise.all([run(4), run(5)]);
  t.deepEqual(steps, [
    [1, 2, 3],
    [4, 5],
  ]);
});

test('what comes while a step is done is in the next one, and nobody waits for another step than their own', async (t) => {
  const first = Promise.withResolvers<void>();
  const steps: (readonly number[])[] = [];
  const run = gather<number>(1, (items) => {
    steps.push([...items]);
    return items.includes(1) ? first.promise : Promise.resolve();
  });
  const waiting = run(1);
  while (steps.length === 0) await new Promise(setImmediate);
  await run(2);
  first.resolve();
  await waiting;
  t.deepEqual(steps, [[1], [2]]);
});

test('a step that fails fails for each of its own, and the next is tried', async (t) => {
  const away = new Error('away');
  let isAway = true;
  const run = gather<number>(1, () => (isAway ? Promise.reject(away) : Promise.resolve()));
  const failures = await Promise.allSettled([run(1), run(2)]);
  t.deepEqual(
    failures.map((one) => one.status === 'rejected' && one.reason),
    [away, away],
  );
  isAway = false;
  await t.notThrowsAsync(run(3));
});
