import test from 'ava';
import { AppError } from '../../src/errors.ts';
import { hashPhraseSync } from '../../src/hashing/argon2.ts';
import { PHRASE_COST } from '../../src/hashing/cost.ts';
import { createGate, MAX_PLACES } from '../../src/hashing/gate.ts';
import { createHashQueue, MAX_BATCH, type Phrase } from '../../src/hashing/hash-queue.ts';
import { createSharedSlots } from '../../src/hashing/slots.ts';
import { createHashThreads } from '../../src/hashing/threads.ts';
import { createLocalSlots } from '../support/process/slots.ts';

const phrase = Buffer.from('correct horse');
const salt = Buffer.alloc(16, 7);
const one = { phrase, salt, cost: PHRASE_COST };
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Hashes that end when the test says so: each batch's keys begin with the first byte of its phrases. */
function createHand() {
  const running: { batch: readonly Phrase[]; settle: PromiseWithResolvers<Uint8Array[]> }[] = [];
  const sizes: number[] = [];
  let most = 0;
  return {
    sizes,
    hashAll(batch: readonly Phrase[]) {
      const settle = Promise.withResolvers<Uint8Array[]>();
      running.push({ batch, settle });
      sizes.push(batch.length);
      most = Math.max(most, running.length);
      return settle.promise;
    },
    async finishOne() {
      const first = running.shift();
      first?.settle.resolve(first.batch.map(({ phrase }) => Uint8Array.of(phrase[0] as number)));
      await turn();
    },
    async failOne() {
      running.shift()?.settle.reject(new Error('a thread ended'));
      await turn();
    },
    get running() {
      return running.length;
    },
    get most() {
      return most;
    },
  };
}

test('threads give the same hash as a direct call, many at once, and can be used again', async (t) => {
  const threads = createHashThreads();
  t.teardown(threads.close);
  const expected = Buffer.from(hashPhraseSync(phrase, salt));
  for (let round = 0; round < 2; round++) {
    const keys = await Promise.all(Array.from({ length: 3 }, () => threads.hashAll([one, one])));
    for (const key of keys.flat()) t.deepEqual(Buffer.from(key), expected);
  }
});

test('closing waits for the hashes that run', async (t) => {
  const threads = createHashThreads();
  const hashing = threads.hashAll([one]);
  await threads.close();
  t.is((await hashing)[0]?.length, 32);
});

test('no more batches run at once than there are slots, and each caller gets its own key', async (t) => {
  const hand = createHand();
  const { hash } = createHashQueue(createLocalSlots(3), hand.hashAll)();
  const jobs = Array.from({ length: 60 }, (_, index) => hash(Uint8Array.of(index), salt));
  await turn();
  while (hand.running > 0) await hand.finishOne();
  t.deepEqual(
    (await Promise.all(jobs)).map(([first]) => first),
    Array.from({ length: 60 }, (_, index) => index),
  );
  t.is(hand.most, 3);
  t.true(hand.sizes.every((size) => size <= MAX_BATCH));
  t.true(hand.sizes.length < 30, `${hand.sizes}`);
});

test('a short queue is spread over the free slots', async (t) => {
  const hand = createHand();
  const { hash } = createHashQueue(createLocalSlots(4), hand.hashAll)();
  const jobs = Array.from({ length: 4 }, () => hash(phrase, salt));
  await turn();
  t.deepEqual(hand.sizes, [2, 1, 1]);
  while (hand.running > 0) await hand.finishOne();
  await Promise.all(jobs);
});

test('a batch that fails rejects its own jobs and no others', async (t) => {
  const hand = createHand();
  const { hash } = createHashQueue(createLocalSlots(1), hand.hashAll)();
  const jobs = Promise.allSettled(Array.from({ length: 3 }, () => hash(phrase, salt)));
  await turn();
  await hand.failOne();
  while (hand.running > 0) await hand.finishOne();
  t.deepEqual(
    (await jobs).map(({ status }) => status),
    ['rejected', 'rejected', 'fulfilled'],
  );
  const later = hash(phrase, salt);
  await turn();
  await hand.finishOne();
  t.is((await later)[0], phrase[0]); // its slot is free again
});

test('a slot is given back after a few jobs even if some still wait, and every request is granted once', async (t) => {
  const hand = createHand();
  let wished = 0;
  let freed = 0;
  const slots = createSharedSlots({
    want: () => {
      wished += 1;
    },
    free: () => {
      freed += 1;
    },
  });
  const { hash } = createHashQueue(slots, hand.hashAll)();
  const jobs = Array.from({ length: 20 }, () => hash(phrase, salt));
  t.is(wished, 20);
  slots.grant();
  await turn();
  while (hand.running > 0) await hand.finishOne();
  t.deepEqual([hand.sizes, freed], [[3, 3, 3], 1]);
  for (let grants = 1; grants < 20; grants++) {
    slots.grant();
    await turn();
    while (hand.running > 0) await hand.finishOne();
  }
  await Promise.all(jobs);
  t.deepEqual(hand.sizes, [3, 3, 3, 3, 3, 3, 1, 1]);
  t.is(freed, 20); // as many as were granted
  const later = hash(phrase, salt);
  t.is(wished, 21);
  slots.grant();
  await turn();
  await hand.finishOne();
  await later;
  t.is(freed, 21);
});

test('a request that is still open serves the next job', async (t) => {
  const hand = createHand();
  let wished = 0;
  const slots = createSharedSlots({
    want: () => {
      wished += 1;
    },
    free: () => {},
  });
  const { hash } = createHashQueue(slots, hand.hashAll)();
  const jobs = Array.from({ length: 4 }, () => hash(phrase, salt));
  slots.grant();
  await turn();
  await hand.finishOne(); // two of them; three wishes are open, two jobs run
  jobs.push(hash(phrase, salt));
  t.is(wished, 4);
  await hand.finishOne();
  slots.grant();
  await turn();
  while (hand.running > 0) await hand.finishOne();
  await Promise.all(jobs);
});

test('if no place is free, work is refused before it begins', async (t) => {
  const free = Promise.withResolvers<void>();
  const gate = createGate(createHashQueue(createLocalSlots(1), createHand().hashAll)().hash);
  const held = Array.from({ length: MAX_PLACES }, (_, index) => gate.run(String(index), () => free.promise));
  t.is(gate.size, MAX_PLACES);
  let hasBegun = false;
  const refused = await t.throwsAsync(
    gate.run('more', async () => {
      hasBegun = true;
    }),
    { instanceOf: AppError, code: 'BUSY' },
  );
  t.is(refused?.retryAfterSeconds, 1);
  t.false(hasBegun);
  free.resolve();
  await Promise.all(held);
  t.is(gate.size, 0);
  t.is(await gate.run('later', async () => 'served'), 'served');
});

test('work of one group runs one at a time, in order, failures included; other groups are not held up', async (t) => {
  const gate = createGate(createHashQueue(createLocalSlots(2), createHand().hashAll)().hash);
  const order: string[] = [];
  let release = (): void => {};
  const first = gate.run('a', async () => {
    await new Promise<void>((resolve) => {
      release = resolve;
    });
    order.push('first');
    throw new Error('a failure is nobody else’s');
  });
  const second = gate.run('a', async () => order.push('second'));
  await gate.run('b', async () => order.push('other'));
  release();
  await t.throwsAsync(first);
  await second;
  t.deepEqual(order, ['other', 'first', 'second']);
});

test('work without a group does not wait for other work', async (t) => {
  const free = Promise.withResolvers<void>();
  const gate = createGate(createHashQueue(createLocalSlots(2), createHand().hashAll)().hash);
  const held = gate.run(undefined, () => free.promise);
  t.is(await gate.run(undefined, async () => 'done'), 'done');
  free.resolve();
  await held;
});

test('lanes take turns: however many wait in one, the first of the other is in the next batch', async (t) => {
  const hand = createHand();
  const addLane = createHashQueue(createLocalSlots(1), hand.hashAll);
  const [flooded, other] = [addLane(), addLane()];
  const flood = Array.from({ length: 40 }, () => flooded.hash(phrase, salt));
  await turn();
  let isServed = false;
  const one = other.hash(phrase, salt).then(() => {
    isServed = true;
  });
  t.deepEqual([flooded.waiting, other.waiting], [37, 1]);
  await hand.finishOne();
  await hand.finishOne();
  t.true(isServed);
  while (hand.running > 0) await hand.finishOne();
  await Promise.all([...flood, one]);
});
