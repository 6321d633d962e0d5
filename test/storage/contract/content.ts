import { randomBytes } from 'node:crypto';
import {
  asCopy,
  asWaiting,
  type ContractTest,
  CREATED_AT,
  createTraced,
  createUntraced,
  EXPIRES_AT,
  HOUR,
  MAX_READS,
  MINUTE,
  NO_REFUND,
  newCopy,
  newSecret,
  plain,
  receiptOf,
  reserve,
  sweepAll,
} from './world.ts';

/** What goes in comes out. */
export function contentContract(test: ContractTest): void {
  test('gives back equal bytes, one of them and more than 8 MiB', async (t, { store }) => {
    for (const bytes of [1, 255, 65_536, 8 * 1024 * 1024 + 150]) {
      const secret = await createUntraced(store, { bytes });
      t.true(isEqual(plain(await store.find(secret.id, CREATED_AT)), asWaiting(secret)), `${bytes}`);
      const copy = newCopy(CREATED_AT + MINUTE, bytes);
      t.true(await store.claim(secret.id, CREATED_AT, { copy, ...NO_REFUND }));
      t.true(isEqual(plain(await store.find(secret.id, CREATED_AT)), asCopy(secret, copy)), `${bytes}`);
    }
  });

  test('keeps instants to the millisecond', async (t, { store }) => {
    const times = { createdAt: CREATED_AT + 1, expiresAt: EXPIRES_AT + 999 };
    const secret = { ...newSecret(times), ...times, receiptHash: randomBytes(32) };
    await store.create(secret);
    t.like(await store.find(secret.id, CREATED_AT + 1), times);
    await store.claim(secret.id, CREATED_AT + 2, NO_REFUND);
    t.like(await receiptOf(store, secret, CREATED_AT + 3), { ...times, endedAt: CREATED_AT + 2 });
  });

  test('a second secret under the same id is refused, alone, and changes nothing', async (t, { store }) => {
    const [first, second, third] = [newSecret(), newSecret(), newSecret()];
    await store.create(first);
    const again = { ...newSecret(), id: first.id };
    const outcomes = await Promise.allSettled([second, again, third].map((secret) => store.create(secret)));
    t.deepEqual(
      outcomes.map(({ status }) => status),
      ['fulfilled', 'rejected', 'fulfilled'],
    );
    for (const secret of [first, second, third]) {
      t.deepEqual(plain(await store.find(secret.id, CREATED_AT)), asWaiting(secret));
    }
  });

  test('knows nothing of an unknown id', async (t, { store }) => {
    await createTraced(store);
    const { id } = newSecret();
    const receiptHash = randomBytes(32);
    t.is(await store.find(id, CREATED_AT), undefined);
    t.is(await store.reserveTry(id, CREATED_AT), undefined);
    t.is(await store.refundTry(id), undefined);
    t.false(await store.claim(id, CREATED_AT, NO_REFUND));
    t.false(await store.claim(id, CREATED_AT, { copy: newCopy(), ...NO_REFUND }));
    t.false(await store.reread(id, CREATED_AT, { claimTag: randomBytes(32), maxReads: MAX_READS, ...NO_REFUND }));
    t.is(await store.findReceipt(id, receiptHash, CREATED_AT), undefined);
    t.is(await store.burn(id, receiptHash, CREATED_AT, 0), undefined);
  });

  test('a receipt is shown, and burns, only by its own hash', async (t, { store }) => {
    const other = await createTraced(store);
    for (const { id } of [await createTraced(store), await createUntraced(store)]) {
      t.is(await store.findReceipt(id, other.receiptHash, CREATED_AT), undefined);
      t.is(await store.burn(id, other.receiptHash, CREATED_AT, 0), undefined);
      t.is((await store.find(id, CREATED_AT))?.state, 'waiting');
    }
  });

  test('a receipt tells how and when it ended, wrong tries and reads', async (t, { store }) => {
    const start = { createdAt: CREATED_AT, expiresAt: EXPIRES_AT, endedAt: undefined, wrongTries: 0, reads: 0 };
    const secret = await createTraced(store);
    t.deepEqual(await receiptOf(store, secret, CREATED_AT), { ...start, state: 'waiting' });
    await reserve(store, secret, CREATED_AT, 3);
    t.deepEqual(await receiptOf(store, secret, CREATED_AT), { ...start, state: 'waiting', wrongTries: 3 });

    const readAt = CREATED_AT + MINUTE;
    const copy = newCopy(readAt + MINUTE);
    await store.claim(secret.id, readAt, { copy, refundTry: true });
    const read = { ...start, state: 'read', endedAt: readAt } as const;
    t.deepEqual(await receiptOf(store, secret, readAt), { ...read, wrongTries: 2, reads: 1 });
    await reserve(store, secret, readAt, 2);
    await store.reread(secret.id, readAt + 1, { ...copy, maxReads: MAX_READS, refundTry: true });
    t.deepEqual(await receiptOf(store, secret, readAt + 1), { ...read, wrongTries: 3, reads: 2 });
    await sweepAll(store, EXPIRES_AT);
    t.deepEqual(await receiptOf(store, secret, EXPIRES_AT), { ...read, wrongTries: 3, reads: 2 });

    const burned = await createTraced(store);
    await store.burn(burned.id, burned.receiptHash, CREATED_AT + HOUR, 0);
    const burnedAt = { endedAt: CREATED_AT + HOUR };
    t.deepEqual(await receiptOf(store, burned, EXPIRES_AT), { ...start, state: 'burned', ...burnedAt });

    const expired = await createTraced(store);
    await reserve(store, expired, CREATED_AT, 1);
    const gone = { ...start, state: 'expired', endedAt: EXPIRES_AT, wrongTries: 1 } as const;
    t.deepEqual(await receiptOf(store, expired, EXPIRES_AT), gone);
    await sweepAll(store, EXPIRES_AT + 1000);
    t.deepEqual(await receiptOf(store, expired, EXPIRES_AT + 1000), gone);
  });
}

/** As `t.deepEqual`, without 16 MiB of difference in the report. */
function isEqual(actual: object | undefined, expected: object | undefined): boolean {
  return JSON.stringify(actual) === JSON.stringify(expected);
}
