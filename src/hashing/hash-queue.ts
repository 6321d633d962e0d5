import type { Slots } from './slots.ts';

/** Phrases that one slot hashes before it is given back. Giving it back sooner would leave its core idle. */
export const MAX_IN_A_ROW = 8;
/** Phrases that a thread gets at once. */
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
 * Hashing that waits for a slot. If several phrases wait, a slot takes them in batches: argon2 empties the caches, so
 * waking the event loop for each result would cost far more than the results themselves.
 */
export function createHashQueue(slots: Slots, hashAll: (batch: readonly Phrase[]) => Promise<Uint8Array[]>): HashQueue {
  const waiting: Job[] = [];
  let requested = 0;

  async function serve(): Promise<void> {
    requested += 1;
    const release = await slots.acquire();
    requested -= 1;
    for (let served = 0; served < MAX_IN_A_ROW && waiting.length > 0; ) {
      // The first batch is half of the queue, so that a short queue is spread over cores: other slots may arrive soon.
      // Phrases that still wait after that wait because no other slot is free.
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
      // A slot may have taken more jobs than the one it was requested for: then a request is still open for this job.
      if (requested < waiting.length) void serve();
      return job.promise;
    },
    get waiting() {
      return waiting.length;
    },
  };
}
