import { randomBytes } from 'node:crypto';
import { RECEIPT_MS, type SecretStore } from '../../../src/secrets/store.ts';
import { isRequestEvent, requestEventIdOf, secretIdOf } from '../../../src/webhooks/event-ids.ts';
import type { EventStore, EventType, TakenEvent } from '../../../src/webhooks/store.ts';
import {
  ANSWERED_AT,
  answerOrThrow,
  type ContractTest,
  CREATED_AT,
  createRequested,
  EXPIRES_AT,
  HOUR,
  hasLeft,
  LEASE,
  MINUTE,
  NO_REFUND,
  newAnswer,
  newCopy,
  newNotify,
  newRepeat,
  type Requested,
  sweepAll,
  take,
  times,
} from './world.ts';

const SWEPT_AT = EXPIRES_AT + 1000;
const ENDED_AT = CREATED_AT + HOUR;
const NEVER = Number.POSITIVE_INFINITY;

type End = { type: EventType; occurredAt: number; end(store: SecretStore, request: Asked): Promise<unknown> };
type Asked = Requested & { receiptHash: Uint8Array };

/** How the secret of an answered request ends. */
const ENDS: readonly End[] = [
  { type: 'read', occurredAt: ENDED_AT, end: (store, { id }) => store.claim(id, ENDED_AT, NO_REFUND) },
  {
    type: 'read',
    occurredAt: ENDED_AT,
    end: (store, { id }) => store.claim(id, ENDED_AT, { copy: newCopy(ENDED_AT + MINUTE), ...NO_REFUND }),
  },
  {
    type: 'burned',
    occurredAt: ENDED_AT,
    end: (store, { id, receiptHash }) => store.burn(id, receiptHash, ENDED_AT, 0),
  },
  { type: 'expired', occurredAt: EXPIRES_AT, end: (store) => sweepAll(store, SWEPT_AT) },
];

/** A request has an event, and the secret that it becomes another: neither hides the other. */
export function requestEventContract(test: ContractTest): void {
  requestContract(test);
  for (const [number, end] of ENDS.entries()) secretContract(test, number, end);
  heldContract(test);
  refusedContract(test);
}

function requestContract(test: ContractTest): void {
  test('an answer writes its event, due at once, and leaves the secret its own', async (t, { store, events, raw }) => {
    const request = await ask(store);
    t.false(await events.hasDue(NEVER));
    await answer(store, request);
    t.deepEqual(await events.countWaiting(), { events: 1, oldestAt: ANSWERED_AT });
    t.deepEqual([await events.hasDue(ANSWERED_AT - 1), await events.hasDue(ANSWERED_AT)], [false, true]);
    const [event] = (await take(events, ANSWERED_AT)) as [TakenEvent];
    t.deepEqual(shown(event), eventOf(request, 'answered', ANSWERED_AT, ANSWERED_AT + LEASE));
    t.deepEqual([hex(secretIdOf(event)), isRequestEvent(event.type)], [hex(request.id), true]);
    t.true(await events.postpone(event, { dueAt: ENDED_AT, attempts: 1 }));
    t.false(await events.postpone(event, { dueAt: ENDED_AT, attempts: 2 }), 'of another lease');
    t.deepEqual(await take(events, ENDED_AT - 1), []);
    t.is((await take(events, ENDED_AT))[0]?.attempts, 1);
    await events.finish([event.id]);
    t.false(await events.hasDue(NEVER));
    t.deepEqual(await events.countWaiting(), { events: 0, oldestAt: undefined });
    const found = await store.find(request.id, ANSWERED_AT);
    t.is(found?.state === 'waiting' && hex(found.notify?.sealed as Uint8Array), hex(sealedOf(request)));
    await sweepAll(store, SWEPT_AT);
    const [expired] = (await take(events, SWEPT_AT)) as [TakenEvent];
    t.deepEqual(shown(expired), eventOf(request, 'expired', EXPIRES_AT, SWEPT_AT + LEASE));
    await events.finish([expired.id]);
    t.false(hasLeft(await raw(), sealedOf(request)));
  });

  test('a request that expires open has its event with the sweep, once', async (t, { store, events, raw }) => {
    const request = await ask(store);
    await createRequested(store); // nobody hears of it
    t.like(await store.sweep(SWEPT_AT, 100, 0), { wiped: 2, expired: 0 });
    t.deepEqual(await store.sweep(SWEPT_AT, 100, 0), { wiped: 0, expired: 0 });
    t.false(hasLeft(await raw(), request.envelope));
    t.false(hasLeft(await raw(), request.requestHash));
    t.deepEqual(await events.countWaiting(), { events: 1, oldestAt: EXPIRES_AT });
    t.is(await store.find(request.id, EXPIRES_AT - 1), undefined, 'gone for who is late');
    t.false(await store.answer(request.id, request.requestHash, EXPIRES_AT - 1, newAnswer()));
    const [event, ...more] = (await take(events, SWEPT_AT)) as [TakenEvent];
    t.deepEqual(more, []);
    t.deepEqual(shown(event), eventOf(request, 'unanswered', EXPIRES_AT, SWEPT_AT + LEASE));
    await events.finish([event.id]);
    t.is((await raw()).length, 0);
  });

  test('what nobody swept for seven days goes without the event of a request', async (t, { store, events, raw }) => {
    await ask(store);
    await sweepAll(store, EXPIRES_AT + RECEIPT_MS);
    await sweepAll(store, EXPIRES_AT + RECEIPT_MS);
    t.false(await events.hasDue(NEVER));
    t.is((await raw()).length, 0);
  });

  test('the event of a request that nobody delivers goes seven days after it', async (t, { store, events, raw }) => {
    await ask(store);
    await sweepAll(store, SWEPT_AT);
    await sweepAll(store, EXPIRES_AT + RECEIPT_MS - 1);
    t.true(await events.hasDue(NEVER));
    await sweepAll(store, EXPIRES_AT + RECEIPT_MS);
    t.false(await events.hasDue(NEVER));
    t.is((await raw()).length, 0);
  });
}

function secretContract(test: ContractTest, number: number, { type, occurredAt, end }: End): void {
  const now = Math.max(SWEPT_AT, occurredAt);
  const kind = `${type}, end ${number + 1}`;

  test(`an answer whose event waits while its secret ends loses neither: ${kind}`, async (t, {
    store,
    events,
    raw,
  }) => {
    for (const hasRepeat of [false, true]) {
      const request = await ask(store);
      await answer(store, request, hasRepeat);
      await end(store, request);
      t.false(hasLeft(await raw(), request.envelope));
      t.deepEqual(await events.countWaiting(), { events: 2, oldestAt: ANSWERED_AT });
      await sweepAll(store, now);
      const taken = await deliverAll(events, now);
      t.deepEqual(taken.map(shown), [
        eventOf(request, 'answered', ANSWERED_AT, now + LEASE),
        eventOf(request, type, occurredAt, now + LEASE),
      ]);
      t.false(await events.hasDue(NEVER));
      t.false(hasLeft(await raw(), sealedOf(request)));
      await sweepAll(store, now + RECEIPT_MS);
      t.is((await raw()).length, 0);
    }
  });

  test(`finishing or postponing one event never hits the other: ${kind}`, async (t, { store, events }) => {
    const request = await ask(store);
    await answer(store, request);
    const [answered] = (await take(events, ANSWERED_AT)) as [TakenEvent];
    await events.finish([request.id]);
    t.is((await events.countWaiting()).events, 1, 'the secret has no event yet');
    await end(store, request);
    // As who ended it and delivered its event at once.
    await events.finish([request.id]);
    t.is((await events.countWaiting()).events, 1);
    t.true(await events.postpone(answered, { dueAt: now, attempts: 1 }));
    const [again, ...more] = (await take(events, now)) as [TakenEvent];
    t.deepEqual(more, []);
    t.is(again.type, 'answered');
    await times(2, () => events.finish([answered.id]));
    t.false(await events.hasDue(NEVER));
    t.deepEqual(await events.countWaiting(), { events: 0, oldestAt: undefined });
  });
}

function heldContract(test: ContractTest): void {
  test('who claims holds the secret’s event also while that of its answer waits', async (t, { store, events }) => {
    for (const isFinishedFirst of [true, false]) {
      const request = await ask(store);
      await answer(store, request);
      const lease = ENDED_AT + LEASE;
      await store.claim(request.id, ENDED_AT, { ...NO_REFUND, eventDueAt: lease });
      const own = { id: request.id, dueAt: lease };
      const [answered] = (await take(events, ENDED_AT)) as [TakenEvent];
      if (isFinishedFirst) await events.finish([answered.id]);
      t.deepEqual(await take(events, ENDED_AT), [], 'both are held');
      t.false(await events.postpone({ ...own, dueAt: lease + 1 }, { dueAt: CREATED_AT, attempts: 7 }));
      t.true(await events.postpone(own, { dueAt: lease + HOUR, attempts: 1 }));
      if (!isFinishedFirst) await events.finish([answered.id]);
      t.deepEqual(await take(events, lease + HOUR - 1), []);
      const [event] = (await take(events, lease + HOUR)) as [TakenEvent];
      t.deepEqual([event.type, event.attempts, hex(event.id)], ['read', 1, hex(request.id)]);
      await events.finish([event.id]);
      t.false(await events.hasDue(NEVER));
    }
  });

  test('the copy of an answered secret goes in its time while both events wait', async (t, { store, events, raw }) => {
    const request = { ...(await createRequested(store, { notify: newNotify() })), receiptHash: randomBytes(32) };
    await answerOrThrow(store, request);
    const copy = newCopy(ENDED_AT + MINUTE);
    await store.claim(request.id, ENDED_AT, { copy, ...NO_REFUND });
    await sweepAll(store, ENDED_AT + MINUTE);
    t.false(hasLeft(await raw(), copy.envelope));
    t.is((await deliverAll(events, ENDED_AT + MINUTE)).length, 2);
    await sweepAll(store, ENDED_AT + MINUTE);
    t.is((await raw()).length, 0);
  });

  test('events of requests are there again after closing', async (t, { store, open, close }) => {
    const request = await ask(store);
    await answer(store, request);
    await store.claim(request.id, ENDED_AT, NO_REFUND);
    await close();
    const { events } = await open();
    t.deepEqual(
      (await deliverAll(events, ENDED_AT)).map(({ type }) => type),
      ['answered', 'read'],
    );
  });
}

function refusedContract(test: ContractTest): void {
  test('a request that may have been answered already expires without event', async (t, { store, events, raw }) => {
    await ask(store);
    t.like(await store.sweep(SWEPT_AT, 100, CREATED_AT), { expired: 0 });
    await sweepAll(store, SWEPT_AT, 100, CREATED_AT);
    t.false(await events.hasDue(NEVER));
    t.is((await raw()).length, 0);
    await ask(store);
    await sweepAll(store, SWEPT_AT, 100, CREATED_AT - 1);
    t.is((await events.countWaiting()).events, 1);
  });

  test('an answer that may have been read already has no second event, and keeps its first', async (t, world) => {
    const { store, events, raw } = world;
    const request = await ask(store);
    await answer(store, request);
    await sweepAll(store, SWEPT_AT, 100, ANSWERED_AT);
    await sweepAll(store, SWEPT_AT, 100, ANSWERED_AT);
    t.deepEqual(
      (await deliverAll(events, SWEPT_AT)).map(({ type }) => type),
      ['answered'],
    );
    t.false(hasLeft(await raw(), sealedOf(request)));
    await sweepAll(store, EXPIRES_AT + RECEIPT_MS);
    t.is((await raw()).length, 0);

    const later = await ask(store);
    await answer(store, later);
    await sweepAll(store, SWEPT_AT, 100, ANSWERED_AT - 1);
    t.is((await deliverAll(events, SWEPT_AT)).length, 2, 'the secret is as old as its answer');
  });
}

async function ask(store: SecretStore): Promise<Asked> {
  return { ...(await createRequested(store, { notify: newNotify() })), receiptHash: randomBytes(32) };
}

async function answer(store: SecretStore, request: Asked, hasRepeat = false): Promise<void> {
  const { receiptHash } = request;
  await answerOrThrow(store, request, newAnswer({ receiptHash, ...(hasRepeat && { repeat: newRepeat() }) }));
}

/** In the order in which they come, each one finished before the next is taken. */
async function deliverAll(events: EventStore, now: number): Promise<readonly TakenEvent[]> {
  const taken: TakenEvent[] = [];
  for (let rounds = 0; rounds < 10; rounds++) {
    const [event] = await take(events, now, { limit: 1 });
    if (!event) return taken;
    taken.push(event);
    await events.finish([event.id]);
  }
  throw new Error('what was finished is due again');
}

function sealedOf({ notify }: Requested): Uint8Array {
  return notify?.sealed as Uint8Array;
}

function eventOf({ id, notify }: Requested, type: EventType, occurredAt: number, dueAt: number): object {
  const eventId = isRequestEvent(type) ? requestEventIdOf(id) : id;
  return shown({ id: eventId, type, occurredAt, attempts: 0, dueAt, notify: notify as TakenEvent['notify'] });
}

function shown({ id, notify, ...rest }: TakenEvent): object {
  return { ...rest, id: hex(id), sealed: hex(notify.sealed), destination: hex(notify.destination) };
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
