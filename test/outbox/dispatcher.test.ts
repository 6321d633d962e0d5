import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { createDispatcher, type Dispatcher } from '../../src/outbox/dispatcher.ts';
import type { Outcome } from '../../src/outbox/outcome.ts';
import type { DeliveryResult } from '../../src/outbox/settle.ts';
import { WEBHOOK_PACE } from '../../src/webhooks/pace.ts';
import type { EventStore, TakenEvent } from '../../src/webhooks/store.ts';
import { createEventStore, hexOf } from '../webhooks/event-store.ts';

const START = Date.UTC(2066, 0, 1);
const DAY = 86_400_000;
const HOUR = 3_600_000;
const LEASE = 45_000;

type World = {
  clock: { now: number };
  store: ReturnType<typeof createEventStore>;
  dispatcher: Dispatcher<TakenEvent>;
  results: DeliveryResult[];
  errors: unknown[];
  /** Attempts under way, each with how to end it. */
  attempts: { event: TakenEvent; signal: AbortSignal; end(outcome: Outcome): void }[];
  /** Waits until something holds. */
  until(isSo: () => boolean): Promise<void>;
};

/** Such a chance that the store is not looked at again within a test unless something wakes the dispatcher. */
const NEVER = 1e5;
/** Deliveries under way to one address. */
const PLACES = 16;

/** What a test has that is not the default. */
type Setup = { random?: number; addressOf?: (event: TakenEvent) => string };

function createWorld(
  t: ExecutionContext,
  events: readonly TakenEvent[] = [],
  changes: Partial<EventStore> = {},
  { random = 0.5, addressOf = ({ notify }) => hexOf(notify.destination) }: Setup = {},
): World {
  const clock = { now: START };
  const store = Object.assign(createEventStore(events), changes);
  const [results, errors, attempts]: [DeliveryResult[], unknown[], World['attempts']] = [[], [], []];
  const dispatcher = createDispatcher({
    store,
    pace: WEBHOOK_PACE,
    clock: () => clock.now,
    random: () => random,
    onResult: (result) => results.push(result),
    onError: (error) => errors.push(error),
    destinationOf: ({ notify }) => notify.destination,
    attempt: (event, enter, signal) =>
      new Promise((resolve) => {
        if (!enter(addressOf(event))) return resolve({ result: 'crowded' });
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

/** Of another destination. */
function elsewhere(number: number, destination: string, changes: Partial<TakenEvent> = {}): TakenEvent {
  return event(number, { notify: { ...event(0).notify, destination: Buffer.alloc(16, destination) }, ...changes });
}

/** Starts a dispatcher that rests: it has looked at the store and found nothing. */
async function startAtRest(t: ExecutionContext, changes: Partial<EventStore> = {}): Promise<World> {
  let looks = 0;
  const memory = createEventStore();
  const hasDue: EventStore['hasDue'] = (now) => {
    looks += 1;
    return memory.hasDue(now);
  };
  const world = createWorld(t, [], { ...memory, hasDue, ...changes }, { random: NEVER });
  world.dispatcher.start();
  await world.until(() => looks === 1);
  for (let turns = 0; turns < 10; turns++) await turn();
  return world;
}

/** Reads of secrets whose events are written and start. */
function readAll({ dispatcher, store, clock }: World, events: readonly TakenEvent[]): void {
  for (const one of events) {
    const reserved = dispatcher.reserve(one.notify, clock.now);
    if (!reserved) throw new Error('there is no room');
    store.all.set(hexOf(one.id), { ...one, dueAt: reserved.leaseUntil });
    reserved.start({ ...one, dueAt: reserved.leaseUntil });
  }
}

const numbers = (count: number, from = 0): number[] => Array.from({ length: count }, (_, index) => from + index);

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
  for (let number = 0; number < PLACES + 1; number++) {
    world.store.all.set(hexOf(event(number).id), held(number));
    world.dispatcher.reserve(event(number).notify, START)?.start(held(number));
  }
  t.is(world.attempts.length, PLACES);
  world.clock.now += LEASE - 19_999;
  world.attempts[0]?.end({ result: 'delivered' });
  await world.until(() => world.results.length === 2);
  t.deepEqual(world.results, ['delivered', 'cut']);
  await world.until(() => world.store.all.get(hexOf(event(PLACES).id))?.dueAt === world.clock.now);
  t.is(world.attempts.length, PLACES);
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
  t.is(world.attempts.length, PLACES + 1);
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

test('ends of one moment are written down in one step', async (t) => {
  const steps: number[] = [];
  const world = createWorld(t, [], { finish: async (ids) => void steps.push(ids.length) });
  readAll(
    world,
    [1, 2, 3].map((number) => event(number)),
  );
  for (const { end } of world.attempts) end({ result: 'delivered' });
  await world.until(() => steps.length > 0);
  t.deepEqual(steps, [3]);
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
    Array.from({ length: PLACES + 12 }, (_, number) => event(number)),
  );
  world.dispatcher.start();
  await world.until(() => world.attempts.length === PLACES);
  const stopped = world.dispatcher.stop(new AbortController().signal);
  await world.until(() => [...world.store.all.values()].filter(({ dueAt }) => dueAt === START).length === 12);
  t.is(world.dispatcher.reserve(event(100).notify, START), undefined);
  for (const { signal, end } of world.attempts) {
    t.false(signal.aborted);
    end({ result: 'delivered' });
  }
  await stopped;
  t.is(world.store.all.size, 12);
  t.is(world.attempts.length, PLACES);
});

test('what is under way when time is over is cut, and due for others at once', async (t) => {
  const world = createWorld(t, [event(1)]);
  world.dispatcher.start();
  await world.until(() => world.attempts.length === 1);
  await world.dispatcher.stop(AbortSignal.abort());
  t.true(world.attempts[0]?.signal.aborted);
  t.like(only(world), { dueAt: START, attempts: 0 });
});

test('an attempt is over only when its end is written down, for the next in line and for a worker that stops', async (t) => {
  const written = Promise.withResolvers<void>();
  const world = createWorld(t, [], { finish: () => written.promise });
  readAll(
    world,
    numbers(PLACES + 1).map((number) => event(number)),
  );
  world.attempts[0]?.end({ result: 'delivered' });
  await world.until(() => world.results.length === 1);
  for (let turns = 0; turns < 10; turns++) await turn();
  t.is(world.attempts.length, PLACES);
  let isStopped = false;
  const stopped = world.dispatcher.stop(AbortSignal.abort()).then(() => {
    isStopped = true;
  });
  await world.until(() => world.results.length === PLACES);
  for (let turns = 0; turns < 10; turns++) await turn();
  t.false(isStopped);
  written.resolve();
  await stopped;
  t.true(isStopped);
});

test('what was handed back has left its place', async (t) => {
  const world = createWorld(t);
  for (const number of numbers(250)) {
    readAll(world, [event(number)]);
    world.attempts[number]?.end({ result: 'cut' });
    await world.until(() => world.results.length === number + 1);
    for (let turns = 0; turns < 5; turns++) await turn();
  }
  t.deepEqual(world.results, Array(250).fill('cut'));
});

for (const result of ['refused', 'unreachable', 'forbidden'] as const) {
  test(`after three attempts that were ${result} a destination has one event at a time, until one is delivered`, async (t) => {
    const world = createWorld(t);
    const endNext = async (outcome: Outcome): Promise<void> => {
      const number = world.results.length;
      readAll(world, [event(number)]);
      world.attempts[number]?.end(outcome);
      await world.until(() => world.results.length === number + 1);
      for (let turns = 0; turns < 5; turns++) await turn();
    };
    for (const _ of numbers(3)) await endNext({ result });
    const isRoomForTwo = (): boolean => {
      const two = [50, 51].map((number) => world.dispatcher.reserve(event(number).notify, START));
      for (const reserved of two) reserved?.cancel();
      return two.every((reserved) => reserved !== undefined);
    };
    t.false(isRoomForTwo());
    await endNext({ result: 'delivered' });
    await world.until(isRoomForTwo); // it is written down first
    for (const number of numbers(10, 60)) t.not(world.dispatcher.reserve(event(number).notify, START), undefined);
  });
}

for (const result of ['later', 'cut', 'gone', 'damaged'] as const) {
  test(`that attempts were ${result} is not held against their destination`, async (t) => {
    const world = createWorld(t);
    readAll(
      world,
      numbers(5).map((number) => event(number)),
    );
    for (const { end } of world.attempts) end({ result });
    await world.until(() => world.results.length === 5);
    for (let turns = 0; turns < 10; turns++) await turn();
    for (const _ of numbers(10)) t.not(world.dispatcher.reserve(event(9).notify, START), undefined);
  });
}

test('what had no room is taken from the store as soon as there is some', async (t) => {
  const world = await startAtRest(t);
  readAll(
    world,
    numbers(200).map((number) => event(number)),
  );
  t.is(world.dispatcher.reserve(event(200).notify, START), undefined);
  world.store.all.set(hexOf(event(200).id), event(200)); // by its read, as due now
  await world.until(() => {
    for (const { end } of world.attempts.splice(0)) end({ result: 'delivered' });
    return world.store.all.size === 0;
  });
  t.is(world.results.length, 201);
});

test('what the store had too much of for one destination is taken as soon as there is room', async (t) => {
  const world = createWorld(
    t,
    numbers(300).map((number) => event(number)),
    {},
    { random: NEVER },
  );
  world.dispatcher.start();
  await world.until(() => {
    for (const { end } of world.attempts.splice(0)) end({ result: 'delivered' });
    return world.store.all.size === 0;
  });
  t.is(world.results.length, 300);
});

test('an end that cannot be written down is tried for as long as the event is held', async (t) => {
  let tries = 0;
  const finish: EventStore['finish'] = async () => {
    tries += 1;
    throw new Error('away');
  };
  const world = createWorld(t, [], { finish });
  readAll(world, [event(1)]);
  world.attempts[0]?.end({ result: 'delivered' });
  await world.until(() => tries === 1);
  world.clock.now += LEASE;
  await world.until(() => tries === 2);
  readAll(world, [event(2)]);
  for (let turns = 0; turns < 100; turns++) await turn();
  await world.dispatcher.stop(new AbortController().signal);
  t.is(tries, 2);
  t.is(world.errors.length, 2);
});

test('an end that cannot be written down does not keep a worker that stops', async (t) => {
  const world = createWorld(t, [], { finish: () => Promise.reject(new Error('away')) });
  readAll(world, [event(1)]);
  world.attempts[0]?.end({ result: 'delivered' });
  await world.until(() => world.errors.length === 1);
  await world.dispatcher.stop(AbortSignal.abort());
  t.is(world.errors.length, 2);
});

test('an event that waited too long is handed back and taken again, with a new lease', async (t) => {
  const world = await startAtRest(t);
  readAll(
    world,
    numbers(PLACES + 1).map((number) => event(number)),
  );
  world.clock.now += LEASE - 19_999;
  world.dispatcher.wake();
  const last = hexOf(event(PLACES).id);
  await world.until(() => world.store.all.get(last)?.dueAt === world.clock.now + LEASE);
  world.attempts[0]?.end({ result: 'delivered' });
  await world.until(() => world.attempts.length === PLACES + 1);
  t.is(world.attempts[PLACES]?.event.dueAt, world.clock.now + LEASE);
});

test('a worker that has no room takes nothing, and what it took without room it hands back', async (t) => {
  const world = await startAtRest(t);
  const destinations = [...'bcdefghijklmnopq'];
  readAll(
    world,
    destinations.map((destination, number) => elsewhere(number, destination)),
  );
  for (const { end } of world.attempts) end({ result: 'delivered' });
  await world.until(() => world.store.all.size === 0);
  for (const destination of destinations) {
    const { notify } = elsewhere(0, destination);
    for (const _ of numbers(200)) t.truthy(world.dispatcher.reserve(notify, START));
  }
  world.store.all.set('due', event(1000));
  world.dispatcher.wake();
  await sleep(100); // longer than it takes a dispatcher that was woken to look
  t.deepEqual([...world.store.all.values()], [event(1000)]);
});

test('what was taken while its place was given to others is handed back for a while', async (t) => {
  const memory = createEventStore([event(1)]);
  let isTaken = false;
  const world = createWorld(t, [], {
    ...memory,
    async takeDue(now, options) {
      const taken = await memory.takeDue(now, options);
      if (!isTaken) for (const _ of numbers(200)) world.dispatcher.reserve(event(2).notify, START);
      isTaken = true;
      return taken;
    },
  });
  world.dispatcher.start();
  await world.until(() => isTaken && [...memory.all.values()][0]?.dueAt !== START + LEASE);
  t.like([...memory.all.values()][0], { dueAt: START + 5_000, attempts: 0 });
  t.is(world.attempts.length, 0);
});

/** All names of an attacker lead to one address; each healthy receiver has its own. */
const addressOf = ({ notify }: TakenEvent): string =>
  notify.destination[0] === HANGING ? '192.0.2.1' : hexOf(notify.destination);
const HANGING = 'h'.charCodeAt(0);
const isHanging = ({ notify }: TakenEvent): boolean => notify.destination[0] === HANGING;
const hangingAt = (name: number, number: number): TakenEvent => elsewhere(number, `h${String(name).padStart(15, '0')}`);

test('300 names of one address that hangs delay no other receiver: its events wait in the store', async (t) => {
  const backlog = numbers(3_000).map((number) => hangingAt(number % 300, number));
  const world = createWorld(t, backlog, {}, { addressOf });
  world.dispatcher.start();
  await world.until(() => world.attempts.length === PLACES);
  for (const number of numbers(50)) {
    const another = hangingAt(number % 300, 10_000 + number);
    const reserved = world.dispatcher.reserve(another.notify, START);
    reserved?.start({ ...another, dueAt: reserved.leaseUntil });
    const healthy = elsewhere(20_000 + number, 'good');
    readAll(world, [healthy]);
    const attempt = world.attempts.find(({ event: { id } }) => hexOf(id) === hexOf(healthy.id));
    t.truthy(attempt, `${number}`); // at once
    attempt?.end({ result: 'delivered' });
    await world.until(() => !world.store.all.has(hexOf(healthy.id)));
  }
  t.is(world.attempts.filter(({ event }) => isHanging(event)).length, PLACES);
  t.deepEqual(world.results, Array(50).fill('delivered'));
});

test('a restart with a backlog for hanging names delivers the others at once', async (t) => {
  const hanging = numbers(5_000).map((number) => hangingAt(number % 300, number));
  const healthy = numbers(20).map((number) => elsewhere(50_000 + number, `good${String.fromCharCode(97 + number)}`));
  const world = createWorld(t, [...hanging, ...healthy], {}, { addressOf });
  world.dispatcher.start();
  await world.until(() => {
    for (const { event, end } of world.attempts) if (!isHanging(event)) end({ result: 'delivered' });
    return world.results.length === healthy.length;
  });
  t.is(world.attempts.filter(({ event }) => isHanging(event)).length, PLACES);
  t.is(world.clock.now, START);
});

test('an event that waits for its address is delivered when a place is free, under its lease', async (t) => {
  const world = createWorld(t, [], {}, { addressOf });
  readAll(
    world,
    numbers(PLACES + 2).map((number) => hangingAt(number, number)),
  );
  t.is(world.attempts.length, PLACES);
  world.attempts[0]?.end({ result: 'unreachable' });
  await world.until(() => world.attempts.length === PLACES + 1);
  t.is(world.results.length, 1); // to wait is no result
});

test('an event that waits for its address is handed back when the worker stops', async (t) => {
  const world = createWorld(t, [], {}, { addressOf });
  readAll(
    world,
    numbers(PLACES + 2).map((number) => hangingAt(number, number)),
  );
  await turn();
  await world.dispatcher.stop(AbortSignal.abort());
  t.deepEqual(new Set([...world.store.all.values()].map(({ dueAt }) => dueAt)), new Set([START]));
});

test('an event that finds its address full while the worker stops is due for others at once', async (t) => {
  const found = Promise.withResolvers<void>();
  const clock = { now: START };
  const store = createEventStore([event(1)]);
  const dispatcher = createDispatcher({
    store,
    pace: WEBHOOK_PACE,
    clock: () => clock.now,
    random: () => 0.5,
    onResult: () => {},
    onError: () => {},
    destinationOf: ({ notify }) => notify.destination,
    attempt: () => found.promise.then(() => ({ result: 'crowded' })),
  });
  const reserved = dispatcher.reserve(event(1).notify, START);
  store.all.set(hexOf(event(1).id), held(1));
  reserved?.start(held(1));
  const stopped = dispatcher.stop(new AbortController().signal);
  found.resolve();
  await stopped;
  t.like([...store.all.values()][0], { dueAt: START, attempts: 0 });
});

test('however often it is woken, the store is asked every 25 ms at most', async (t) => {
  let looks = 0;
  const world = createWorld(t, [], {
    async hasDue() {
      looks += 1;
      return false;
    },
  });
  world.dispatcher.start();
  const startedAt = performance.now();
  for (let turns = 0; turns < 1_000; turns++) {
    world.dispatcher.wake();
    await turn();
  }
  t.true(looks <= 3 + (performance.now() - startedAt) / 20, `${looks}`);
});

test('what comes while a worker stops is handed back too', async (t) => {
  const taken = Promise.withResolvers<void>();
  const memory = createEventStore([event(1), event(2)]);
  const world = createWorld(t, [], {
    ...memory,
    async takeDue(now, options) {
      await taken.promise;
      return memory.takeDue(now, { ...options, limit: 1 });
    },
  });
  world.dispatcher.start();
  const reserved = world.dispatcher.reserve(event(3).notify, START);
  memory.all.set(hexOf(event(3).id), held(3));
  for (let turns = 0; turns < 10; turns++) await turn();
  const stopped = world.dispatcher.stop(new AbortController().signal);
  reserved?.start(held(3));
  taken.resolve();
  await stopped;
  t.is(world.attempts.length, 0);
  t.deepEqual(
    [...memory.all.values()].map(({ dueAt }) => dueAt),
    [START, START, START],
  );
});

test('a worker that must stop at once cuts at once', async (t) => {
  const world = createWorld(t);
  readAll(world, [event(1)]);
  const now = new AbortController();
  const stopped = world.dispatcher.stop(now.signal);
  now.abort();
  for (let turns = 0; turns < 10; turns++) await turn();
  t.true(world.attempts[0]?.signal.aborted);
  await stopped;
  t.like(only(world), { dueAt: START });
});
