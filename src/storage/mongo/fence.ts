import { randomBytes } from 'node:crypto';
import type { Collection } from 'mongodb';
import { advanced, DATABASE_ID_BYTES, type FenceState, type FenceStore, unmarked } from '../../fence/store.ts';
import type { FenceDocument } from './collections.ts';
import { DUPLICATE_KEY, hasCode } from './engine/error-codes.ts';
import { translateFailures } from './engine/unavailable.ts';

const FENCE = 'fence';
/** Each worker in our way has moved the mark, and moves it once a second. */
const MAX_ATTEMPTS = 100;
/** The driver gives up after 4 s. */
const COUNT_MS = 3_000;

export function createMongoFenceStore(fence: () => Collection<FenceDocument>): FenceStore {
  const { look, change } = createFenceRecord(fence);
  const advance: FenceStore['advance'] = (now, known) => change((state) => advanced(state, now, known));
  return translateFailures({
    look,

    advance,
    advanceIfWritten: advance,

    async touch() {
      await fence().updateOne({ _id: FENCE }, { $max: { mark: 0 } }); // changes nothing, and is confirmed like any other
    },

    async countRefused(refusedUntil, now) {
      const readable = { state: 'waiting', createdAt: { $lte: refusedUntil }, visibleUntil: { $gt: now } };
      return fence().countDocuments(readable as object, { maxTimeMS: COUNT_MS });
    },
  } satisfies FenceStore);
}

/** The fence's record in MongoDB: an update needs the document as it was read, because every change moves its mark. */
export function createFenceRecord(fence: () => Collection<FenceDocument>) {
  async function look(): Promise<FenceState | undefined> {
    const found = await fence().findOne({ _id: FENCE }, { projection: { _id: 0 } });
    return found ?? undefined;
  }

  /** @returns false when another process was faster. */
  async function replace(before: FenceState | undefined, after: FenceState): Promise<boolean> {
    if (before) return (await fence().updateOne({ _id: FENCE, ...before }, { $set: after })).matchedCount === 1;
    try {
      await fence().insertOne({ _id: FENCE, ...after });
      return true;
    } catch (error) {
      if (hasCode(error, DUPLICATE_KEY)) return false;
      throw error;
    }
  }

  /** @returns the new state. */
  async function change(how: (state: FenceState) => FenceState): Promise<FenceState> {
    for (let attempts = 1; attempts <= MAX_ATTEMPTS; attempts++) {
      const before = await look();
      const after = how(before ?? unmarked(randomBytes(DATABASE_ID_BYTES).toString('hex')));
      if (await replace(before, after)) return after;
    }
    throw new Error('too many processes move the mark');
  }

  return { look, change };
}
