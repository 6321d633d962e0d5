import test from 'ava';
import { AppError } from '../src/errors.ts';
import { hashPhraseSync } from '../src/hashing/argon2.ts';
import { createGate, MAX_PLACES } from '../src/hashing/gate.ts';
import { createLocalSlots, createSharedSlots } from '../src/hashing/slots.ts';
import { createHashThreads } from '../src/hashing/threads.ts';

const phrase = Buffer.from('correct horse');
const salt = Buffer.alloc(16, 7);
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Hashes that end when the test says so. */
function createHand() {
  const running: (() => void)[] = [];
  let most = 0;
  return {
    hash: () =>
      new Promise<Uint8Array>((resolve) => {
        running.push(() => resolve(new Uint8Array(32)));
        most = Math.max(most, running.length);
      }),
    finishOne: () => running.shift()?.(),
    get running() {
      return running.length;
    },
    get most() {
      return most;
    },
  };
}

test('threads hash as one would by oneself, many at once, and can be used again', async (t) => {
  const threads = createHashThreads();
  t.teardown(threads.close);
  const expected = Buffer.from(hashPhraseSync(phrase, salt));
  for (let round = 0; round < 2; round++) {
    const keys = await Promise.all(Array.from({ length: 3 }, () => threads.hash(phrase, salt)));
    for (const key of keys) t.deepEqual(Buffer.from(key), expected);
  }
});

test('closing waits for the hashes that run', async (t) => {
  const threads = createHashThreads();
  const hashing = threads.hash(phrase, salt);
  await threads.close();
  t.is((await hashing).length, 32);
});

test('no more hashes run at once than there are slots, and all places are served', async (t) => {
  const hand = createHand();
  const gate = createGate({ slots: createLocalSlots(3), hash: hand.hash });
  const work = Array.from({ length: MAX_PLACES }, (_, index) => gate.run(String(index), (hash) => hash(phrase, salt)));
  t.is(gate.size, MAX_PLACES);
  for (let done = 0; done < MAX_PLACES; done++) {
    await turn();
    hand.finishOne();
  }
  await Promise.all(work);
  t.is(hand.most, 3);
  t.is(gate.size, 0);
});

test('without a free place work is refused before it begins', async (t) => {
  const hand = createHand();
  const gate = createGate({ slots: createLocalSlots(1), hash: hand.hash });
  const held = Array.from({ length: MAX_PLACES }, (_, index) => gate.run(String(index), (hash) => hash(phrase, salt)));
  let hasBegun = false;
  const refused = await t.throwsAsync(
    gate.run('more', async () => {
      hasBegun = true;
    }),
    { instanceOf: AppError, code: 'BUSY' },
  );
  t.is(refused?.retryAfterSeconds, 1);
  t.false(hasBegun);
  while (gate.size > 0) {
    hand.finishOne();
    await turn();
  }
  await Promise.all(held);
  t.is(await gate.run('later', async () => 'served'), 'served');
});

test('work of one group runs one at a time, in order, failures included; other groups go on', async (t) => {
  const gate = createGate({ slots: createLocalSlots(2), hash: createHand().hash });
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

test('shared slots: every wish is granted once, a free slot serves who waits here, but not for ever', async (t) => {
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
  const served: number[] = [];
  const releases: (() => void)[] = [];
  const jobs = Array.from({ length: 20 }, async (_, job) => {
    const release = await slots.acquire();
    served.push(job);
    releases.push(release);
  });
  t.is(wished, 20);
  slots.grant();
  await turn();
  t.deepEqual(served, [0]);
  for (let job = 1; job < 8; job++) {
    releases.shift()?.();
    await turn();
  }
  t.deepEqual([served.length, freed], [8, 0]);
  releases.shift()?.();
  await turn();
  t.deepEqual([served.length, freed], [8, 1]);
  for (let grants = 1; grants < 20; grants++) {
    slots.grant();
    await turn();
    releases.shift()?.();
    await turn();
  }
  while (releases.length > 0) {
    releases.shift()?.();
    await turn();
  }
  await Promise.all(jobs);
  t.deepEqual(
    served,
    Array.from({ length: 20 }, (_, job) => job),
  );
  t.is(freed, 20); // as many as were granted
  const later = slots.acquire();
  t.is(wished, 21);
  slots.grant();
  (await later)();
  t.is(freed, 21);
});
