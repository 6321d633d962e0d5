import type { NewSecret, SecretStore } from '../../../src/secrets/store.ts';
import type { EventType, TakenEvent } from '../../../src/webhooks/store.ts';
import {
  type ContractTest,
  CREATED_AT,
  createTraced,
  createUntraced,
  HOUR,
  hasLeft,
  LEASE,
  MINUTE,
  NO_REFUND,
  newCopy,
  newNotify,
  sweepAll,
  take,
  times,
} from './world.ts';

const ENDED_AT = CREATED_AT + HOUR;

type Kind = { title: string; create: typeof createUntraced; copy?: true };
/** What else may need the record that the event may share. */
const KINDS: readonly Kind[] = [
  { title: 'without a receipt', create: createUntraced },
  { title: 'with a receipt', create: createTraced },
  { title: 'without a receipt, with a copy', create: createUntraced, copy: true },
  { title: 'with a receipt and a copy', create: createTraced, copy: true },
];

/** The events of secrets: each is written by the step that ends its secret, and delivered by who holds it. */
export function eventContract(test: ContractTest): void {
  lifeContract(test);
  takeContract(test);
}

function lifeContract(test: ContractTest): void {
  for (const { title, create, copy } of KINDS) {
    test(`a read ${title} leaves one event, and nothing of it once it is finished`, async (t, {
      store,
      events,
      raw,
    }) => {
      const notify = newNotify();
      const secret = await create(store, { notify });
      const found = await store.find(secret.id, CREATED_AT);
      t.deepEqual(hexOf(found?.state === 'waiting' ? found.notify : undefined), hexOf(notify));
      t.is(await events.nextDueAt(), undefined);
      const copied = copy && newCopy(ENDED_AT + MINUTE);
      t.true(await store.claim(secret.id, ENDED_AT, { copy: copied, ...NO_REFUND }));
      t.deepEqual(await events.countWaiting(), { events: 1, oldestAt: ENDED_AT });
      t.is(await events.nextDueAt(), ENDED_AT);
      const taken = await take(events, ENDED_AT);
      t.deepEqual(taken.map(hexOf), [hexOf(eventOf(secret, 'read', ENDED_AT, ENDED_AT + LEASE))]);
      await events.finish([secret.id]);
      t.deepEqual(await events.countWaiting(), { events: 0, oldestAt: undefined });
      t.false(hasLeft(await raw(), notify.sealed));
      t.false(hasLeft(await raw(), notify.destination));
      t.is(hasLeft(await raw(), secret.id), secret.receiptHash !== undefined || copy === true);
      await sweepAll(store, ENDED_AT + MINUTE);
      t.is((await raw()).length, secret.receiptHash ? 1 : 0);
    });
  }
}

function takeContract(test: ContractTest): void {
  test('who holds an event can postpone it, until its lease is over', async (t, { store, events }) => {
    await endSome(store, 1);
    const [held] = (await take(events, ENDED_AT)) as [TakenEvent];
    t.deepEqual(await take(events, held.dueAt - 1), []);
    t.true(await events.postpone(held, { dueAt: ENDED_AT + HOUR, attempts: 1 }));
    t.is(await events.nextDueAt(), ENDED_AT + HOUR);
    t.deepEqual(await take(events, ENDED_AT + HOUR - 1), []);
    const [again] = (await take(events, ENDED_AT + HOUR)) as [TakenEvent];
    t.deepEqual(hexOf(again), hexOf({ ...held, attempts: 1, dueAt: ENDED_AT + HOUR + LEASE }));
    t.false(await events.postpone(held, { dueAt: CREATED_AT, attempts: 2 }), 'of another lease');
    t.is(await events.nextDueAt(), again.dueAt);
  });
}

/** Reads so many secrets, in order. */
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
