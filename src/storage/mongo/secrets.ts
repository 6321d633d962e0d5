import {
  type Collection,
  type Document,
  type Filter,
  type IndexDescription,
  MongoServerError,
  MongoWriteConcernError,
} from 'mongodb';
import {
  contentBytesOf,
  FULL_RETRY_MS,
  type NewSecret,
  RECEIPT_MS,
  type Receipt,
  type Refusal,
  retryAfterMsAt,
  type SecretStore,
  type Share,
  storedBytes,
  TRY_GRANTED_MS,
  TRY_REFILL_MS,
  triesLeftAt,
} from '../../secrets/store.ts';
import type { EventType } from '../../webhooks/store.ts';
import type { Room } from './capacity.ts';
import type { Clients } from './clients.ts';
import type { SecretDocument } from './collections.ts';
import { translateFailures } from './engine/unavailable.ts';

/** For a database whose clock is ahead of ours: by itself it must not end a secret before its time. */
const TTL_GRACE_SECONDS = 30;

const IS_EVENT = { 'event.dueAt': { $exists: true } } as const;

/**
 * The first lets the database remove what is over, even while no worker runs, and serves our own sweep, which is
 * sooner; the second and third find content to wipe in documents that a receipt or an event keeps; the next one counts
 * what one client has. The last two find events: which is due first, and what is due for each destination.
 */
export const INDEXES: readonly IndexDescription[] = [
  { name: 'remove', key: { removeAt: 1 }, expireAfterSeconds: TTL_GRACE_SECONDS },
  { name: 'wipe', key: { visibleUntil: 1 }, partialFilterExpression: { receiptHash: { $exists: true } } },
  {
    name: 'wipe_notifying',
    key: { visibleUntil: 1, state: 1 },
    partialFilterExpression: { notify: { $exists: true } },
  },
  { name: 'client', key: { client: 1 }, partialFilterExpression: { client: { $exists: true } } },
  { name: 'due', key: { 'event.dueAt': 1, 'event.at': 1 }, partialFilterExpression: IS_EVENT },
  { name: 'due_there', key: { 'notify.destination': 1, 'event.dueAt': 1 }, partialFilterExpression: IS_EVENT },
];

const CONTENT = { envelope: '', visibleUntil: '', claimTag: '', client: '', bytes: '' } as const;
const FOUND = {
  state: 1,
  createdAt: 1,
  expiresAt: 1,
  envelope: 1,
  notify: 1,
  claimTag: 1,
  client: 1,
  bytes: 1,
} as const;
const WIPE = { $unset: Object.keys(CONTENT) };
/** In a pipeline: whether a receipt or an event needs the document. */
const IS_KEPT = { $or: ['$receiptHash', '$notify'] } as const;
const ONE_TRY_LESS = { tries: -1, triesFullAt: -TRY_REFILL_MS } as const;
const UNTRACED = { receiptHash: { $exists: false }, notify: { $exists: false } } as const;
/** Neither read nor burned, and not wiped yet. */
const UNENDED = { state: 'waiting', visibleUntil: { $exists: true } } as const;

type Over = Pick<SecretDocument, '_id' | 'state' | 'visibleUntil' | 'client' | 'bytes'>;
/** @returns how many it wiped. */
type Wipe = (which: Filter<SecretDocument>) => Promise<number>;

/**
 * Secrets in MongoDB. Every filter checks the instant itself, for the TTL index lags. What ends a secret asks for no
 * document back: to answer a retry the server would keep a copy of it (`config.image_collection`).
 */
export function createMongoSecretStore(
  secrets: () => Collection<SecretDocument>,
  clients: Clients,
  room: Room,
): SecretStore {
  async function findOver(filter: Filter<SecretDocument>, limit: number): Promise<Over[]> {
    if (limit === 0) return []; // to MongoDB this would be no limit
    return secrets()
      .find(filter, { projection: { state: 1, visibleUntil: 1, client: 1, bytes: 1 }, limit })
      .toArray();
  }

  /**
   * Wipes those found of which the filter still is true, the secrets that nobody ended in a step of their own: for the
   * database tells how many a step wiped, and not which.
   * @returns the number of those secrets. Where others swept some of them too, nobody knows whose shares are whose to give
   *   back: their clients are counted anew one day.
   */
  async function wipe(found: readonly Over[], filter: Filter<SecretDocument>, run: Wipe): Promise<number> {
    const [unended = [], others = []] = [true, false].map((wanted) => found.filter((one) => isUnended(one) === wanted));
    const among = (some: readonly Over[]): Filter<SecretDocument> => ({
      ...filter,
      _id: { $in: some.map(({ _id }) => _id) },
    });
    if (others.length > 0) await run(among(others));
    if (unended.length === 0) return 0;
    const wiped = await run({ ...UNENDED, ...among(unended) });
    if (wiped === unended.length) clients.release(unended.flatMap(sharesOf));
    return wiped;
  }

  async function insert({
    id,
    envelope,
    notify,
    createdAt,
    expiresAt,
    receiptHash,
    creator,
  }: NewSecret): Promise<void> {
    const client = creator?.client;
    const bytes = storedBytes(contentBytesOf({ envelope, notify }));
    try {
      await secrets().insertOne({
        _id: id,
        state: 'waiting',
        createdAt,
        expiresAt,
        tries: 0,
        triesFullAt: 0,
        reads: 0,
        ...(receiptHash && { receiptHash }),
        ...(client && { client, bytes }),
        ...(notify && { notify }),
        envelope,
        visibleUntil: expiresAt,
        removeAt: new Date(receiptHash || notify ? expiresAt + RECEIPT_MS : expiresAt),
      });
    } catch (error) {
      if (client && isSurelyUndone(error)) clients.release([{ client, bytes }]);
      throw error;
    }
  }

  async function takeFor(secret: NewSecret): Promise<Refusal | undefined> {
    if (!secret.creator) return undefined;
    const { client, now, isAdmitted } = secret.creator;
    const placeFor = { bytes: storedBytes(contentBytesOf(secret)), until: secret.expiresAt };
    return clients.take({ client, now, takesRate: !isAdmitted, placeFor });
  }

  return translateFailures({
    async create(secret) {
      const reserved = await room.reserve(storedBytes(contentBytesOf(secret)));
      if (!reserved) return { reason: 'full', retryAfterMs: FULL_RETRY_MS };
      let isStored = false;
      try {
        const refusal = await takeFor(secret);
        if (refusal) return refusal;
        isStored = true; // or may be, if this fails
        await insert(secret);
        return undefined;
      } finally {
        reserved(isStored);
      }
    },

    async admit(client, now) {
      const reserved = await room.reserve(storedBytes(0));
      if (!reserved) return { reason: 'full', retryAfterMs: FULL_RETRY_MS };
      reserved(false); // it was only asked
      return clients.take({ client, now, takesRate: true });
    },

    async find(id, now) {
      const found = await secrets().findOne({ _id: id, visibleUntil: { $gt: now } }, { projection: FOUND });
      if (!found?.envelope) return undefined;
      const { createdAt, expiresAt, envelope, notify, claimTag } = found;
      if (!claimTag) return { state: 'waiting', createdAt, expiresAt, envelope, notify, share: sharesOf(found)[0] };
      return { state: 'copy', createdAt, expiresAt, envelope, claimTag };
    },

    async reserveTry(id, now) {
      const visible = { _id: id, visibleUntil: { $gt: now } };
      const granted = await secrets().findOneAndUpdate(
        { ...visible, triesFullAt: { $lte: now + TRY_GRANTED_MS } },
        [
          {
            $set: {
              tries: { $add: ['$tries', 1] },
              triesFullAt: { $add: [{ $max: ['$triesFullAt', now] }, TRY_REFILL_MS] },
            },
          },
        ],
        { returnDocument: 'after', projection: { triesFullAt: 1 } },
      );
      if (granted) {
        const debtMs = granted.triesFullAt - now;
        return { granted: true, triesLeft: triesLeftAt(debtMs) };
      }
      const refused = await secrets().findOne(visible, { projection: { triesFullAt: 1 } });
      return refused ? { granted: false, retryAfterMs: retryAfterMsAt(refused.triesFullAt - now) } : undefined;
    },

    async refundTry(id) {
      await secrets().updateOne({ _id: id, tries: { $gt: 0 } }, { $inc: ONE_TRY_LESS });
    },

    async claim(id, now, { copy, refundTry, share, eventDueAt = now }) {
      const waiting = { _id: id, state: 'waiting', visibleUntil: { $gt: now } } as const;
      const shares = share ? [share] : [];
      if (!copy && (await secrets().deleteOne({ ...waiting, ...UNTRACED })).deletedCount === 1) {
        clients.release(shares);
        return true;
      }
      const receiptOverAt = new Date(now + RECEIPT_MS);
      const { matchedCount } = await secrets().updateOne(waiting, [
        {
          $set: {
            state: 'read',
            endedAt: now,
            reads: 1,
            tries: { $subtract: ['$tries', refundTry ? 1 : 0] },
            triesFullAt: { $subtract: ['$triesFullAt', refundTry ? TRY_REFILL_MS : 0] },
            envelope: copy?.envelope ?? '$$REMOVE',
            visibleUntil: copy?.until ?? '$$REMOVE',
            claimTag: copy?.claimTag ?? '$$REMOVE',
            client: '$$REMOVE',
            bytes: '$$REMOVE',
            event: newEvent('read', now, eventDueAt),
            removeAt: copy ? { $cond: [IS_KEPT, receiptOverAt, new Date(copy.until)] } : receiptOverAt,
          },
        },
      ]);
      if (matchedCount === 1) clients.release(shares);
      return matchedCount === 1;
    },

    async reread(id, now, { claimTag, maxReads, refundTry }) {
      const copy = { _id: id, claimTag, visibleUntil: { $gt: now } };
      const count = { $inc: { reads: 1, ...(refundTry && ONE_TRY_LESS) } };
      const counted = await secrets().updateOne({ ...copy, reads: { $lt: maxReads - 1 } }, count);
      if (counted.matchedCount === 1) return true;
      const last = { ...copy, reads: maxReads - 1 };
      if ((await secrets().deleteOne({ ...last, ...UNTRACED })).deletedCount === 1) return true;
      return (await secrets().updateOne(last, { ...count, $unset: CONTENT })).matchedCount === 1;
    },

    async findReceipt(id, receiptHash, now) {
      const projection = { envelope: 0, claimTag: 0 };
      const record = await secrets().findOne(
        { _id: id, receiptHash, removeAt: { $gt: new Date(now) } },
        { projection },
      );
      return record ? receiptOf(record, now) : undefined;
    },

    async burn(id, receiptHash, now, refusedUntil) {
      const receipt = { _id: id, receiptHash, removeAt: { $gt: new Date(now) } };
      const waiting = { ...receipt, state: 'waiting', visibleUntil: { $gt: now } } as const;
      const found = await secrets().findOne(waiting, { projection: { createdAt: 1, client: 1, bytes: 1 } });
      if (found && found.createdAt <= refusedUntil) {
        const { deletedCount } = await secrets().deleteOne(waiting);
        if (deletedCount === 1) clients.release(sharesOf(found));
        return undefined;
      }
      const ended = { state: 'burned', endedAt: now, removeAt: new Date(now + RECEIPT_MS) };
      const event = newEvent('burned', now, now);
      const burned = await secrets().updateOne(waiting, [{ $set: { ...ended, event } }, WIPE]);
      if (burned.matchedCount === 1) {
        if (found) clients.release(sharesOf(found));
        return 'burned';
      }
      // What expired, and was not swept yet, is left to the sweep, which writes its event.
      const known = await secrets().updateOne({ ...receipt, state: { $ne: 'waiting' } }, { $unset: CONTENT });
      const isKnown = known.matchedCount === 1 || (await secrets().countDocuments(receipt, { limit: 1 })) === 1;
      return isKnown ? 'not-waiting' : undefined;
    },

    async sweep(now, limit, refusedUntil) {
      const over = { removeAt: { $lte: new Date(now) } };
      const past = { receiptHash: { $exists: true }, notify: { $exists: false }, visibleUntil: { $lte: now } };
      const notifying = { notify: { $exists: true }, visibleUntil: { $lte: now } };
      const tell = [{ $set: ofExpired(now, refusedUntil) }, WIPE];
      const steps: readonly [Filter<SecretDocument>, Wipe][] = [
        [over, async (which) => (await secrets().deleteMany(which)).deletedCount],
        [past, async (which) => (await secrets().updateMany(which, { $unset: CONTENT })).modifiedCount],
        [notifying, async (which) => (await secrets().updateMany(which, tell)).modifiedCount],
      ];
      const swept = { wiped: 0, expired: 0 };
      for (const [filter, run] of steps) {
        const found = await findOver(filter, limit - swept.wiped);
        swept.expired += await wipe(found, filter, run);
        // Counted as found: when several processes sweep together, what another one wiped says nothing of what is left.
        swept.wiped += found.length;
      }
      return swept;
    },
  } satisfies SecretStore);
}

/** In an update that ends a secret: its event, where somebody is to be told. */
function newEvent(type: EventType, at: number, dueAt: number): Document {
  return { $cond: ['$notify', { type, at, dueAt, attempts: 0 }, '$$REMOVE'] };
}

/**
 * In an update that wipes content past its time, of a secret that waited or a copy. A secret that may have been read
 * already has no event: what was kept for it goes.
 */
function ofExpired(now: number, refusedUntil: number): Document {
  const isEnding = { $eq: ['$state', 'waiting'] };
  const isTold = { $and: [isEnding, { $gt: ['$createdAt', refusedUntil] }] };
  const isUntold = { $and: [isEnding, { $lte: ['$createdAt', refusedUntil] }] };
  const expired = { type: 'expired', at: '$expiresAt', dueAt: now, attempts: 0 };
  return {
    event: { $cond: [isTold, expired, { $ifNull: ['$event', '$$REMOVE'] }] },
    notify: { $cond: [isUntold, '$$REMOVE', '$notify'] },
    removeAt: { $cond: [{ $and: [isUntold, { $not: ['$receiptHash'] }] }, new Date(now), '$removeAt'] },
  };
}

function isUnended({ state, visibleUntil }: Over): boolean {
  return state === 'waiting' && visibleUntil !== undefined;
}

function sharesOf({ client, bytes }: Pick<SecretDocument, 'client' | 'bytes'>): Share[] {
  return client && bytes !== undefined ? [{ client, bytes }] : [];
}

/** The server has refused it. Of anything else, a broken connection say, nobody knows. */
function isSurelyUndone(error: unknown): boolean {
  const isRefusal = error instanceof MongoServerError && !(error instanceof MongoWriteConcernError);
  return isRefusal && !error.hasErrorLabel('RetryableWriteError');
}

function receiptOf({ state, createdAt, expiresAt, endedAt, tries, reads }: SecretDocument, now: number): Receipt {
  const isExpired = state === 'waiting' && expiresAt <= now;
  return {
    state: isExpired ? 'expired' : state,
    createdAt,
    expiresAt,
    endedAt: isExpired ? expiresAt : endedAt,
    wrongTries: tries,
    reads,
  };
}
