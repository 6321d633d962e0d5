import type { Collection, IndexDescription } from 'mongodb';
import {
  createGrantedMs,
  createIntervalMs,
  FULL_RETRY_MS,
  type Refusal,
  type Share,
  type StoreLimits,
  storedBytes,
} from '../../secrets/store.ts';
import type { SecretDocument } from './collections.ts';
import { DUPLICATE_KEY, hasCode } from './engine/error-codes.ts';

/** What a client has taken of its limits. */
export type ClientDocument = {
  _id: Uint8Array;
  /** When the rate will be whole again (GCRA: each creation moves it on by one interval). */
  rateFullAt: number;
  /** Of its waiting secrets; never less than there are, but more after a crash between two steps. */
  secrets: number;
  bytes: number;
  takenAt: number;
  countedAt: number;
  /** From then on no secret of this client is waiting, and its rate is whole. */
  removeAt: Date;
};

export const CLIENT_INDEXES: readonly IndexDescription[] = [
  { name: 'remove', key: { removeAt: 1 }, expireAfterSeconds: 30 },
];

/** No step takes longer: by then what was taken is stored, or never will be. */
const SETTLED_MS = 30_000;
/** As often as this a client that would be refused is counted anew. */
const COUNT_INTERVAL_MS = 5_000;
/** A document can be made, or removed, by others in between; but not again and again. */
const MAX_ATTEMPTS = 4;
const MINUTE_MS = 60_000;
/** Others took what was free, each time again. */
const TOO_BUSY: Refusal = { reason: 'rate', retryAfterMs: 1000 };

/** What to take: one of the rate, a place and room, or both. */
type Wish = { client: Uint8Array; now: number; takesRate: boolean; placeFor?: { bytes: number; until: number } };

export type Clients = {
  /** @returns why nothing was taken; undefined when it was. */
  take(wish: Wish): Promise<Refusal | undefined>;
  /** Gives back places and room of secrets that are no longer waiting. Nobody need wait for it. */
  release(shares: readonly Share[]): void;
  /** Resolves when everything is given back, or could not be. */
  settle(): Promise<void>;
};

/**
 * Limits per client in MongoDB. Taking is one update of one document, so that any number of processes share them
 * exactly. That document and the secret are two, though: who crashes between them leaves too much taken, and so does the
 * TTL index, which tells nobody. That is put right when a client would be refused for it. Nor does a read wait until its
 * share is given back: by then the secret is gone, and its reader must have it.
 */
export function createClients(
  collections: () => { clients: Collection<ClientDocument>; secrets: Collection<SecretDocument> },
  limits: StoreLimits,
): Clients {
  const intervalMs = createIntervalMs(limits);
  const grantedMs = createGrantedMs(limits);
  const releasing = new Set<Promise<unknown>>();

  /** Without upsert: several callers would be told that they made the document. */
  async function tryToTake({ client, now, takesRate, placeFor }: Wish): Promise<boolean> {
    const until = Math.max(now + MINUTE_MS, placeFor?.until ?? 0);
    const rateFullAt = { $add: [{ $max: ['$rateFullAt', now] }, intervalMs] };
    const place = { secrets: { $add: ['$secrets', 1] }, bytes: { $add: ['$bytes', placeFor?.bytes ?? 0] } };
    const dates = { takenAt: { $max: ['$takenAt', now] }, removeAt: { $max: ['$removeAt', new Date(until)] } };
    const { matchedCount } = await collections().clients.updateOne(
      {
        _id: client,
        secrets: { $lt: limits.clientMaxSecrets },
        bytes: { $lte: limits.clientMaxBytes - bytesOf(placeFor) },
        ...(takesRate && { rateFullAt: { $lte: now + grantedMs } }),
      },
      [{ $set: { ...(takesRate && { rateFullAt }), ...(placeFor && place), ...dates } }],
    );
    return matchedCount === 1;
  }

  /** What stands in the way; undefined when it no longer does. */
  function refusalBy({ rateFullAt, secrets, bytes }: ClientDocument, wish: Wish): Refusal | undefined {
    const waitMs = wish.takesRate ? rateFullAt - wish.now - grantedMs : 0;
    if (waitMs > 0) return { reason: 'rate', retryAfterMs: waitMs };
    const isOver = secrets >= limits.clientMaxSecrets || bytes + bytesOf(wish.placeFor) > limits.clientMaxBytes;
    return isOver ? { reason: 'quota', retryAfterMs: FULL_RETRY_MS } : undefined;
  }

  async function make({ client, now }: Wish): Promise<undefined> {
    const empty = { rateFullAt: 0, secrets: 0, bytes: 0, takenAt: now, countedAt: 0, removeAt: new Date(now) };
    try {
      await collections().clients.insertOne({ _id: client, ...empty });
    } catch (error) {
      if (!hasCode(error, DUPLICATE_KEY)) throw error; // else somebody else made it
    }
  }

  /**
   * Counts what is there, when nothing was taken for so long that all of it must be. Secrets whose time is over count as
   * long as they are there: who removes them gives their share back.
   * @returns false when it is not the time for it.
   */
  async function recount(client: Uint8Array, now: number): Promise<boolean> {
    const { clients, secrets } = collections();
    const due = { takenAt: { $lte: now - SETTLED_MS }, countedAt: { $lte: now - COUNT_INTERVAL_MS } };
    const before = await clients.findOneAndUpdate({ _id: client, ...due }, { $set: { countedAt: now } });
    if (!before) return false;
    const sum = { _id: null, secrets: { $sum: 1 }, bytes: { $sum: '$bytes' } };
    const [counted] = await secrets.aggregate([{ $match: { client } }, { $group: sum }]).toArray();
    const actual = { secrets: counted?.secrets ?? 0, bytes: counted?.bytes ?? 0 };
    const unchanged = { _id: client, takenAt: before.takenAt, secrets: before.secrets, bytes: before.bytes };
    return (await clients.updateOne(unchanged, { $set: actual })).matchedCount === 1;
  }

  async function settle(): Promise<void> {
    await Promise.all(releasing);
  }

  return {
    async take(wish) {
      for (let attempts = 1; ; attempts++) {
        const wasReleasing = releasing.size > 0; // what is over by the time of a refusal counts too
        if (await tryToTake(wish)) return undefined;
        const found = await collections().clients.findOne({ _id: wish.client });
        const refusal = found ? refusalBy(found, wish) : await make(wish);
        if (refusal?.reason === 'rate' || attempts === MAX_ATTEMPTS) return refusal ?? TOO_BUSY;
        if (wasReleasing) await settle();
        else if (refusal && !(await recount(wish.client, wish.now))) return refusal;
      }
    },

    release(shares) {
      const updates = shares.map(({ client, bytes }) => ({
        updateOne: {
          filter: { _id: client, secrets: { $gte: 1 }, bytes: { $gte: bytes } },
          update: { $inc: { secrets: -1, bytes: -bytes } },
        },
      }));
      if (updates.length === 0) return;
      const done = collections().clients.bulkWrite(updates, { ordered: false });
      const settled = done.catch(() => {}).finally(() => releasing.delete(settled)); // what fails is counted anew one day
      releasing.add(settled);
    },

    settle,
  };
}

/** Who only asks needs room for the least there is. */
function bytesOf(placeFor: Wish['placeFor']): number {
  return placeFor?.bytes ?? storedBytes(0);
}
