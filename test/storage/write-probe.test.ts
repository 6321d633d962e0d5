import { setImmediate as turn } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { AppError } from '../../src/errors.ts';
import { createWriteProbe } from '../../src/storage/write-probe.ts';
import { areUnavailable } from './contract/failures.ts';

const PATIENCE_MS = 1_000;

/** Writes that the test ends, and a clock that it moves. */
function openProbe() {
  const writes: PromiseWithResolvers<void>[] = [];
  const world = { now: 0 };
  const write = (): Promise<void> => {
    const one = Promise.withResolvers<void>();
    writes.push(one);
    return one.promise;
  };
  const ask = createWriteProbe(write, () => world.now, PATIENCE_MS);
  const isAsking = async (done: () => void, count = 1): Promise<void> => {
    const asking = Promise.all(Array.from({ length: count }, ask));
    await turn();
    done();
    await asking;
  };
  return { world, writes, ask, isAsking };
}

const refusal = new AppError('STORAGE_UNAVAILABLE', { retryAfterSeconds: 1 });

test('any number of callers share one write a second', async (t) => {
  const { world, writes, ask, isAsking } = openProbe();
  await isAsking(() => writes[0]?.resolve(), 100);
  world.now = 999;
  await ask();
  t.is(writes.length, 1);
  world.now = 1_000;
  await isAsking(() => writes[1]?.resolve(), 100);
  t.is(writes.length, 2);
});

test('a refused write counts for half a second, and the next one decides', async (t) => {
  const { world, writes, ask, isAsking } = openProbe();
  await isAsking(() => writes[0]?.resolve());
  world.now = 1_000;
  await areUnavailable(t, { ask: () => isAsking(() => writes[1]?.reject(refusal)) });
  world.now = 1_499;
  await areUnavailable(t, { ask });
  t.is(writes.length, 2);
  world.now = 1_500;
  await isAsking(() => writes[2]?.resolve());
  await ask();
  t.is(writes.length, 3);
});

test('a write that hangs counts as refused until it is done, and no second one is begun', async (t) => {
  const { world, writes, ask } = openProbe();
  await areUnavailable(t, { ask, too: ask });
  world.now = 10_000;
  await areUnavailable(t, { ask });
  t.is(writes.length, 1);
  writes[0]?.resolve();
  await turn();
  await ask();
});

test('a write that fails when nobody waits any more harms nobody', async (t: ExecutionContext) => {
  const { writes, ask } = openProbe();
  await areUnavailable(t, { ask });
  writes[0]?.reject(refusal);
  await turn();
  await areUnavailable(t, { ask });
  t.is(writes.length, 1);
});
