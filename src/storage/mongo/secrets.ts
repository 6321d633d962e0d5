import type { Collection } from 'mongodb';
import { FULL_RETRY_MS, grantedAt, type Refusal, refusedAt } from '../../limits/limits.ts';
import { reservationOf, TRY_LIMIT, TRY_REFILL_MS } from '../../secrets/budget.ts';
import { type NewSecret, RECEIPT_MS, type Receipt, type SecretStore } from '../../secrets/store.ts';
import { shareLooks } from '../shared-look.ts';
import { contentBytesOf, storedBytes } from '../usage.ts';
import type { Capacity } from './capacity.ts';
import { type Clients, sharesOf } from './clients.ts';
import { CONTENT, type SecretDocument } from './collections.ts';
import { isDefinitelyNotWritten } from './engine/error-codes.ts';
import { translateFailures } from './engine/unavailable.ts';
import { eventOfEnd } from './events.ts';
import { debtOf, grantsOne, takeOne } from './gcra.ts';
import { createMongoRequests } from './requests.ts';
import { createSecretsSweep, dateOf, WIPE } from './secrets-sweep.ts';

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
/** In a pipeline: whether a receipt or an event needs the document. */
const IS_KEPT = { $or: ['$receiptHash', '$notify'] } as const;
const ONE_TRY_LESS = { tries: -1, triesFullAt: -TRY_REFILL_MS } as const;
const UNTRACED = {
  receiptHash: { $exists: false },
  notify: { $exists: false },
  answer: { $exists: false },
} as const;

type Parts = { secrets: () => Collection<SecretDocument>; clients: Clients; capacity: Capacity };

/**
 * Secrets in MongoDB. Every filter checks the instant, because the TTL index lags. An update that ends a secret asks for
 * no document back: to answer a retry the server would keep a copy of it (`config.image_collection`).
 */
export function createMongoSecretStore(parts: Parts): SecretStore {
  return translateFailures(
    {
      ...createCreating(parts),
      ...createLooking(parts),
      ...createTries(parts),
      ...createReading(parts),
      ...createBurning(parts),
      ...createMongoRequests(parts),
      sweep: createSecretsSweep(parts.secrets, parts.clients),
    } satisfies SecretStore,
    { writeOnce: true },
  );
}

function createCreating({ secrets, clients, capacity }: Parts): Pick<SecretStore, 'create' | 'admit'> {
  const full: Refusal = { reason: 'full', retryAfterMs: FULL_RETRY_MS };

  async function takeFor(secret: NewSecret): Promise<Refusal | undefined> {
    if (!secret.creator) return undefined;
    const { client, now, isAdmitted } = secret.creator;
    const room = { places: 1, bytes: storedBytes(contentBytesOf(secret)) } as const;
    return clients.take({ client, now, takesRate: !isAdmitted, room, takesRoomUntil: secret.expiresAt });
  }

  async function insert(secret: NewSecret): Promise<void> {
    const document = documentOf(secret);
    try {
      await secrets().insertOne(document);
    } catch (error) {
      if (isDefinitelyNotWritten(error)) clients.release(sharesOf(document));
      throw error;
    }
  }

  return {
    async create(secret) {
      const reserved = await capacity.reserve(storedBytes(contentBytesOf(secret)));
      if (!reserved) return full;
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
      const reserved = await capacity.reserve(storedBytes(0));
      if (!reserved) return full;
      reserved(false); // this only asks whether there is room
      return clients.take({ client, now, takesRate: true, room: { places: 1, bytes: storedBytes(0) } });
    },
  };
}

function createLooking({ secrets }: Parts): Pick<SecretStore, 'find' | 'findReceipt'> {
  const look = shareLooks((id, now) =>
    secrets().findOne({ _id: id, visibleUntil: { $gt: now } }, { projection: FOUND }),
  );

  return {
    async find(id, now) {
      const found = await look(id, now);
      if (!found?.envelope) return undefined;
      const { state, createdAt, expiresAt, envelope, notify, claimTag } = found;
      if (state === 'requested') return { state, createdAt, expiresAt, envelope };
      if (!claimTag) return { state: 'waiting', createdAt, expiresAt, envelope, notify, share: sharesOf(found)[0] };
      return { state: 'copy', createdAt, expiresAt, envelope, claimTag };
    },

    async findReceipt(id, receiptHash, now) {
      const filter = { _id: id, receiptHash, removeAt: { $gt: new Date(now) } };
      const record = await secrets().findOne(filter, { projection: { envelope: 0, claimTag: 0 } });
      return record ? receiptOf(record, now) : undefined;
    },
  };
}

function createTries({ secrets }: Parts): Pick<SecretStore, 'reserveTry' | 'refundTry'> {
  return {
    async reserveTry(id, now) {
      const visible = { _id: id, state: { $ne: 'requested' }, visibleUntil: { $gt: now } } as const;
      const granted = await secrets().findOneAndUpdate(
        { ...visible, ...grantsOne('triesFullAt', TRY_LIMIT, now) },
        [{ $set: { tries: { $add: ['$tries', 1] }, ...takeOne('triesFullAt', TRY_LIMIT, now) } }],
        { returnDocument: 'after', projection: { triesFullAt: 1 } },
      );
      if (granted) return reservationOf(grantedAt(granted.triesFullAt - now, TRY_LIMIT));
      const refused = await secrets().findOne(visible, { projection: { triesFullAt: 1 } });
      if (!refused) return undefined;
      const { triesFullAt } = refused;
      const debtMs = await debtOf(triesFullAt, TRY_LIMIT, now, (kept) =>
        secrets().updateOne({ _id: id, triesFullAt }, { $set: { triesFullAt: kept } }),
      );
      return reservationOf(refusedAt(debtMs, TRY_LIMIT));
    },

    async refundTry(id) {
      await secrets().updateOne({ _id: id, tries: { $gt: 0 } }, { $inc: ONE_TRY_LESS });
    },
  };
}

function createReading({ secrets, clients }: Parts): Pick<SecretStore, 'claim' | 'reread'> {
  return {
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
            ...eventOfEnd({ type: 'read', at: now, dueAt: eventDueAt, attempts: 0 }),
            removeAt: { $cond: [IS_KEPT, receiptOverAt, dateOf(copy?.until ?? now)] },
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
  };
}

function createBurning({ secrets, clients }: Parts): Pick<SecretStore, 'burn'> {
  return {
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
      const events = eventOfEnd({ type: 'burned', at: now, dueAt: now, attempts: 0 });
      const burned = await secrets().updateOne(waiting, [{ $set: { ...ended, ...events } }, WIPE]);
      if (burned.matchedCount === 1) {
        if (found) clients.release(sharesOf(found));
        return 'burned';
      }
      // A secret that expired and was not swept yet is left to the sweep, which writes its event.
      const known = await secrets().updateOne({ ...receipt, state: { $ne: 'waiting' } }, { $unset: CONTENT });
      const isKnown = known.matchedCount === 1 || (await secrets().countDocuments(receipt, { limit: 1 })) === 1;
      return isKnown ? 'not-waiting' : undefined;
    },
  };
}

function documentOf(secret: NewSecret): SecretDocument {
  const { id, envelope, notify, createdAt, expiresAt, receiptHash, creator, requestHash } = secret;
  return {
    _id: id,
    state: requestHash ? 'requested' : 'waiting',
    createdAt,
    expiresAt,
    tries: 0,
    triesFullAt: 0,
    reads: 0,
    ...(receiptHash && { receiptHash }),
    ...(requestHash && { requestHash }),
    ...(creator && { client: creator.client, bytes: storedBytes(contentBytesOf(secret)) }),
    ...(notify && { notify }),
    envelope,
    visibleUntil: expiresAt,
    removeAt: new Date(receiptHash || notify ? expiresAt + RECEIPT_MS : expiresAt),
  };
}

function receiptOf({ state, createdAt, expiresAt, endedAt, tries, reads }: SecretDocument, now: number): Receipt {
  const isExpired = state === 'waiting' && expiresAt <= now;
  return {
    state: isExpired ? 'expired' : (state as Exclude<typeof state, 'requested'>), // which has no receipt
    createdAt,
    expiresAt,
    endedAt: isExpired ? expiresAt : endedAt,
    wrongTries: tries,
    reads,
  };
}
