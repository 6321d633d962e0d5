import { randomBytes } from 'node:crypto';
import type { Engine } from '../support/storage/storage.ts';
import { authTest, NOW } from './contract/accounts.ts';
import { openInProcess } from './contract/store-process.ts';
import { countOf, MINUTE, times } from './contract/world.ts';

const PROCESSES = 3;
const UNTIL = NOW + MINUTE;

/** Every engine passes this suite: what `SightingStore` promises. */
export function sightingStoreContract(engine: Engine): void {
  const test = authTest(engine, 'sightings');

  test('what one saw first nobody else may see, until exactly its time is over', async (t, { sightings }) => {
    const [id, one, other] = [randomBytes(32), randomBytes(16), randomBytes(32)];
    t.true(await sightings.see(id, one, NOW, UNTIL));
    t.true(await sightings.see(id, one, NOW + 1, UNTIL));
    t.false(await sightings.see(id, other, NOW, UNTIL + 1));
    t.false(await sightings.see(id, other, UNTIL - 1, UNTIL + MINUTE));
    t.true(await sightings.see(randomBytes(32), other, NOW, UNTIL));
    t.true(await sightings.see(id, other, UNTIL, UNTIL + MINUTE));
    t.false(await sightings.see(id, one, UNTIL, UNTIL + MINUTE));
  });

  test('another sighting by the same makes the time longer, never shorter', async (t, { sightings }) => {
    const [id, one] = [randomBytes(32), Buffer.alloc(0)];
    for (const until of [UNTIL, UNTIL + 10, UNTIL + 5]) t.true(await sightings.see(id, one, NOW, until));
    t.true(await sightings.has(id, UNTIL + 9));
    t.false(await sightings.has(id, UNTIL + 10));
  });

  test('what is renewed is remembered for longer, never shorter, to the millisecond', async (t, world) => {
    const id = randomBytes(32);
    t.false(await world.sightings.has(id, NOW));
    for (const until of [UNTIL, UNTIL + 10, UNTIL + 5]) await world.sightings.renew(id, until);
    await world.close();
    const { sightings } = await world.open();
    t.true(await sightings.has(id, UNTIL + 9));
    t.false(await sightings.has(id, UNTIL + 10));
    await sightings.renew(id, UNTIL + MINUTE);
    t.true(await sightings.has(id, UNTIL + MINUTE - 1));
  });

  test('of 50 that see one id at once exactly one is the first', async (t, { sightings, open }) => {
    const other = (await open()).sightings;
    for (let round = 0; round < 10; round++) {
      const [id, ours] = [randomBytes(32), randomBytes(8)];
      const seen = await times(50, (n) => (n % 2 ? sightings : other).see(id, randomBytes(8), NOW, UNTIL));
      t.is(countOf(seen, true), 1);
      t.is(countOf(await times(10, () => sightings.see(id, ours, UNTIL, UNTIL + 1)), true), 10, 'one and the same');
      t.false(await other.see(id, randomBytes(8), UNTIL, UNTIL + 1));
    }
  });

  test('at the instant when its time is over exactly one is the next', async (t, { sightings, rounds }) => {
    for (let round = 0; round < rounds / 10; round++) {
      const id = randomBytes(32);
      await sightings.see(id, randomBytes(8), NOW, UNTIL);
      const seen = await times(8, () => sightings.see(id, randomBytes(8), UNTIL, UNTIL + MINUTE));
      t.is(countOf(seen, true), 1);
    }
  });

  test('of those in several processes at once one is the first, also after a kill', async (t, { sightings, url }) => {
    const processes = await times(PROCESSES, () => openInProcess(t, url));
    const ids = Array.from({ length: 50 }, () => randomBytes(32));
    const seen = await Promise.all(
      processes.map((process) => Promise.all(ids.map((id) => process.sightings.see(id, randomBytes(8), NOW, UNTIL)))),
    );
    for (const index of ids.keys())
      t.is(
        countOf(
          seen.map((one) => one[index]),
          true,
        ),
        1,
      );
    for (const process of processes) await process.kill();
    for (const id of ids) t.false(await sightings.see(id, randomBytes(8), NOW, UNTIL));
  });

  test('a sweep takes what is over, so many and no more', async (t, { sightings }) => {
    const kept = randomBytes(32);
    await sightings.renew(kept, UNTIL + 1);
    await times(25, () => sightings.see(randomBytes(32), randomBytes(8), NOW, UNTIL));
    t.is(await sightings.sweepSightings(UNTIL - 1, 10), 0);
    const swept: number[] = [];
    for (let round = 0; round < 4; round++) swept.push(await sightings.sweepSightings(UNTIL, 10));
    t.deepEqual(swept, [10, 10, 5, 0]);
    t.true(await sightings.has(kept, UNTIL));
  });
}
