import { randomBytes } from 'node:crypto';
import type { ExecutionContext } from 'ava';
import { type NewSecret, RECEIPT_MS, type SecretStore } from '../../../src/secrets/store.ts';
import type { EventStore, EventType, TakenEvent } from '../../../src/webhooks/store.ts';
import {
  type ContractTest,
  CREATED_AT,
  countOf,
  createTraced,
  createUntraced,
  EXPIRES_AT,
  HOUR,
  hasLeft,
  LEASE,
  MAX_READS,
  MINUTE,
  NO_REFUND,
  newCopy,
  newNotify,
  receiptOf,
  sweepAll,
  type Traced,
  take,
  times,
} from './world.ts';

/** The first second in which everything that expires at `EXPIRES_AT` can be swept. */
const SWEPT_AT = EXPIRES_AT + 1000;
const ENDED_AT = CREATED_AT + HOUR;
const NEVER = Number.POSITIVE_INFINITY;

type Kind = { title: string; create: typeof createUntraced; hasCopy: boolean };
/** What else may need the record that an event may share. */
const KINDS: readonly Kind[] = [
  { title: 'without a receipt', create: createUntraced, hasCopy: false },
  { title: 'with a receipt', create: createTraced, hasCopy: false },
  { title: 'without a receipt, with a copy', create: createUntraced, hasCopy: true },
  { title: 'with a receipt and a copy', create: createTraced, hasCopy: true },
];

/** The events of secrets: each is written by the step that ends its secret, and delivered by who holds it. */
export function eventContract(test: ContractTest): void {
  for (const kind of KINDS) readContract(test, kind);
  endContract(test);
  raceContract(test);
  takeContract(test);
}

function readContract(test: ContractTest, { title, create, hasCopy }: Kind): void {
  const copyUntil = ENDED_AT + MINUTE;
  const newCopyIf = () => (hasCopy ? newCopy(copyUntil) : undefined);

  test(`a read ${title} leaves one event, and nothing of it once it is finished`, async (t, { store, events, raw }) => {
    const notify = newNotify();
    const secret = await create(store, { notify });
    const found = await store.find(secret.id, CREATED_AT);
    t.deepEqual(hexOf(found?.state === 'waiting' ? found.notify : undefined), hexOf(notify));
    t.false(await events.hasDue(NEVER));
    t.true(await store.claim(secret.id, ENDED_AT, { copy: newCopyIf(), ...NO_REFUND }));
    t.false(hasLeft(await raw(), secret.envelope));
    t.deepEqual(await events.countWaiting(), { events: 1, oldestAt: ENDED_AT });
    await isDueAt(t, events, ENDED_AT);
    const taken = await take(events, ENDED_AT);
    t.deepEqual(taken.map(hexOf), [hexOf(eventOf(secret, 'read', ENDED_AT, ENDED_AT + LEASE))]);
    await events.finish([secret.id]);
    t.deepEqual(await events.countWaiting(), { events: 0, oldestAt: undefined });
    for (const bytes of [notify.sealed, notify.destination]) t.false(hasLeft(await raw(), bytes));
    t.is(hasLeft(await raw(), secret.id), secret.receiptHash !== undefined || hasCopy);
    await sweepAll(store, copyUntil - 1);
    t.is((await store.find(secret.id, ENDED_AT))?.state, hasCopy ? 'copy' : undefined);
    await sweepAll(store, copyUntil);
    t.is((await raw()).length, secret.receiptHash ? 1 : 0);
    t.is(
      secret.receiptHash && (await receiptOf(store, secret as Traced, copyUntil))?.state,
      secret.receiptHash && 'read',
    );
  });

  test(`the event of a read ${title} is there whatever else goes`, async (t, { store, events, raw }) => {
    const notify = newNotify();
    const secret = await create(store, { notify });
    const copy = newCopyIf();
    await store.claim(secret.id, ENDED_AT, { copy, ...NO_REFUND });
    if (copy) {
      const reread = { ...copy, maxReads: MAX_READS, ...NO_REFUND };
      t.is(countOf(await times(8, () => store.reread(secret.id, ENDED_AT, reread)), true), MAX_READS - 1);
      t.false(hasLeft(await raw(), copy.envelope));
    }
    if (secret.receiptHash) await store.burn(secret.id, secret.receiptHash, ENDED_AT, 0);
    await sweepAll(store, copyUntil);
    await sweepAll(store, SWEPT_AT);
    await sweepAll(store, ENDED_AT + RECEIPT_MS - 1);
    t.deepEqual((await take(events, SWEPT_AT)).map(hexOf), [
      hexOf(eventOf(secret, 'read', ENDED_AT, SWEPT_AT + LEASE)),
    ]);
    await sweepAll(store, ENDED_AT + RECEIPT_MS);
    t.is((await raw()).length, 0);
    t.false(await events.hasDue(NEVER));
  });

  test(`the copy of a read ${title} goes in its time while the event waits`, async (t, { store, events, raw }) => {
    const secret = await create(store, { notify: newNotify() });
    const copy = newCopyIf();
    await store.claim(secret.id, ENDED_AT, { copy, ...NO_REFUND });
    await sweepAll(store, copyUntil);
    t.is(await store.find(secret.id, ENDED_AT), undefined);
    if (copy) t.false(hasLeft(await raw(), copy.envelope));
    t.is((await take(events, copyUntil)).length, 1);
    await events.finish([secret.id]);
    await sweepAll(store, copyUntil);
    t.is((await raw()).length, secret.receiptHash ? 1 : 0);
  });
}

function endContract(test: ContractTest): void {
  test('without anybody to be told there is no event', async (t, { store, events }) => {
    const [read, burned] = [await createUntraced(store), await createTraced(store)];
    await createUntraced(store);
    await createTraced(store);
    await store.claim(read.id, ENDED_AT, { ...NO_REFUND, eventDueAt: ENDED_AT });
    await store.burn(burned.id, burned.receiptHash, ENDED_AT, 0);
    await sweepAll(store, SWEPT_AT);
    t.deepEqual(await events.countWaiting(), { events: 0, oldestAt: undefined });
  });

  test('who claims can hold the event from the start', async (t, { store, events }) => {
    const secret = await createUntraced(store, { notify: newNotify() });
    await store.claim(secret.id, ENDED_AT, { ...NO_REFUND, eventDueAt: ENDED_AT + LEASE });
    t.deepEqual(await take(events, ENDED_AT + LEASE - 1), []);
    await isDueAt(t, events, ENDED_AT + LEASE);
    t.is((await take(events, ENDED_AT + LEASE)).length, 1);
  });

  test('when something is due is told rightly, whichever of a destination comes, moves or goes', async (t, {
    store,
    events,
  }) => {
    const [first, held] = [
      await createUntraced(store, { notify: newNotify() }),
      await createUntraced(store, { notify: newNotify() }),
    ];
    await store.claim(first.id, ENDED_AT, NO_REFUND);
    await store.claim(held.id, ENDED_AT, { ...NO_REFUND, eventDueAt: ENDED_AT + LEASE });
    await isDueAt(t, events, ENDED_AT);
    const [taken] = (await take(events, ENDED_AT)) as [TakenEvent];
    t.is(hexOf(taken.id), hexOf(first.id));
    await isDueAt(t, events, ENDED_AT + LEASE);
    t.true(await events.postpone(taken, { dueAt: ENDED_AT, attempts: 0 }));
    await isDueAt(t, events, ENDED_AT);
    await events.finish([first.id]);
    await isDueAt(t, events, ENDED_AT + LEASE);
  });

  test('burning writes its event, once, and one that is due at once', async (t, { store, events, raw }) => {
    const secret = await createTraced(store, { notify: newNotify() });
    t.is(await store.burn(secret.id, secret.receiptHash, ENDED_AT, 0), 'burned');
    t.false(hasLeft(await raw(), secret.envelope));
    t.is(await store.burn(secret.id, secret.receiptHash, ENDED_AT, 0), 'not-waiting');
    const expected = eventOf(secret, 'burned', ENDED_AT, ENDED_AT + LEASE);
    t.deepEqual((await take(events, ENDED_AT)).map(hexOf), [hexOf(expected)]);
    await events.finish([secret.id]);
    t.like(await receiptOf(store, secret, ENDED_AT), { state: 'burned' });
    await sweepAll(store, SWEPT_AT);
    t.false(await events.hasDue(NEVER));
  });

  test('what may have been read already is burned without event, and nothing of it is left', async (t, world) => {
    const { store, events, raw } = world;
    for (const notify of [newNotify(), undefined]) {
      const secret = await createTraced(store, notify && { notify });
      t.is(await store.burn(secret.id, secret.receiptHash, ENDED_AT, CREATED_AT), undefined);
      t.is((await raw()).length, 0);
      t.is(await receiptOf(store, secret, ENDED_AT), undefined);
    }
    t.false(await events.hasDue(NEVER));
    const later = await createTraced(store, { notify: newNotify() });
    t.is(await store.burn(later.id, randomBytes(32), ENDED_AT, CREATED_AT), undefined, 'by another key');
    t.is(await store.burn(later.id, later.receiptHash, ENDED_AT, CREATED_AT - 1), 'burned');
    t.is(await store.burn(later.id, later.receiptHash, ENDED_AT, CREATED_AT), 'not-waiting');
    t.deepEqual(await events.countWaiting(), { events: 1, oldestAt: ENDED_AT });
  });

  for (const create of [createTraced, createUntraced]) {
    test(`what expires has its event with the sweep: ${create.name}`, async (t, { store, events, raw }) => {
      const secret = await create(store, { notify: newNotify() });
      // Neither who is late nor who burns what is over takes the event away.
      t.false(await store.claim(secret.id, EXPIRES_AT, NO_REFUND));
      if (secret.receiptHash) t.is(await store.burn(secret.id, secret.receiptHash, EXPIRES_AT, 0), 'not-waiting');
      t.false(await events.hasDue(NEVER));
      t.like(await store.sweep(SWEPT_AT, 100, 0), { wiped: 1, expired: 1 });
      t.deepEqual(await store.sweep(SWEPT_AT, 100, 0), { wiped: 0, expired: 0 });
      t.false(hasLeft(await raw(), secret.envelope));
      const expected = eventOf(secret, 'expired', EXPIRES_AT, SWEPT_AT + LEASE);
      t.deepEqual((await take(events, SWEPT_AT)).map(hexOf), [hexOf(expected)]);
      await events.finish([secret.id]);
      t.is((await raw()).length, secret.receiptHash ? 1 : 0);
      if (secret.receiptHash) t.like(await receiptOf(store, secret as Traced, SWEPT_AT), { state: 'expired' });
    });

    test(`what may have been read already expires without event: ${create.name}`, async (t, { store, events, raw }) => {
      const secret = await create(store, { notify: newNotify() });
      t.is((await store.sweep(SWEPT_AT, 100, CREATED_AT)).expired, 1);
      await store.sweep(SWEPT_AT, 100, CREATED_AT);
      t.false(await events.hasDue(NEVER));
      t.false(hasLeft(await raw(), (secret.notify as NonNullable<NewSecret['notify']>).sealed));
      t.is((await raw()).length, secret.receiptHash ? 1 : 0);
      await create(store, { notify: newNotify() });
      await store.sweep(SWEPT_AT, 100, CREATED_AT - 1);
      t.is((await events.countWaiting()).events, 1);
    });

    test(`what nobody swept for seven days goes without event: ${create.name}`, async (t, { store, events, raw }) => {
      await create(store, { notify: newNotify() });
      t.is((await store.sweep(EXPIRES_AT + RECEIPT_MS, 1, 0)).expired, 1);
      t.false(await events.hasDue(NEVER));
      await sweepAll(store, EXPIRES_AT + RECEIPT_MS);
      t.false(await events.hasDue(NEVER));
      t.is((await raw()).length, 0);
    });
  }

  test('events are there again after closing', async (t, { store, open, close }) => {
    const [secret] = (await endSome(store, 1)) as [NewSecret];
    await close();
    const { events } = await open();
    const expected = eventOf(secret, 'read', ENDED_AT, ENDED_AT + LEASE);
    t.deepEqual((await take(events, ENDED_AT)).map(hexOf), [hexOf(expected)]);
  });
}

function raceContract(test: ContractTest): void {
  test('of 64 readers at once one event is left', async (t, { store, events }) => {
    for (const { create, hasCopy } of KINDS) {
      const secret = await create(store, { notify: newNotify() });
      const claim = () =>
        store.claim(secret.id, ENDED_AT, { copy: hasCopy ? newCopy(ENDED_AT + MINUTE) : undefined, ...NO_REFUND });
      t.is(countOf(await times(64, claim), true), 1);
      await sweepAll(store, SWEPT_AT);
      await hasOneEvent(t, events, 'read');
    }
  });

  test('claim, burn or expiry: the event is of who ended the secret', async (t, { store, events }) => {
    const last = EXPIRES_AT - 1;
    const seen = new Set<string>();
    for (let round = 0; round < 24; round++) {
      const secret = await createTraced(store, { notify: newNotify() });
      const copy = round % 2 ? newCopy(last + MINUTE) : undefined;
      const claim = () => times(3, () => store.claim(secret.id, last, { copy, ...NO_REFUND }));
      const burn = () => times(3, () => store.burn(secret.id, secret.receiptHash, last, 0));
      const sweep = () => times(3, () => sweepAll(store, SWEPT_AT));
      const steps = [claim, burn, sweep];
      await Promise.all([0, 1, 2].map((index) => steps[(index + round) % 3]?.()));
      await sweepAll(store, SWEPT_AT);
      const receipt = await receiptOf(store, secret, SWEPT_AT);
      seen.add(receipt?.state ?? '');
      await hasOneEvent(t, events, receipt?.state as EventType);
    }
    t.true(seen.size > 1, 'one engine or the other is always faster with one of them');
  });
}

function takeContract(test: ContractTest): void {
  test('who holds an event can postpone it, until its lease is over', async (t, { store, events }) => {
    await endSome(store, 1);
    const [held] = (await take(events, ENDED_AT)) as [TakenEvent];
    t.deepEqual(await take(events, held.dueAt - 1), []);
    t.true(await events.postpone(held, { dueAt: ENDED_AT + HOUR, attempts: 1 }));
    await isDueAt(t, events, ENDED_AT + HOUR);
    t.deepEqual(await take(events, ENDED_AT + HOUR - 1), []);
    const [again] = (await take(events, ENDED_AT + HOUR)) as [TakenEvent];
    t.deepEqual(hexOf(again), hexOf({ ...held, attempts: 1, dueAt: ENDED_AT + HOUR + LEASE }));
    t.false(await events.postpone(held, { dueAt: CREATED_AT, attempts: 2 }), 'of another lease');
    await isDueAt(t, events, again.dueAt);
    t.true(await events.postpone(again, { dueAt: ENDED_AT, attempts: 1 }), 'what was not begun is given back');
    t.is((await take(events, ENDED_AT + HOUR)).length, 1);
  });

  test('what was delivered is finished also by who holds it no more, and once', async (t, { store, events }) => {
    const [secret, other] = (await endSome(store, 2)) as [NewSecret, NewSecret];
    const [held] = (await take(events, ENDED_AT, { limit: 1 })) as [TakenEvent];
    await take(events, ENDED_AT + HOUR);
    await times(3, () => events.finish([held.id]));
    t.false(await events.postpone(held, { dueAt: ENDED_AT, attempts: 1 }));
    t.is((await events.countWaiting()).events, 1);
    await events.finish([secret.id, other.id]);
    await events.finish([]);
    t.is((await events.countWaiting()).events, 0);
  });

  test('a finish touches no secret that waits', async (t, { store, events }) => {
    const secrets = [await createUntraced(store, { notify: newNotify() }), await createTraced(store)];
    await events.finish(secrets.map(({ id }) => id));
    for (const { id } of secrets) t.is((await store.find(id, CREATED_AT))?.state, 'waiting');
    t.true(await store.claim((secrets[0] as NewSecret).id, ENDED_AT, NO_REFUND));
    t.is((await events.countWaiting()).events, 1);
  });

  test('no more are taken than asked for, and none twice', async (t, { store, events }) => {
    for (let n = 4; n >= 0; n--) await endSome(store, 2, 0, ENDED_AT + n);
    const taken: TakenEvent[] = [];
    for (const limit of [1, 3, 2, 4, 1]) {
      const some = await take(events, SWEPT_AT, { limit, perDestination: 4 });
      t.is(some.length, Math.min(limit, 10 - taken.length));
      taken.push(...some);
    }
    t.is(new Set(taken.map(({ id }) => hexOf(id))).size, 10);
  });

  test('of each destination as many as asked for, of those left out none', async (t, { store, events }) => {
    await endSome(store, 40, 0);
    for (let destination = 1; destination <= 5; destination++) await endSome(store, 2, destination, ENDED_AT + 1);
    const by = (taken: readonly TakenEvent[]) =>
      Array.from({ length: 6 }, (_, n) => taken.filter(({ notify }) => notify.destination.at(-1) === n).length);
    const without = [newNotify(0).destination, newNotify(3).destination];
    t.deepEqual(by(await take(events, SWEPT_AT, { perDestination: 1, without })), [0, 1, 1, 0, 1, 1]);
    t.deepEqual(by(await take(events, SWEPT_AT, { perDestination: 3 })), [3, 1, 1, 2, 1, 1]);
    t.deepEqual(by(await take(events, SWEPT_AT, { without: without.slice(1) })), [37, 0, 0, 0, 0, 0]);
    t.deepEqual(await take(events, SWEPT_AT), []);
  });

  test('however many destinations are left out, the others are found', async (t, { store, events }) => {
    for (let destination = 0; destination < 6; destination++) await endSome(store, 2, destination);
    await endSome(store, 1, 6, ENDED_AT + 1);
    const without = Array.from({ length: 6 }, (_, destination) => newNotify(destination).destination);
    t.is((await take(events, SWEPT_AT, { limit: 1, without })).length, 1);
    t.deepEqual(await take(events, SWEPT_AT, { limit: 1, without }), []);
    t.is((await take(events, SWEPT_AT)).length, 12);
  });

  test('a destination with very many waiting hides no other', async (t, { store, events }) => {
    for (let n = 0; n < 5; n++) await endSome(store, 200, n);
    for (let n = 10; n < 20; n++) await endSome(store, 1, n, ENDED_AT + 1);
    const seen = new Set<unknown>();
    for (let round = 0; round < 3; round++) {
      const taken = await take(events, SWEPT_AT, { limit: 60, perDestination: 4 });
      for (const { notify } of taken) seen.add(hexOf(notify.destination));
    }
    t.is(seen.size, 15);
  });
}

async function isDueAt(t: ExecutionContext, events: EventStore, dueAt: number): Promise<void> {
  t.deepEqual([await events.hasDue(dueAt - 1), await events.hasDue(dueAt)], [false, true]);
}

async function hasOneEvent(t: ExecutionContext, events: EventStore, type: EventType): Promise<void> {
  const taken = await take(events, SWEPT_AT);
  t.deepEqual(
    taken.map((event) => event.type),
    [type],
  );
  await events.finish(taken.map(({ id }) => id));
}

/** Reads so many secrets, with a receipt and without. */
async function endSome(store: SecretStore, count: number, destination = 0, now = ENDED_AT): Promise<NewSecret[]> {
  return times(count, async (index) => {
    const secret = await (index % 2 ? createTraced : createUntraced)(store, { notify: newNotify(destination) });
    if (!(await store.claim(secret.id, now, NO_REFUND))) throw new Error('could not claim');
    return secret;
  });
}

function eventOf({ id, notify }: NewSecret, type: EventType, occurredAt: number, dueAt: number): object {
  return { id, type, occurredAt, attempts: 0, dueAt, notify };
}

/** With bytes as hex, for their class is the engine's choice. */
function hexOf(value: object | undefined): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  if (typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, hexOf(member)]));
}
