import type { Collection } from 'mongodb';
import { grantedAt, type Limit, refusedAt, type Taken, take } from '../../limits/limits.ts';
import type { LimitStore } from '../../limits/store.ts';
import type { LimitDocument } from './collections.ts';
import { DUPLICATE_KEY, hasCode } from './engine/error-codes.ts';
import { translateFailures } from './engine/unavailable.ts';
import { grantsOne, takeOne } from './gcra.ts';

/** Other processes can create or remove a document in between; but not again and again. */
const MAX_ATTEMPTS = 4;

/** Limits in MongoDB: one document for each key. */
export function createMongoLimitStore(limits: () => Collection<LimitDocument>): LimitStore {
  /** @returns undefined when nothing was taken of this key before. */
  async function takeAgain(key: Uint8Array, limit: Limit, now: number): Promise<Taken | undefined> {
    const granted = await limits().findOneAndUpdate(
      { _id: key, ...grantsOne('fullAt', limit, now) },
      [{ $set: { ...takeOne('fullAt', limit, now), removeAt: removeAt(limit, now) } }],
      { returnDocument: 'after' },
    );
    if (granted) return grantedAt(granted.fullAt - now, limit);
    const refused = await limits().findOne({ _id: key });
    return refused ? refusedAt(refused.fullAt - now, limit) : undefined;
  }

  /** @returns undefined when another process was faster. */
  async function takeFirst(key: Uint8Array, limit: Limit, now: number): Promise<Taken | undefined> {
    const { fullAt, taken } = take(0, limit, now);
    try {
      await limits().insertOne({ _id: key, fullAt, removeAt: removeAt(limit, now) });
      return taken;
    } catch (error) {
      if (hasCode(error, DUPLICATE_KEY)) return undefined;
      throw error;
    }
  }

  return translateFailures({
    async take(key, limit, now) {
      for (let attempts = 1; attempts <= MAX_ATTEMPTS; attempts++) {
        const taken = (await takeAgain(key, limit, now)) ?? (await takeFirst(key, limit, now));
        if (taken) return taken;
      }
      throw new Error('too many processes take of one limit');
    },

    async giveBack(key, { intervalMs }) {
      await limits().updateOne({ _id: key }, { $inc: { fullAt: -intervalMs } });
    },
  } satisfies LimitStore);
}

/** By then nothing is taken of the limit. */
function removeAt({ burst, intervalMs, toleranceMs }: Limit, now: number): Date {
  return new Date(now + burst * intervalMs + toleranceMs);
}
