import type { Collection } from 'mongodb';
import { grantedAt, grantedDebtMs, type Limit, longestDebtMs, refusedAt, type Taken } from '../../limits/limits.ts';
import type { LimitStore } from '../../limits/store.ts';
import type { LimitDocument } from './collections.ts';
import { DUPLICATE_KEY, hasCode } from './engine/error-codes.ts';
import { translateFailures } from './engine/unavailable.ts';
import { debtOf, grantsOne, takeOne } from './gcra.ts';

/** Other processes can create or change a document between our steps; but not again and again. */
const MAX_ATTEMPTS = 4;
/** Each time, other processes took first. */
const TOO_BUSY: Taken = { granted: false, retryAfterMs: 1 };

/** Limits in MongoDB: one document for each key. */
export function createMongoLimitStore(limits: () => Collection<LimitDocument>): LimitStore {
  /** @returns undefined when it was not granted, or there is no document. */
  async function tryToTake(key: Uint8Array, limit: Limit, now: number): Promise<Taken | undefined> {
    const granted = await limits().findOneAndUpdate(
      { _id: key, ...grantsOne('fullAt', limit, now) },
      [{ $set: { ...takeOne('fullAt', limit, now), removeAt: removeAt(limit, now) } }],
      { returnDocument: 'after' },
    );
    return granted ? grantedAt(granted.fullAt - now, limit) : undefined;
  }

  /** @returns undefined when nothing stands in the way any more. */
  async function refusalBy({ _id, fullAt }: LimitDocument, limit: Limit, now: number): Promise<Taken | undefined> {
    const debtMs = await debtOf(fullAt, limit, now, (kept) =>
      limits().updateOne({ _id, fullAt }, { $set: { fullAt: kept } }),
    );
    return debtMs > grantedDebtMs(limit) ? refusedAt(debtMs, limit) : undefined;
  }

  /** Takes nothing: only one of several callers creates the document. */
  async function create(key: Uint8Array, limit: Limit, now: number): Promise<undefined> {
    try {
      await limits().insertOne({ _id: key, fullAt: 0, removeAt: removeAt(limit, now) });
    } catch (error) {
      if (!hasCode(error, DUPLICATE_KEY)) throw error; // else another process created it
    }
  }

  return translateFailures({
    async take(key, limit, now) {
      for (let attempts = 1; attempts <= MAX_ATTEMPTS; attempts++) {
        const taken = await tryToTake(key, limit, now);
        if (taken) return taken;
        const found = await limits().findOne({ _id: key });
        const refusal = found ? await refusalBy(found, limit, now) : await create(key, limit, now);
        if (refusal) return refusal;
      }
      return TOO_BUSY;
    },

    async giveBack(key, { intervalMs }) {
      await limits().updateOne({ _id: key }, { $inc: { fullAt: -intervalMs } });
    },
  } satisfies LimitStore);
}

/** By then nothing is taken of the limit. */
function removeAt(limit: Limit, now: number): Date {
  return new Date(now + longestDebtMs(limit));
}
