import { randomBytes } from 'node:crypto';
import type { ExecutionContext } from 'ava';
import type { Limit, Taken } from '../../src/limits/limits.ts';
import type { LimitStore } from '../../src/limits/store.ts';
import type { Storage } from '../../src/storage/storage.ts';
import type { Engine } from '../support/storage/storage.ts';
import { openInProcess } from './contract/store-process.ts';
import { HOUR, CREATED_AT as NOW, sweepAll, times } from './contract/world.ts';

type LimitWorld = { limits: LimitStore; url: string; open(): Promise<Storage>; close(): Promise<void> };

const LIMIT: Limit = { burst: 10, intervalMs: 60_000, toleranceMs: 0 };
const PROCESSES = 3;

const granted = (left: number): Taken => ({ granted: true, left });
const refused = (retryAfterMs: number): Taken => ({ granted: false, retryAfterMs });
const countGranted = (outcomes: readonly Taken[]): number => outcomes.filter((taken) => taken.granted).length;

/** Every engine passes this suite: what `LimitStore` promises. */
export function limitStoreContract(engine: Engine): void {
  const test = (title: string, run: (t: ExecutionContext, world: LimitWorld) => Promise<void>): void => {
    engine.test(`${engine.name}: limits: ${title}`, async (t) => {
      const { url, open } = await engine.place(t);
      const { limits, close } = await open();
      await run(t, { limits, url, open, close });
    });
  };

  async function takeAll(limits: LimitStore, key: Uint8Array, now = NOW): Promise<void> {
    for (let left = LIMIT.burst - 1; left >= 0; left--) await limits.take(key, LIMIT, now);
  }

  test('a burst is granted, then one each interval at its exact instant', async (t, { limits }) => {
    const key = randomBytes(32);
    for (let left = LIMIT.burst - 1; left >= 0; left--) t.deepEqual(await limits.take(key, LIMIT, NOW), granted(left));
    t.deepEqual(await limits.take(key, LIMIT, NOW), refused(60_000));
    t.deepEqual(await limits.take(key, LIMIT, NOW + 59_999), refused(1));
    t.deepEqual(await limits.take(key, LIMIT, NOW + 60_000), granted(0));
    t.deepEqual(await limits.take(key, LIMIT, NOW + 60_000), refused(60_000));
    t.deepEqual(await limits.take(key, LIMIT, NOW + 1e9), granted(9), 'no more than a burst is saved up');
  });

  test('keys of any length have limits of their own', async (t, { limits }) => {
    const keys = [Buffer.alloc(1), Buffer.alloc(2), Buffer.alloc(64, 255), Buffer.from('ключ')];
    for (const key of keys) await takeAll(limits, key);
    for (const key of keys) t.false((await limits.take(key, LIMIT, NOW)).granted);
    t.deepEqual(await limits.take(Buffer.alloc(3), LIMIT, NOW), granted(9));
  });

  test('a fraction of a millisecond counts', async (t, { limits }) => {
    const [key, limit] = [randomBytes(16), { burst: 7, intervalMs: 60_000 / 7, toleranceMs: 1 }];
    for (let left = 7; left > 0; left--) t.true((await limits.take(key, limit, NOW)).granted);
    t.false((await limits.take(key, limit, NOW + 8_570)).granted);
    t.true((await limits.take(key, limit, NOW + 8_571)).granted);
  });

  test('one that is given back can be taken again, and no other', async (t, { limits }) => {
    const key = randomBytes(16);
    await limits.giveBack(key, LIMIT);
    await takeAll(limits, key);
    t.false((await limits.take(key, LIMIT, NOW)).granted);
    await limits.giveBack(key, LIMIT);
    t.deepEqual(await limits.take(key, LIMIT, NOW), granted(0));
    t.false((await limits.take(key, LIMIT, NOW)).granted);
  });

  test('of 50 at once as many are granted as the limit has', async (t, { limits }) => {
    for (let round = 0; round < 3; round++) {
      const key = randomBytes(16);
      t.is(countGranted(await times(50, () => limits.take(key, LIMIT, NOW))), LIMIT.burst);
    }
  });

  test('several processes share a limit, also the first time that it is used', async (t, { limits, url }) => {
    const processes = await times(PROCESSES, () => openInProcess(t, url));
    for (let round = 0; round < 5; round++) {
      const key = randomBytes(16);
      const outcomes = await Promise.all(
        [limits, ...processes].map((store) => times(10, () => store.take(key, LIMIT, NOW))),
      );
      t.is(countGranted(outcomes.flat()), LIMIT.burst);
    }
  });

  test('what was taken stays taken when the store is opened again, also after a kill', async (t, {
    limits,
    ...world
  }) => {
    const [key, other] = [randomBytes(16), randomBytes(16)];
    await takeAll(limits, key);
    await world.close();
    const doomed = await openInProcess(t, world.url);
    await takeAll(doomed, other);
    await doomed.kill();
    const { limits: again } = await world.open();
    for (const one of [key, other]) t.deepEqual(await again.take(one, LIMIT, NOW), refused(60_000));
  });

  test('a clock that is set back is told to wait one interval, and no more is granted', async (t, { limits }) => {
    const [key, earlier] = [randomBytes(16), NOW - 10 * HOUR];
    await takeAll(limits, key);
    t.deepEqual(await limits.take(key, LIMIT, earlier), refused(60_000));
    t.deepEqual(await limits.take(key, LIMIT, earlier + 59_999), refused(1));
    t.deepEqual(await limits.take(key, LIMIT, earlier + 60_000), granted(0));
    t.deepEqual(await limits.take(key, LIMIT, earlier + 60_000), refused(60_000));
  });

  test('a sweep changes no limit', async (t, { limits, open }) => {
    const { secrets } = await open();
    const key = randomBytes(16);
    await takeAll(limits, key);
    for (const [afterMs, left] of [
      [60_000 - 1, undefined],
      [120_000, 1],
      [1e9, 9],
    ] as const) {
      await sweepAll(secrets, NOW + afterMs);
      t.deepEqual(await limits.take(key, LIMIT, NOW + afterMs), left === undefined ? refused(1) : granted(left));
    }
  });
}
