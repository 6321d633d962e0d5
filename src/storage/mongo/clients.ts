import type { Collection } from 'mongodb';
import {
  createRate,
  FULL_RETRY_MS,
  grantedDebtMs,
  type Refusal,
  refusedAt,
  type StoreLimits,
} from '../../limits/limits.ts';
import type { Share } from '../../secrets/store.ts';
import type { ClientDocument, SecretDocument } from './collections.ts';
import { DUPLICATE_KEY, hasCode } from './engine/error-codes.ts';
import { debtOf, grantsOne, takeOne } from './gcra.ts';

/** No step takes longer: after this time a taken place has its secret, or never will. */
const SETTLED_MS = 30_000;
/** How often a client that would be refused is recounted. */
const COUNT_INTERVAL_MS = 5_000;
/** Other processes can create or remove a document in between; but not again and again. */
const MAX_ATTEMPTS = 4;
const MINUTE_MS = 60_000;
/** Each time, other processes took the free place first. */
const TOO_BUSY: Refusal = { reason: 'rate', retryAfterMs: 1000 };

/** What to take: one creation from the rate, room in the quota, or both. */
type Wish = {
  client: Uint8Array;
  now: number;
  takesRate: boolean;
  /** What must be free. */
  room: { places: 0 | 1; bytes: number };
  /** The room is taken, and needed until then. */
  takesRoomUntil?: number;
};
/** For a wish that needs no room. */
export const NO_ROOM = { places: 0, bytes: 0 } as const;

export type Clients = {
  /** @returns why nothing was taken; undefined when it was taken. */
  take(wish: Wish): Promise<Refusal | undefined>;
  /**
   * Gives back the places and bytes of secrets that no longer wait, in the background.
   * @param places that each share has; 0 where only bytes were taken.
   */
  release(shares: readonly Share[], places?: 0 | 1): void;
  /** Resolves when nothing is being given back any more. */
  settle(): Promise<void>;
};

/**
 * Limits per client in MongoDB. One update of one document takes from the rate and the quota, so that any number of
 * processes share them exactly. The secret is another document, though: a crash between the two leaves too much taken,
 * and so does the TTL index, which removes secrets without a report. A recount corrects that before a client is refused
 * for it. A read does not wait until its share is given back: the secret is gone, and its reader must get it.
 */
export function createClients(
  { clients, secrets }: { clients: () => Collection<ClientDocument>; secrets: () => Collection<SecretDocument> },
  limits: StoreLimits,
): Clients {
  const rate = createRate(limits);
  const releasing = new Set<Promise<unknown>>();

  /** Without upsert, because several callers would learn that they created the document. */
  async function tryToTake({ client, now, takesRate, room, takesRoomUntil }: Wish): Promise<boolean> {
    const until = Math.max(now + MINUTE_MS, takesRoomUntil ?? 0);
    const taken = { secrets: { $add: ['$secrets', room.places] }, bytes: { $add: ['$bytes', room.bytes] } };
    const dates = { takenAt: { $max: ['$takenAt', now] }, removeAt: { $max: ['$removeAt', new Date(until)] } };
    const { matchedCount } = await clients().updateOne(
      {
        _id: client,
        ...(room.places > 0 && { secrets: { $lt: limits.clientMaxSecrets } }),
        ...(room.bytes > 0 && { bytes: { $lte: limits.clientMaxBytes - room.bytes } }),
        ...(takesRate && grantsOne('rateFullAt', rate, now)),
      },
      [{ $set: { ...(takesRate && takeOne('rateFullAt', rate, now)), ...(takesRoomUntil && taken), ...dates } }],
    );
    return matchedCount === 1;
  }

  /** @returns undefined when nothing stands in the way any more. */
  async function refusalBy(found: ClientDocument, wish: Wish): Promise<Refusal | undefined> {
    const { _id, rateFullAt } = found;
    const debtMs = await debtOf(rateFullAt, rate, wish.now, (kept) =>
      clients().updateOne({ _id, rateFullAt }, { $set: { rateFullAt: kept } }),
    );
    if (wish.takesRate && debtMs > grantedDebtMs(rate)) {
      return { reason: 'rate', retryAfterMs: refusedAt(debtMs, rate).retryAfterMs };
    }
    const { places, bytes } = wish.room;
    const isWithoutPlace = places > 0 && found.secrets >= limits.clientMaxSecrets;
    const isOver = bytes > 0 && found.bytes + bytes > limits.clientMaxBytes;
    return isWithoutPlace || isOver ? { reason: 'quota', retryAfterMs: FULL_RETRY_MS } : undefined;
  }

  async function create({ client, now }: Wish): Promise<undefined> {
    const empty = { rateFullAt: 0, secrets: 0, bytes: 0, takenAt: now, countedAt: 0, removeAt: new Date(now) };
    try {
      await clients().insertOne({ _id: client, ...empty });
    } catch (error) {
      if (!hasCode(error, DUPLICATE_KEY)) throw error; // else another process created it
    }
  }

  /**
   * Counts a client's secrets, once nothing was taken for so long that every taken place must have its secret. Expired
   * secrets count until they are removed, because their removal gives their share back.
   * @returns false when it is too early.
   */
  async function recount(client: Uint8Array, now: number): Promise<boolean> {
    const due = { takenAt: { $lte: now - SETTLED_MS }, countedAt: { $lte: now - COUNT_INTERVAL_MS } };
    const before = await clients().findOneAndUpdate({ _id: client, ...due }, { $set: { countedAt: now } });
    if (!before) return false;
    const sum = { _id: null, secrets: { $sum: 1 }, bytes: { $sum: '$bytes' } };
    const [counted] = await secrets()
      .aggregate([{ $match: { client } }, { $group: sum }])
      .toArray();
    const actual = { secrets: counted?.secrets ?? 0, bytes: counted?.bytes ?? 0 };
    const unchanged = { _id: client, takenAt: before.takenAt, secrets: before.secrets, bytes: before.bytes };
    return (await clients().updateOne(unchanged, { $set: actual })).matchedCount === 1;
  }

  async function settle(): Promise<void> {
    await Promise.all(releasing);
  }

  return {
    async take(wish) {
      for (let attempts = 1; ; attempts++) {
        const wasReleasing = releasing.size > 0; // a share that is free by the time of a refusal counts too
        if (await tryToTake(wish)) return undefined;
        const found = await clients().findOne({ _id: wish.client });
        const refusal = found ? await refusalBy(found, wish) : await create(wish);
        if (refusal?.reason === 'rate' || attempts === MAX_ATTEMPTS) return refusal ?? TOO_BUSY;
        if (wasReleasing) await settle();
        else if (refusal && !(await recount(wish.client, wish.now))) return refusal;
      }
    },

    release(shares, places = 1) {
      const updates = shares.map(({ client, bytes }) => ({
        updateOne: {
          filter: { _id: client, secrets: { $gte: places }, bytes: { $gte: bytes } },
          update: { $inc: { secrets: -places, bytes: -bytes } },
        },
      }));
      if (updates.length === 0) return;
      const done = clients().bulkWrite(updates, { ordered: false });
      const settled = done.catch(() => {}).finally(() => releasing.delete(settled)); // after a failure, a recount corrects it one day
      releasing.add(settled);
    },

    settle,
  };
}

/** The part of its client's quota that a waiting secret takes. */
export function sharesOf({ client, bytes }: Pick<SecretDocument, 'client' | 'bytes'>): Share[] {
  return client && bytes !== undefined ? [{ client, bytes }] : [];
}
