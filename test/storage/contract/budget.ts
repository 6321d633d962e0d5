import { TRY_BURST, TRY_REFILL_MS } from '../../../src/secrets/budget.ts';
import type { TryReservation } from '../../../src/secrets/store.ts';
import {
  type ContractTest,
  CREATED_AT,
  createTraced,
  createUntraced,
  HOUR,
  newCopy,
  receiptOf,
  reserve,
  times,
} from './world.ts';

const granted = (triesLeft: number): TryReservation => ({ granted: true, triesLeft });
const refused = (retryAfterMs: number): TryReservation => ({ granted: false, retryAfterMs });

/** Ten tries at once, one more an hour, reserved before the phrase is checked. */
export function budgetContract(test: ContractTest): void {
  test('a budget holds ten tries, refills by one an hour, and never beyond ten', async (t, { store }) => {
    const { id } = await createUntraced(store, { expiresAt: CREATED_AT + 1000 * HOUR });
    for (let left = TRY_BURST - 1; left >= 0; left--)
      t.deepEqual(await store.reserveTry(id, CREATED_AT), granted(left));
    for (const [hours, outcome] of [
      [0, refused(TRY_REFILL_MS)],
      [0.25, refused(0.75 * TRY_REFILL_MS)],
      [1, granted(0)],
      [1, refused(TRY_REFILL_MS)],
      [3.5, granted(1)],
      [3.5, granted(0)],
      [3.5, refused(TRY_REFILL_MS / 2)],
      [500, granted(TRY_BURST - 1)],
    ] as const) {
      t.deepEqual(await store.reserveTry(id, CREATED_AT + hours * HOUR), outcome, `after ${hours} hours`);
    }
  });

  test('the next try is there at its exact instant, give or take what clocks differ by', async (t, { store }) => {
    const secret = await createUntraced(store);
    await reserve(store, secret, CREATED_AT, TRY_BURST);
    t.deepEqual(await store.reserveTry(secret.id, CREATED_AT + TRY_REFILL_MS - 501), refused(501));
    t.deepEqual(await store.reserveTry(secret.id, CREATED_AT + TRY_REFILL_MS - 500), granted(0));
    t.deepEqual(await store.reserveTry(secret.id, CREATED_AT + TRY_REFILL_MS - 1), refused(TRY_REFILL_MS + 1));
  });

  test('all ten are granted to calls whose clocks are behind that of the first', async (t, { store }) => {
    const { id } = await createUntraced(store);
    for (let left = TRY_BURST - 1; left >= 0; left--)
      t.deepEqual(await store.reserveTry(id, CREATED_AT + 500 - 50 * (TRY_BURST - left)), granted(left));
    t.false((await store.reserveTry(id, CREATED_AT + 500))?.granted);
  });

  test('after a clock was set back the next try is there within an hour, and no other', async (t, { store }) => {
    const [secret, earlier] = [await createUntraced(store), CREATED_AT - 10 * HOUR];
    await reserve(store, secret, CREATED_AT, TRY_BURST);
    t.deepEqual(await store.reserveTry(secret.id, earlier), refused(TRY_REFILL_MS + 500));
    t.deepEqual(await store.reserveTry(secret.id, earlier + TRY_REFILL_MS - 1), refused(501));
    t.deepEqual(await store.reserveTry(secret.id, earlier + TRY_REFILL_MS), granted(0));
    t.deepEqual(await store.reserveTry(secret.id, earlier + TRY_REFILL_MS), refused(TRY_REFILL_MS + 500));
  });

  test('in seven days no more than 10 + 168 tries are granted', async (t, { store }) => {
    const { id, expiresAt } = await createUntraced(store, { expiresAt: CREATED_AT + 168 * HOUR });
    let count = 0;
    for (let now = CREATED_AT; now < expiresAt; now += HOUR) {
      while ((await store.reserveTry(id, now))?.granted) count++;
    }
    t.is(count, 177); // the 178th comes back at the instant of expiry, give or take what clocks differ by
    t.deepEqual(await store.reserveTry(id, expiresAt - 501), refused(501));
    t.deepEqual(await store.reserveTry(id, expiresAt - 1), granted(0));
    t.false((await store.reserveTry(id, expiresAt - 1))?.granted);
    t.is(await store.reserveTry(id, expiresAt), undefined);
  });

  test('a try given back can be taken again; no more are given back than were taken', async (t, { store }) => {
    const secret = await createTraced(store);
    await store.refundTry(secret.id);
    await reserve(store, secret, CREATED_AT, TRY_BURST);
    t.deepEqual(await store.reserveTry(secret.id, CREATED_AT), refused(TRY_REFILL_MS));
    await store.refundTry(secret.id);
    t.deepEqual(await store.reserveTry(secret.id, CREATED_AT), granted(0));
    t.deepEqual(await store.reserveTry(secret.id, CREATED_AT), refused(TRY_REFILL_MS));
    t.like(await receiptOf(store, secret, CREATED_AT), { wrongTries: TRY_BURST });
  });

  test('of 50 reservations at once exactly ten are granted', async (t, { store }) => {
    const { id } = await createUntraced(store);
    const outcomes = await times(50, () => store.reserveTry(id, CREATED_AT));
    const expected = [...times10(granted), ...Array.from({ length: 40 }, () => refused(TRY_REFILL_MS))];
    t.deepEqual(outcomes.map(asText).sort(), expected.map(asText).sort());
  });

  for (const create of [createTraced, createUntraced]) {
    test(`a copy has the tries its secret had left, also for 50 at once: ${create.name}`, async (t, { store }) => {
      const secret = await create(store);
      await reserve(store, secret, CREATED_AT, 4);
      await store.claim(secret.id, CREATED_AT, { copy: newCopy(), refundTry: true });
      const outcomes = await times(50, () => store.reserveTry(secret.id, CREATED_AT));
      t.is(outcomes.filter((outcome) => outcome?.granted).length, 7);
      await store.refundTry(secret.id);
      t.deepEqual(await store.reserveTry(secret.id, CREATED_AT), granted(0));
    });
  }
}

function times10<T>(make: (index: number) => T): T[] {
  return Array.from({ length: 10 }, (_, index) => make(index));
}

function asText(outcome: TryReservation | undefined): string {
  return JSON.stringify(outcome);
}
