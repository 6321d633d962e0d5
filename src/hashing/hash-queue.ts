import type { Slots } from './slots.ts';

/** What one slot hashes before it goes back to the others: the way to them and back would leave its core idle. */
export const MAX_IN_A_ROW = 8;
/** What a thread is given at once. */
export const MAX_BATCH = 3;

export type Phrase = { phrase: Uint8Array; salt: Uint8Array };
export type Hash = (phrase: Uint8Array, salt: Uint8Array) => Promise<Uint8Array>;
export type HashQueue = {
  hash: Hash;
  /** Phrases that wait for a slot now. */
  readonly waiting: number;
};
type Job = Phrase & PromiseWithResolvers<Uint8Array>;

/**
 * Hashing that waits for a slot. Where several wait, a slot takes them in batches: argon2 empties the caches, so each
 * time that the event loop wakes for a result costs it far more than the results themselves.
 */
export function createHashQueue(slots: Slots, hashAll: (batch: readonly Phrase[]) => Promise<Uint8Array[]>): HashQueue {
  const waiting: Job[] = [];
  let wished = 0;

  async function serve(): Promise<void> {
    wished += 1;
    const release = await slots.acquire();
    wished -= 1;
    for (let served = 0; served < MAX_IN_A_ROW && waiting.length > 0; ) {
      // At first half of those that wait, so that a short queue is not one core's alone: other slots may be on the way.
      // Whoever still waits after a batch waits because there are none.
      const share = served === 0 ? Math.ceil(waiting.length / 2) : waiting.length;
      const batch = waiting.splice(0, Math.min(share, MAX_BATCH));
      served += batch.length;
      await run(batch);
    }
    release();
  }

  async function run(batch: readonly Job[]): Promise<void> {
    try {
      const keys = await hashAll(batch.map(({ phrase, salt }) => ({ phrase, salt })));
      for (const [index, { resolve }] of batch.entries()) resolve(keys[index] as Uint8Array);
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
  }

  return {
    hash(phrase, salt) {
      const job = { phrase, salt, ...Promise.withResolvers<Uint8Array>() };
      waiting.push(job);
      // A slot may have taken more than the job it was wished for: then a wish is open that will do for this one.
      if (wished < waiting.length) void serve();
      return job.promise;
    },
    get waiting() {
      return waiting.length;
    },
  };
}
