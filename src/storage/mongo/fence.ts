import { randomBytes } from 'node:crypto';
import type { Db } from 'mongodb';
import {
  advanced,
  DATABASE_ID_BYTES,
  decided,
  endsSessions,
  type FenceControl,
  type FenceState,
  type FenceStore,
  unmarked,
} from '../../fence/store.ts';
import { fenceIn, LINKS, MAILS, SESSIONS, SIGNING_KEYS } from './collections.ts';
import { DUPLICATE_KEY, hasCode } from './engine/error-codes.ts';
import { translateFailures } from './engine/unavailable.ts';

const FENCE = 'fence';
/** Each worker in our way has moved the mark, and moves it once a second. */
const MAX_ATTEMPTS = 100;
/** The driver gives up after 4 s. */
const COUNT_MS = 3_000;
/** Sessions to remove in one step. */
const END_STEP = 1_000;

export function createMongoFenceStore(database: () => Db): FenceStore {
  const fence = () => fenceIn(database());
  const { look, advance } = createFenceRecord(database);
  return translateFailures({
    look,

    advance,
    advanceIfWritten: advance,

    async touch() {
      await fence().updateOne({ _id: FENCE }, { $max: { mark: 0 } }); // changes nothing, and is confirmed like any other
    },

    async countRefused(refusedUntil, now) {
      const state = { $in: ['waiting', 'requested'] };
      const refused = { state, createdAt: { $lte: refusedUntil }, visibleUntil: { $gt: now } };
      return fence().countDocuments(refused as object, { maxTimeMS: COUNT_MS });
    },
  } satisfies FenceStore);
}

/** The fence's record in MongoDB: an update needs the document as it was read, because every change moves its mark. */
export function createFenceRecord(database: () => Db) {
  const fence = () => fenceIn(database());

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

  /** Before the mark moves, because a session without its document does not live. */
  async function endAllSessions(): Promise<void> {
    for (let ended = END_STEP; ended === END_STEP; ) {
      const found = await SESSIONS.in(database())
        .find({}, { projection: { _id: 1 }, limit: END_STEP })
        .toArray();
      ended = found.length;
      if (ended > 0) await SESSIONS.in(database()).deleteMany({ _id: { $in: found.map(({ _id }) => _id) } });
    }
    await MAILS.in(database()).deleteMany({});
    await SIGNING_KEYS.in(database()).deleteMany({ _id: 'keys' });
    await LINKS.in(database()).deleteMany({});
  }

  /** @returns the new state. */
  async function change(
    how: (state: FenceState) => FenceState,
    mustEndSessions: (state: FenceState) => boolean,
  ): Promise<FenceState> {
    for (let attempts = 1; attempts <= MAX_ATTEMPTS; attempts++) {
      const stored = await look();
      const before = stored ?? unmarked(randomBytes(DATABASE_ID_BYTES).toString('hex'));
      const after = how(before);
      if (mustEndSessions(before)) await endAllSessions();
      if (await replace(stored, after)) return after;
    }
    throw new Error('too many processes move the mark');
  }

  const advance: FenceStore['advance'] = (now, known) =>
    change(
      (state) => advanced(state, now, known),
      (state) => endsSessions(state, known),
    );
  const decide: FenceControl['decide'] = (decision, now, known) =>
    change(
      (state) => decided(state, decision, now, known),
      (state) => endsSessions(state, known, decision),
    );
  return { look, advance, decide };
}
