import { randomBytes } from 'node:crypto';
import type { ExecutionContext } from 'ava';
import type { StoreLimits } from '../../src/limits/limits.ts';
import type { SecretStore } from '../../src/secrets/store.ts';
import { KEPT_MS, type NewClaims, type SinkStore } from '../../src/sink/store.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { storedBytes } from '../../src/storage/usage.ts';
import { until } from '../support/process/program.ts';
import type { Engine } from '../support/storage/storage.ts';
import { openInProcess } from './contract/store-process.ts';
import { CREATED_AT, countOf, creator, times } from './contract/world.ts';

type SinkWorld = {
  sink: SinkStore;
  secrets: SecretStore;
  url: string;
  open(limits?: Partial<StoreLimits>): Promise<Storage>;
  close(): Promise<void>;
};

const NOW = CREATED_AT;
const PROCESSES = 3;

function newClaims({ receivedAt = NOW, text = randomBytes(8).toString('hex'), id = randomBytes(32) } = {}): NewClaims {
  return { id, receivedAt, claims: JSON.stringify({ text }) };
}

/** Every engine passes this suite: what `SinkStore` promises. */
export function sinkStoreContract(engine: Engine): void {
  const test = (
    title: string,
    run: (t: ExecutionContext, world: SinkWorld) => Promise<void>,
    limits?: Partial<StoreLimits>,
  ): void => {
    engine.test(`${engine.name}: the sink: ${title}`, async (t) => {
      const { url, open } = await engine.place(t);
      const { sink, secrets, close } = await open(limits);
      await run(t, { sink, secrets, url, open, close });
    });
  };

  test('claims come back as they were given, the newest first, also when it is opened again', async (t, world) => {
    t.deepEqual(await world.sink.listClaims(NOW, 100), []);
    const texts = ['first', 'ключ 🔑 \u0000 "\\', 'third'];
    const all = texts.map((text, index) => newClaims({ text, receivedAt: NOW + index / 1024 }));
    for (const claims of all) t.is(await world.sink.keepClaims(claims), 'kept');
    const expected = all.map(({ claims }) => claims).reverse();
    t.deepEqual(await world.sink.listClaims(NOW + 1, 100), expected);
    t.deepEqual(await world.sink.listClaims(NOW + 1, 2), expected.slice(0, 2));
    await world.close();
    t.deepEqual(await (await world.open()).sink.listClaims(NOW + 1, 100), expected);
  });

  test('the order is that of the instants, then of the ids, whoever kept them', async (t, { sink, open }) => {
    const other = (await open()).sink;
    const all = [2, 0, 1, 1].map((after, n) => newClaims({ receivedAt: NOW + after, id: Buffer.alloc(32, 9 - n) }));
    for (const [n, claims] of all.entries()) await (n % 2 ? other : sink).keepClaims(claims);
    const [first, last, second, third] = all.map(({ claims }) => claims) as [string, string, string, string];
    const expected = [first, second, third, last];
    for (const store of [sink, other]) t.deepEqual(await store.listClaims(NOW, 100), expected);
  });

  test('of an id that is there nothing more is kept', async (t, { sink }) => {
    const claims = newClaims();
    t.is(await sink.keepClaims(claims), 'kept');
    t.is(await sink.keepClaims({ ...newClaims({ receivedAt: NOW + 1 }), id: claims.id }), 'replayed');
    t.deepEqual(await sink.listClaims(NOW + 1, 100), [claims.claims]);
  });

  test('of 50 at once one is kept', async (t, { sink }) => {
    for (let round = 0; round < 5; round++) {
      const id = randomBytes(32);
      const outcomes = await times(50, () => sink.keepClaims(newClaims({ id })));
      t.deepEqual([countOf(outcomes, 'kept'), countOf(outcomes, 'replayed')], [1, 49]);
    }
    t.is((await sink.listClaims(NOW, 100)).length, 5);
  });

  test('of those in several processes at once one is kept', async (t, { sink, url }) => {
    const processes = await times(PROCESSES, () => openInProcess(t, url));
    for (let round = 0; round < 10; round++) {
      const ids = Array.from({ length: 5 }, () => randomBytes(32));
      const outcomes = processes.map((process) => Promise.all(ids.map((id) => process.keepClaims(newClaims({ id })))));
      const all = (await Promise.all(outcomes)).flat();
      t.deepEqual([countOf(all, 'kept'), countOf(all, 'replayed')], [ids.length, ids.length * (PROCESSES - 1)]);
    }
    t.is((await sink.listClaims(NOW, 1000)).length, 50);
  });

  test('kill -9 of who keeps them loses none that was acknowledged', async (t, { sink, url }) => {
    const writer = await openInProcess(t, url);
    const acknowledged: string[] = [];
    const lanes = times(8, async () => {
      for (;;) {
        const claims = newClaims();
        await writer.keepClaims(claims);
        if (acknowledged.push(claims.claims) === 60) await writer.kill();
      }
    });
    await t.throwsAsync(lanes, { message: 'the process ended' });
    const there = new Set(await sink.listClaims(NOW, 1000));
    t.true(acknowledged.length >= 60);
    t.deepEqual(
      acknowledged.filter((claims) => !there.has(claims)),
      [],
    );
  });

  test('after seven days they are not listed, then swept, and their ids are free again', async (t, { sink }) => {
    const [early, late] = [newClaims(), newClaims({ receivedAt: NOW + 1 })];
    for (const claims of [early, late]) await sink.keepClaims(claims);
    t.deepEqual(await sink.listClaims(NOW + KEPT_MS - 1, 100), [late.claims, early.claims]);
    t.is(await sink.sweepClaims(NOW + KEPT_MS - 1, 100), 0);
    t.deepEqual(await sink.listClaims(NOW + KEPT_MS, 100), [late.claims]);
    t.is(await sink.keepClaims(early), 'replayed');
    t.is(await sink.sweepClaims(NOW + KEPT_MS, 100), 1);
    t.is(await sink.keepClaims({ ...early, receivedAt: NOW + KEPT_MS }), 'kept');
    t.is(await sink.keepClaims(late), 'replayed');
  });

  test('a sweep takes so many and no more', async (t, { sink }) => {
    await times(25, () => sink.keepClaims(newClaims()));
    const swept: number[] = [];
    for (let round = 0; round < 4; round++) swept.push(await sink.sweepClaims(NOW + KEPT_MS, 10));
    t.deepEqual(swept, [10, 10, 5, 0]);
  });

  test(
    'claims count towards everything stored, as secrets do, until they are swept',
    async (t, { sink, secrets }) => {
      const isFull = async () => (await secrets.admit(creator().client, NOW))?.reason === 'full'; // stores nothing
      const text = 'x'.repeat(200);
      const kept: NewClaims[] = [];
      for (let outcome = 'kept'; outcome === 'kept' && kept.length < 1000; ) {
        const claims = newClaims({ text });
        outcome = await sink.keepClaims(claims);
        if (outcome === 'kept') kept.push(claims);
        else t.is(outcome, 'full');
      }
      t.true(kept.length >= 20 && kept.length < 1000, `${kept.length}`);
      await until('no room for a secret', isFull);
      t.is(await sink.keepClaims(kept[0] as NewClaims), 'replayed', 'also where there is no room');
      while ((await sink.sweepClaims(NOW + KEPT_MS, 10)) > 0);
      await until('room', async () => !(await isFull()));
      await until('room for claims', async () => (await sink.keepClaims(newClaims({ text }))) === 'kept');
    },
    { maxBytes: 40 * storedBytes(200) },
  );
}

/** Every verb, ready to be called. */
export function sinkVerbsOn(sink: SinkStore): Record<keyof SinkStore, () => Promise<unknown>> {
  return {
    keepClaims: () => sink.keepClaims(newClaims()),
    listClaims: () => sink.listClaims(NOW, 100),
    sweepClaims: () => sink.sweepClaims(NOW, 100),
  };
}
