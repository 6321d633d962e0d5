import { type Cost, PHRASE_COST } from './cost.ts';
import type { Slots } from './slots.ts';

/** Phrases that one slot hashes before it is given back. Giving it back sooner would leave its core idle. */
export const MAX_IN_A_ROW = 8;
/** Phrases that a thread gets at once. */
export const MAX_BATCH = 3;

export type Phrase = { phrase: Uint8Array; salt: Uint8Array; cost: Cost };
/** @param cost default: that of a phrase. */
export type Hash = (phrase: Uint8Array, salt: Uint8Array, cost?: Cost) => Promise<Uint8Array>;
/** Who hashes: they take turns, so that a flood of one kind does not hold up the other. */
export type Lane = {
  hash: Hash;
  /** Jobs of this lane that wait for a slot now. */
  readonly waiting: number;
};
type Job = Phrase & PromiseWithResolvers<Uint8Array>;

/**
 * Hashing that waits for a slot. If several phrases wait, a slot takes them in batches: argon2 empties the caches, so
 * waking the event loop for each result would cost far more than the results themselves.
 * @returns a function that adds a lane.
 */
export function createHashQueue(
  slots: Slots,
  hashAll: (batch: readonly Phrase[]) => Promise<Uint8Array[]>,
): () => Lane {
  const lanes: Job[][] = [];
  let turn = 0;
  let waiting = 0;
  let requested = 0;

  async function serve(): Promise<void> {
    requested += 1;
    const release = await slots.acquire();
    requested -= 1;
    for (let served = 0; served < MAX_IN_A_ROW && waiting > 0; ) {
      // The first batch is half of the queue, so that a short queue is spread over cores: other slots may arrive soon.
      // Phrases that still wait after that wait because no other slot is free.
      const share = served === 0 ? Math.ceil(waiting / 2) : waiting;
      const batch = take(Math.min(share, MAX_BATCH));
      served += batch.length;
      await run(batch);
    }
    release();
  }

  /** One of each lane that has any, in turn. */
  function take(count: number): Job[] {
    const batch: Job[] = [];
    while (batch.length < count && waiting > 0) {
      const job = lanes[turn]?.shift();
      turn = (turn + 1) % lanes.length;
      if (!job) continue;
      waiting -= 1;
      batch.push(job);
    }
    return batch;
  }

  async function run(batch: readonly Job[]): Promise<void> {
    try {
      const keys = await hashAll(batch.map(({ phrase, salt, cost }) => ({ phrase, salt, cost })));
      for (const [index, { resolve }] of batch.entries()) resolve(keys[index] as Uint8Array);
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
  }

  return () => {
    const lane: Job[] = [];
    lanes.push(lane);
    return {
      hash(phrase, salt, cost = PHRASE_COST) {
        const job = { phrase, salt, cost, ...Promise.withResolvers<Uint8Array>() };
        lane.push(job);
        waiting += 1;
        // A slot may have taken more jobs than the one it was requested for: then a request is still open for this job.
        if (requested < waiting) void serve();
        return job.promise;
      },
      get waiting() {
        return lane.length;
      },
    };
  };
}
