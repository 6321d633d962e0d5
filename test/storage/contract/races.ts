import {
  asCopy,
  type ContractTest,
  CREATED_AT,
  claimCopy,
  countOf,
  createTraced,
  createUntraced,
  EXPIRES_AT,
  hasLeft,
  MAX_READS,
  MINUTE,
  NO_REFUND,
  newCopy,
  plain,
  receiptOf,
  sweepAll,
  times,
} from './world.ts';

const ROUNDS = 10;

/** Within one process. */
export function raceContract(test: ContractTest): void {
  for (const create of [createTraced, createUntraced]) {
    for (const hasCopy of [true, false]) {
      test(`of 50 claims at once one wins: ${create.name}, with copies: ${hasCopy}`, async (t, { store }) => {
        for (let round = 0; round < ROUNDS; round++) {
          const secret = await create(store);
          const copies = Array.from({ length: 50 }, () => (hasCopy ? newCopy() : undefined));
          const wins = await times(50, (index) =>
            store.claim(secret.id, CREATED_AT, { copy: copies[index], ...NO_REFUND }),
          );
          t.is(countOf(wins, true), 1);
          const winners = copies[wins.indexOf(true)];
          t.deepEqual(plain(await store.find(secret.id, CREATED_AT)), winners && asCopy(secret, winners));
        }
      });
    }

    test(`of 50 rereads at once four are served, then the copy is gone: ${create.name}`, async (t, { store, raw }) => {
      const secret = await create(store);
      const copy = await claimCopy(store, secret);
      const rereads = { ...copy, maxReads: MAX_READS, ...NO_REFUND };
      const [foreign, own] = await Promise.all([
        times(50, () => store.reread(secret.id, CREATED_AT, { ...rereads, claimTag: newCopy().claimTag })),
        times(50, () => store.reread(secret.id, CREATED_AT, rereads)),
      ]);
      t.deepEqual([countOf(foreign, true), countOf(own, true)], [0, MAX_READS - 1]);
      t.is(await store.find(secret.id, CREATED_AT), undefined);
      const records = await raw();
      t.false(hasLeft(records, copy.envelope));
      t.false(hasLeft(records, copy.claimTag));
      t.is(records.length, secret.receiptHash ? 1 : 0);
    });
  }

  test('claim, burn or expiry: one of them ends a secret, and the receipt says which', async (t, { store }) => {
    const last = EXPIRES_AT - 1;
    for (let round = 0; round < 2 * ROUNDS; round++) {
      const secret = await createTraced(store);
      const copy = round % 2 ? newCopy(last + MINUTE) : undefined;
      const [claims, burns, late] = await Promise.all([
        times(20, () => store.claim(secret.id, last, { copy, ...NO_REFUND })),
        times(20, () => store.burn(secret.id, secret.receiptHash, last, 0)),
        times(20, () => store.claim(secret.id, EXPIRES_AT, NO_REFUND)),
        round % 4 < 2 && sweepAll(store, EXPIRES_AT + 1000),
      ]);
      const receipt = await receiptOf(store, secret, EXPIRES_AT + 1000);
      t.is(countOf(claims, true), receipt?.state === 'read' ? 1 : 0);
      t.is(countOf(burns, 'burned'), receipt?.state === 'burned' ? 1 : 0);
      t.true(receipt !== undefined && receipt.state !== 'waiting');
      t.is(countOf(late, true), 0);
    }
  });
}
