import { type NewSecret, RECEIPT_MS } from '../../../src/secrets/store.ts';
import {
  COPY_UNTIL,
  type ContractTest,
  CREATED_AT,
  claimCopy,
  createTraced,
  createUntraced,
  EXPIRES_AT,
  HOUR,
  hasLeft,
  MINUTE,
  NO_REFUND,
  newCopy,
  sweepAll,
  type Traced,
  times,
  type World,
} from './world.ts';

/** The first second in which everything that expires at `EXPIRES_AT` can be swept. */
const SWEPT_AT = EXPIRES_AT + 1000;

/** What is stored in each state: nothing but the receipt's record once the secret has ended. */
export function sweepContract(test: ContractTest): void {
  type End = (world: World, secret: Traced) => Promise<unknown>;
  const ends: readonly [title: string, end: End][] = [
    ['reading', ({ store }, { id }) => store.claim(id, CREATED_AT, NO_REFUND)],
    ['reading with a copy', ({ store }, { id }) => store.claim(id, CREATED_AT, { copy: newCopy(), ...NO_REFUND })],
    ['expiry and sweep', ({ store }) => sweepAll(store, SWEPT_AT)],
    ['burning', ({ store }, { id, receiptHash }) => store.burn(id, receiptHash, CREATED_AT, 0)],
  ];
  for (const [title, end] of ends) {
    test(`the bytes of a secret are gone from the record after ${title}`, async (t, world) => {
      const kinds = title === 'burning' ? [createTraced] : [createTraced, createUntraced];
      for (const create of kinds) {
        const secret: NewSecret = await create(world.store);
        t.true(hasLeft(await world.raw(), secret.envelope), 'there before, so that the test can see it');
        await end(world, secret as Traced);
        const records = await world.raw();
        t.false(hasLeft(records, secret.envelope));
        t.is(hasLeft(records, secret.id), create === createTraced || title === 'reading with a copy');
      }
    });
  }

  test('the bytes of a copy are gone from the record after its window', async (t, { store, raw }) => {
    for (const create of [createTraced, createUntraced]) {
      const secret = await create(store);
      const copy = await claimCopy(store, secret);
      await sweepAll(store, COPY_UNTIL - 1);
      t.true(hasLeft(await raw(), copy.envelope));
      await sweepAll(store, COPY_UNTIL);
      const records = await raw();
      t.false(hasLeft(records, copy.envelope));
      t.false(hasLeft(records, copy.claimTag));
      t.is(hasLeft(records, secret.id), create === createTraced);
    }
  });

  test('the bytes of a copy are gone from the record after burning', async (t, { store, raw }) => {
    const secret = await createTraced(store);
    const copy = await claimCopy(store, secret);
    t.is(await store.burn(secret.id, secret.receiptHash, CREATED_AT, 0), 'not-waiting');
    t.false(hasLeft(await raw(), copy.envelope));
    t.false(hasLeft(await raw(), copy.claimTag));
  });

  test('a receipt is stored until exactly seven days after the end, then nothing is', async (t, { store, raw }) => {
    const last = EXPIRES_AT - 1;
    const [read, copied, burned] = [await createTraced(store), await createTraced(store), await createTraced(store)];
    await createTraced(store); // expires
    await store.claim(read.id, last, NO_REFUND);
    await claimCopy(store, copied, last, last + MINUTE);
    await store.burn(burned.id, burned.receiptHash, last, 0);
    for (const [now, count] of [
      [SWEPT_AT, 4],
      [last + RECEIPT_MS - 1, 4],
      [last + RECEIPT_MS, 1],
      [EXPIRES_AT + RECEIPT_MS, 0],
    ] as const) {
      await sweepAll(store, now);
      t.is((await raw()).length, count);
    }
  });

  test('what is swept only after those seven days goes whole', async (t, { store, raw }) => {
    await createTraced(store);
    await claimCopy(store, await createTraced(store));
    await sweepAll(store, EXPIRES_AT + RECEIPT_MS);
    t.is((await raw()).length, 0);
  });

  test('a sweep takes steps of its limit, fewer only when nothing is left', async (t, { store, raw }) => {
    const waiting = await times(3, () => createUntraced(store, { expiresAt: EXPIRES_AT + HOUR }));
    for (const create of [createTraced, createUntraced]) {
      await times(5, () => create(store));
      await times(3, async () => claimCopy(store, await create(store)));
    }
    const steps: number[] = [];
    do steps.push((await store.sweep(SWEPT_AT, 6, 0)).wiped);
    while (steps.at(-1) === 6 && steps.length < 10);
    t.deepEqual(steps, [6, 6, 4]);
    t.deepEqual(await store.sweep(SWEPT_AT, 6, 0), { wiped: 0, expired: 0 });
    t.is((await raw()).length, 3 + 5 + 3);
    for (const { id } of waiting) t.is((await store.find(id, SWEPT_AT))?.state, 'waiting');
  });

  test('sweeps that run together leave nothing to do, and touch nothing else', async (t, { store, raw }) => {
    const waiting = await createUntraced(store, { expiresAt: EXPIRES_AT + HOUR });
    await times(20, () => createTraced(store));
    await times(20, () => createUntraced(store));
    await times(4, () => sweepAll(store, SWEPT_AT, 7));
    t.is((await store.sweep(SWEPT_AT, 7, 0)).wiped, 0);
    t.is((await raw()).length, 20 + 1);
    t.is((await store.find(waiting.id, SWEPT_AT))?.state, 'waiting');
  });
  test('a sweep tells how many secrets expired, whatever else it wiped', async (t, { store }) => {
    await times(3, () => createTraced(store));
    await times(2, () => createUntraced(store));
    await times(2, async () => claimCopy(store, await createTraced(store)));
    await times(2, async () => claimCopy(store, await createUntraced(store)));
    const [read, burned] = [await createTraced(store), await createTraced(store)];
    await store.claim(read.id, CREATED_AT, NO_REFUND);
    await store.burn(burned.id, burned.receiptHash, CREATED_AT, 0);
    t.deepEqual(await store.sweep(COPY_UNTIL, 100, 0), { wiped: 4, expired: 0 });
    t.deepEqual(await store.sweep(SWEPT_AT, 100, 0), { wiped: 5, expired: 5 });
    t.is((await store.sweep(EXPIRES_AT + RECEIPT_MS, 100, 0)).expired, 0);
  });

  test('a secret with a receipt expires once, also where it is swept only when both are over', async (t, { store }) => {
    await times(2, () => createTraced(store));
    t.like(await store.sweep(EXPIRES_AT + RECEIPT_MS, 100, 0), { expired: 2 });
    t.like(await store.sweep(EXPIRES_AT + RECEIPT_MS, 100, 0), { expired: 0 });
  });

  test('of sweeps that run together each counts what it ended itself', async (t, { store }) => {
    await times(30, () => createTraced(store));
    await times(30, () => createUntraced(store));
    const swept = await times(6, () => store.sweep(SWEPT_AT, 100, 0));
    t.is(
      swept.reduce((sum, { expired }) => sum + expired, 0),
      60,
    );
  });
}
