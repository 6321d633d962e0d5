import { setImmediate as turn } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import type { Outcome } from '../../src/webhooks/attempt.ts';
import { createDispatcher, type DeliveryResult, type Dispatcher } from '../../src/webhooks/dispatcher.ts';
import type { EventStore, TakenEvent } from '../../src/webhooks/store.ts';
import { createEventStore, hexOf } from './event-store.ts';

const START = Date.UTC(2066, 0, 1);
const DAY = 86_400_000;
const HOUR = 3_600_000;
const LEASE = 45_000;

type World = {
  clock: { now: number };
  store: ReturnType<typeof createEventStore>;
  dispatcher: Dispatcher;
  results: DeliveryResult[];
  errors: unknown[];
  /** Attempts under way, each with how to end it. */
  attempts: { event: TakenEvent; signal: AbortSignal; end(outcome: Outcome): void }[];
  /** Waits until something holds. */
  until(isSo: () => boolean): Promise<void>;
};

function createWorld(
  t: ExecutionContext,
  events: readonly TakenEvent[] = [],
  changes: Partial<EventStore> = {},
): World {
  const clock = { now: START };
  const store = Object.assign(createEventStore(events), changes);
  const [results, errors, attempts]: [DeliveryResult[], unknown[], World['attempts']] = [[], [], []];
  const dispatcher = createDispatcher({
    store,
    clock: () => clock.now,
    random: () => 0.5,
    onResult: (result) => results.push(result),
    onError: (error) => errors.push(error),
    attempt: (event, signal) =>
      new Promise((resolve) => {
        signal.addEventListener('abort', () => resolve({ result: 'cut' }));
        attempts.push({ event, signal, end: resolve });
      }),
  });
  t.teardown(() => dispatcher.stop(AbortSignal.abort()));
  const until = async (isSo: () => boolean): Promise<void> => {
    const deadline = performance.now() + 30_000;
    while (!isSo()) {
      if (performance.now() > deadline) throw new Error('it did not come to it');
      await turn();
    }
  };
  return { clock, store, dispatcher, results, errors, attempts, until };
}

function event(number: number, changes: Partial<TakenEvent> = {}): TakenEvent {
  const id = Buffer.alloc(24);
  id.writeUInt32BE(number, 0);
  const notify = { sealed: Buffer.alloc(200), destination: Buffer.alloc(16, 'a') };
  return { id, type: 'read', occurredAt: START, attempts: 0, dueAt: START, notify, ...changes };
}

/** As it is given to a worker by its own read. */
function held(number: number): TakenEvent {
  return event(number, { dueAt: START + LEASE });
}

function only({ store }: World): TakenEvent | undefined {
  return [...store.all.values()][0];
}

/** What became of the one event after an attempt with this outcome. */
async function afterAttempt(t: ExecutionContext, outcome: Outcome, changes: Partial<TakenEvent> = {}): Promise<World> {
  const world = createWorld(t, [event(1, changes)]);
  world.dispatcher.start();
  await world.until(() => world.attempts.length === 1);
  world.attempts[0]?.end(outcome);
  await world.until(() => only(world)?.dueAt !== START + LEASE);
  return world;
}

test('an event of a read is delivered at once, from memory, while the store says that it is held', async (t) => {
  const world = createWorld(t);
  const reserved = world.dispatcher.reserve(event(1).notify, START);
  t.is(reserved?.leaseUntil, START + LEASE);
  t.is(world.attempts.length, 0);
  const written = event(1, { dueAt: START + LEASE });
  world.store.all.set(hexOf(written.id), written);
  reserved?.start(written);
  t.deepEqual(world.attempts[0]?.event, event(1, { dueAt: START + LEASE }));
  world.attempts[0]?.end({ result: 'delivered' });
  await world.until(() => world.store.all.size === 0);
  t.deepEqual(world.results, ['delivered']);
});

test('what a read did not write is not delivered, and its place comes back', (t) => {
  const { dispatcher, attempts } = createWorld(t);
  for (let number = 0; number < 2_000; number++) dispatcher.reserve(event(number).notify, START)?.cancel();
  t.is(attempts.length, 0);
  t.not(dispatcher.reserve(event(1).notify, START), undefined);
});

test('there is room for 200 events of one destination', (t) => {
  const { dispatcher } = createWorld(t);
  for (let number = 0; number < 200; number++) dispatcher.reserve(event(number).notify, START)?.start(held(number));
  t.is(dispatcher.reserve(event(200).notify, START), undefined);
});

for (const result of ['delivered', 'gone', 'damaged'] as const) {
  test(`an event whose attempt was ${result} is over`, async (t) => {
    const { store, results } = await afterAttempt(t, { result });
    t.is(store.all.size, 0);
    t.deepEqual(results, [result]);
  });
}

for (const result of ['refused', 'unreachable', 'forbidden'] as const) {
  test(`an event whose attempt was ${result} is tried again by the schedule`, async (t) => {
    const world = await afterAttempt(t, { result });
    t.like(only(world), { dueAt: START + 5_000, attempts: 1 });
  });
}

test('a receiver that asks for patience gets it', async (t) => {
  const world = await afterAttempt(t, { result: 'refused', retryAfterMs: HOUR });
  t.like(only(world), { dueAt: START + HOUR, attempts: 1 });
});

test('what could not be tried comes back soon, and no attempt is counted', async (t) => {
  const missing = await afterAttempt(t, { result: 'later' }, { attempts: 3 });
  t.like(only(missing), { dueAt: START + 60_000, attempts: 3 });
  const busy = await afterAttempt(t, { result: 'later', retryAfterMs: 1_000 });
  t.like(only(busy), { dueAt: START + 5_000, attempts: 0 });
});

test('after the tenth failure, or a day, an event is given up', async (t) => {
  const tenth = await afterAttempt(t, { result: 'refused' }, { attempts: 9 });
  t.is(tenth.store.all.size, 0);
  t.deepEqual(tenth.results, ['refused', 'given_up']);
  const old = await afterAttempt(t, { result: 'unreachable' }, { attempts: 1, occurredAt: START - DAY });
  t.deepEqual(old.results, ['unreachable', 'given_up']);
});

test('an event that was never tried gets its attempt, however old it is', async (t) => {
  const world = await afterAttempt(t, { result: 'delivered' }, { occurredAt: START - 6 * DAY });
  t.deepEqual(world.results, ['delivered']);
});

test('an attempt begins only while enough of the lease is left; else the event is handed back', async (t) => {
  const world = createWorld(t);
  for (let number = 0; number < 9; number++) {
    world.store.all.set(hexOf(event(number).id), held(number));
    world.dispatcher.reserve(event(number).notify, START)?.start(held(number));
  }
  t.is(world.attempts.length, 8);
  world.clock.now += LEASE - 19_999;
  world.attempts[0]?.end({ result: 'delivered' });
  await world.until(() => world.results.length === 2);
  t.deepEqual(world.results, ['delivered', 'cut']);
  await world.until(() => world.store.all.get(hexOf(event(8).id))?.dueAt === world.clock.now);
  t.is(world.attempts.length, 8);
});

test('a destination that hangs delays no other; its events stay in the store', async (t) => {
  const hanging = Array.from({ length: 1_000 }, (_, number) => event(number));
  const notify = { ...event(0).notify, destination: Buffer.alloc(16, 'b') };
  const world = createWorld(t, [...hanging, event(5_000, { notify })]);
  world.dispatcher.start();
  await world.until(() =>
    world.attempts.some(
      ({
        event: {
          notify: { destination },
        },
      }) => destination[0] === 98,
    ),
  );
  t.is(world.attempts.length, 9);
  const taken = [...world.store.all.values()].filter(({ dueAt }) => dueAt > START);
  t.true(taken.length <= 201);
});

test('all there is gets delivered, whatever was too much at first', async (t) => {
  const world = createWorld(
    t,
    Array.from({ length: 3_000 }, (_, number) => event(number)),
  );
  world.dispatcher.start();
  await world.until(() => {
    for (const { end } of world.attempts.splice(0)) end({ result: 'delivered' });
    return world.store.all.size === 0;
  });
  t.is(world.results.length, 3_000);
});

test('an end that the store did not write down is written when it is back', async (t) => {
  let isAway = true;
  const memory = createEventStore();
  const finish: EventStore['finish'] = async (ids) => {
    if (isAway) throw new Error('away');
    await memory.finish(ids);
  };
  const world = createWorld(t, [], { finish });
  memory.all.set(hexOf(event(1).id), held(1));
  world.dispatcher.reserve(event(1).notify, START)?.start(held(1));
  world.attempts[0]?.end({ result: 'delivered' });
  await world.until(() => world.errors.length === 1);
  isAway = false;
  await world.until(() => memory.all.size === 0);
  t.deepEqual(world.results, ['delivered']);
});

test('a store that is away stops nothing for good', async (t) => {
  let calls = 0;
  const memory = createEventStore([event(1)]);
  const world = createWorld(t, [], {
    hasDue: memory.hasDue,
    takeDue(now, options) {
      calls += 1;
      return calls === 1 ? Promise.reject(new Error('away')) : memory.takeDue(now, options);
    },
  });
  world.dispatcher.start();
  await world.until(() => world.errors.length === 1);
  world.dispatcher.wake();
  await world.until(() => world.attempts.length === 1);
  t.pass();
});

test('a worker that stops hands back what it has not begun, lets the rest end, and takes no more', async (t) => {
  const world = createWorld(
    t,
    Array.from({ length: 20 }, (_, number) => event(number)),
  );
  world.dispatcher.start();
  await world.until(() => world.attempts.length === 8);
  const stopped = world.dispatcher.stop(new AbortController().signal);
  await world.until(() => [...world.store.all.values()].filter(({ dueAt }) => dueAt === START).length === 12);
  t.is(world.dispatcher.reserve(event(100).notify, START), undefined);
  for (const { signal, end } of world.attempts) {
    t.false(signal.aborted);
    end({ result: 'delivered' });
  }
  await stopped;
  t.is(world.store.all.size, 12);
  t.is(world.attempts.length, 8);
});

test('what is under way when time is over is cut, and due for others at once', async (t) => {
  const world = createWorld(t, [event(1)]);
  world.dispatcher.start();
  await world.until(() => world.attempts.length === 1);
  await world.dispatcher.stop(AbortSignal.abort());
  t.true(world.attempts[0]?.signal.aborted);
  t.like(only(world), { dueAt: START, attempts: 0 });
});
