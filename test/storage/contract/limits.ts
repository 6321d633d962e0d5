import { randomBytes } from 'node:crypto';
import type { ExecutionContext } from 'ava';
import type { Refusal, StoreLimits } from '../../../src/limits/limits.ts';
import type { NewSecret, SecretStore } from '../../../src/secrets/store.ts';
import { storedBytes } from '../../../src/storage/usage.ts';
import { until } from '../../support/process/program.ts';
import { openInProcess } from './store-process.ts';
import {
  CLIENT,
  type ContractTest,
  CREATED_AT,
  countOf,
  EXPIRES_AT,
  HOUR,
  MAX_READS,
  MINUTE,
  NO_REFUND,
  newCopy,
  newSecret,
  sweepAll,
  type Traced,
  times,
  type World,
} from './world.ts';

const OTHER = Buffer.alloc(16, 'o');
const RATE_ALONE = { clientMaxSecrets: 1e9 };
const ONE = storedBytes(64);

type Wish = { client?: Uint8Array; now?: number; bytes?: number; expiresAt?: number; isAdmitted?: boolean };

function ofClient({ client = CLIENT, now = CREATED_AT, isAdmitted = false, ...wish }: Wish = {}): Traced {
  return { ...newSecret(wish), creator: { client, now, isAdmitted }, receiptHash: randomBytes(32) };
}

/** @returns why it was refused, or "stored". */
async function outcomeOf(asking: Promise<Refusal | undefined>): Promise<string> {
  return (await asking)?.reason ?? 'stored';
}

function create(store: SecretStore, wish?: Wish): Promise<string> {
  return outcomeOf(store.create(ofClient(wish)));
}

/** One by one, until there is no room for another, as the engine sees it: it may look a moment late. */
async function fill(store: SecretStore, wish?: Wish): Promise<Traced[]> {
  const secrets: Traced[] = [];
  while (secrets.length < 10_000) {
    const secret = ofClient(wish);
    if (await store.create(secret)) break;
    secrets.push(secret);
  }
  return secrets;
}

/** As a reader does, who has seen it. */
async function read(store: SecretStore, { id }: NewSecret, copy?: ReturnType<typeof newCopy>): Promise<void> {
  const found = await store.find(id, CREATED_AT);
  if (found?.state !== 'waiting') throw new Error('nothing is waiting');
  if (!(await store.claim(id, CREATED_AT, { share: found.share, copy, ...NO_REFUND }))) throw new Error('not claimed');
}

/** What a client may create in a minute, the places and bytes it may have, and how much there may be in all. */
export function limitContract(test: ContractTest): void {
  const testWith = (
    limits: Partial<StoreLimits>,
    title: string,
    run: (t: ExecutionContext, store: SecretStore, world: World) => Promise<void>,
  ): void =>
    test(title, async (t, world) => {
      const { secrets } = await world.open(limits);
      await run(t, secrets, world);
    });

  testWith(
    { clientCreatesPerMinute: 10 },
    'a minute has so many creations, at once or one by one',
    async (t, store) => {
      const intervalMs = 6_000;
      t.deepEqual(await times(10, () => create(store)), Array(10).fill('stored'));
      t.deepEqual(await store.create(ofClient()), { reason: 'rate', retryAfterMs: intervalMs / 2 });
      t.is(await create(store, { client: OTHER }), 'stored');
      t.is(await create(store, { now: CREATED_AT + intervalMs / 2 - 1 }), 'rate');
      t.is(await create(store, { now: CREATED_AT + intervalMs / 2 }), 'stored');
      t.deepEqual(await store.create(ofClient({ now: CREATED_AT + intervalMs })), {
        reason: 'rate',
        retryAfterMs: intervalMs / 2,
      });
      const later = CREATED_AT + HOUR;
      const outcomes = await times(30, () => create(store, { now: later }));
      t.is(countOf(outcomes, 'stored'), 10, 'no more than a minute is saved up');
    },
  );

  testWith({ clientCreatesPerMinute: 10 }, 'a clock that is set back refuses for no longer', async (t, store) => {
    const [intervalMs, earlier] = [6_000, CREATED_AT - 10 * HOUR];
    await times(10, () => create(store));
    t.deepEqual(await store.create(ofClient({ now: earlier })), { reason: 'rate', retryAfterMs: intervalMs });
    t.deepEqual(await store.admit(CLIENT, earlier + 1_000), { reason: 'rate', retryAfterMs: intervalMs - 1_000 });
    t.is(await create(store, { now: earlier + intervalMs }), 'stored');
    t.is(await create(store, { now: earlier + intervalMs }), 'rate');
  });

  for (const perMinute of [1, 7, 1000]) {
    testWith(
      { clientCreatesPerMinute: perMinute },
      `no rounding: ${perMinute} a minute are as many`,
      async (t, store) => {
        for (let left = perMinute; left > 0; left -= Math.min(left, 50)) {
          const outcomes = await times(Math.min(left, 50), () => outcomeOf(store.admit(CLIENT, CREATED_AT)));
          t.is(countOf(outcomes, 'stored'), outcomes.length);
        }
        t.is(await outcomeOf(store.admit(CLIENT, CREATED_AT)), 'rate');
        t.is(await create(store), 'rate');
      },
    );
  }

  testWith(
    { clientCreatesPerMinute: 3 },
    'what is refused takes nothing, what was admitted nothing more',
    async (t, store) => {
      t.is(await outcomeOf(store.admit(CLIENT, CREATED_AT)), 'stored');
      t.is(await create(store), 'stored');
      t.is(await create(store), 'stored');
      for (let tries = 0; tries < 5; tries++) t.is(await outcomeOf(store.admit(CLIENT, CREATED_AT)), 'rate');
      t.is(await create(store, { isAdmitted: true }), 'stored');
      t.is(await create(store, { now: CREATED_AT + 10_000 }), 'stored');
    },
  );

  testWith(
    { clientCreatesPerMinute: 3, clientMaxSecrets: 1 },
    'a full quota takes nothing from the rate',
    async (t, store) => {
      for (let left = 3; left > 0; left--) {
        const secret = ofClient();
        t.is(await store.create(secret), undefined);
        if (left > 1) {
          t.is(await create(store), 'quota');
          t.is(await outcomeOf(store.admit(CLIENT, CREATED_AT)), 'quota');
        }
        await read(store, secret);
      }
      t.is(await create(store), 'rate');
    },
  );

  testWith(
    { clientMaxSecrets: 5 },
    'a client has so many places; whatever ends a secret frees its own',
    async (t, store) => {
      const secrets = Array.from({ length: 5 }, (_, n) => ({
        ...ofClient(),
        ...(n === 3 && { receiptHash: undefined }),
      }));
      for (const secret of secrets) t.is(await store.create(secret), undefined);
      const [first, second, third, untraced, fifth] = secrets as [Traced, Traced, Traced, NewSecret, Traced];
      const isOneFree = async (what: string): Promise<void> => {
        t.is(await create(store), 'stored', what);
        t.is(await create(store), 'quota', what);
        t.is(await outcomeOf(store.admit(CLIENT, CREATED_AT)), 'quota', what);
      };
      t.is(await create(store), 'quota');
      t.true(((await store.create(ofClient()))?.retryAfterMs ?? 0) > 0);
      t.is(await create(store, { client: OTHER }), 'stored');

      await read(store, first);
      await isOneFree('after reading');
      await read(store, untraced);
      await isOneFree('after reading one without a receipt');
      await read(store, second, newCopy());
      await isOneFree('after reading with a copy');
      t.is(await store.burn(third.id, third.receiptHash, CREATED_AT, 0), 'burned');
      await isOneFree('after burning');
      t.is(await store.burn(fifth.id, fifth.receiptHash, CREATED_AT, CREATED_AT), undefined);
      await isOneFree('after burning one that may have been read');
      for (const { id } of [first, second]) t.false(await store.claim(id, CREATED_AT, NO_REFUND));
      t.is(await store.burn(third.id, third.receiptHash, CREATED_AT, 0), 'not-waiting');
      t.is(await create(store), 'quota', 'nothing is freed twice');

      await sweepAll(store, EXPIRES_AT + 1000);
      const outcomes = await times(7, () => create(store, { now: EXPIRES_AT + 1000, expiresAt: EXPIRES_AT + HOUR }));
      t.is(countOf(outcomes, 'stored'), 5, 'after expiry and sweep');
    },
  );

  testWith({ clientMaxBytes: 3 * storedBytes(5000) }, 'a client has so many bytes', async (t, store) => {
    const large = Array.from({ length: 3 }, () => ofClient({ bytes: 5000 }));
    for (const secret of large) t.is(await store.create(secret), undefined);
    t.is(await create(store), 'quota');
    await read(store, large[0] as Traced);
    t.is(await create(store, { bytes: 5000 }), 'stored');
    t.is(await create(store), 'quota');
  });

  testWith(
    { maxBytes: 40 * ONE },
    'a full store refuses creating alone, until something has ended',
    async (t, store) => {
      const secrets = await fill(store);
      t.true(secrets.length >= 20);
      // A server that estimates its size may find room once more, so this does not end at the first refusal.
      await until('no room for anybody', async () => {
        await fill(store, { bytes: 1 });
        const outcomes = [
          await create(store, { client: OTHER }),
          await outcomeOf(store.create(newSecret())),
          await outcomeOf(store.admit(CLIENT, CREATED_AT)),
        ];
        return countOf(outcomes, 'full') === outcomes.length;
      });

      const [first, second, third, fourth] = secrets as [Traced, Traced, Traced, Traced];
      t.true((await store.reserveTry(first.id, CREATED_AT))?.granted);
      t.is((await store.findReceipt(first.id, first.receiptHash, CREATED_AT))?.state, 'waiting');
      const copy = newCopy();
      await read(store, first, copy);
      for (let reads = 1; reads < MAX_READS; reads++) {
        t.true(
          await store.reread(first.id, CREATED_AT, { claimTag: copy.claimTag, maxReads: MAX_READS, ...NO_REFUND }),
        );
      }
      for (const secret of [second, third]) await read(store, secret);
      t.is(await store.burn(fourth.id, fourth.receiptHash, CREATED_AT, 0), 'burned');
      await sweepAll(store, EXPIRES_AT + 8 * 24 * HOUR);
      await until('room', async () => (await create(store)) === 'stored');
    },
  );

  for (const [what, limits, reason] of [
    ['creations a minute', { clientCreatesPerMinute: 40, ...RATE_ALONE }, 'rate'],
    ['places', { clientMaxSecrets: 40 }, 'quota'],
    ['bytes', { clientMaxBytes: 40 * ONE }, 'quota'],
  ] as const) {
    test(`between processes a client has as many ${what} as in one`, async (t, { url }) => {
      const processes = await times(3, () => openInProcess(t, url, [], limits));
      for (let round = 0; round < 3; round++) {
        const client = randomBytes(16); // nobody knows it yet: who is first has to make it known
        const outcomes = await Promise.all(processes.map((process) => times(40, () => create(process, { client }))));
        t.is(countOf(outcomes.flat(), 'stored'), 40);
        t.is(countOf(outcomes.flat(), reason), 80);
      }
    });
  }

  testWith(
    {},
    'what a client is known by is there as long as it is needed, and no longer',
    async (t, store, { raw }) => {
      const isKnown = async (): Promise<boolean> =>
        (await raw()).some((record) => record.includes(Buffer.from(CLIENT)));
      const secret = ofClient();
      await store.create(secret);
      t.true(await isKnown());
      await read(store, secret);
      await sweepAll(store, EXPIRES_AT + 8 * 24 * HOUR);
      await until('the last trace', async () => !(await isKnown()));
    },
  );

  test('places that were taken by who was killed are there again, and no more', async (t, { url, open }) => {
    const limits = { clientMaxSecrets: 20 };
    const { secrets: store } = await open(limits);
    for (let kill = 0; kill < 3; kill++) {
      const client = randomBytes(16);
      const asked: Traced[] = [];
      const doomed = await openInProcess(t, url, [], limits);
      let killed: Promise<void> | undefined;
      const lanes = times(10, async () => {
        for (;;) {
          const secret = ofClient({ client });
          asked.push(secret);
          await doomed.create(secret);
          if (asked.length > 12) killed ??= doomed.kill();
        }
      });
      await lanes.catch(() => {});
      await killed;
      // What was under way is over by then. An engine may need a while of no creations to be sure of that.
      for (let more = 0; more < 40; more++) {
        const secret = ofClient({ client, now: CREATED_AT + (more < 20 ? MINUTE : 2 * MINUTE) });
        asked.push(secret);
        await store.create(secret);
      }
      const found = await Promise.all(asked.map(({ id }) => store.find(id, CREATED_AT + MINUTE)));
      t.is(found.filter(Boolean).length, 20);
    }
  });
}
