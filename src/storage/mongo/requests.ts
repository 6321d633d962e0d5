import type { Collection, UpdateFilter } from 'mongodb';
import { FULL_RETRY_MS, type Refusal } from '../../limits/limits.ts';
import { type NewAnswer, RECEIPT_MS, type SecretStore, type Share } from '../../secrets/store.ts';
import { contentBytesOf, storedBytes } from '../usage.ts';
import type { Capacity } from './capacity.ts';
import { type Clients, NO_ROOM, sharesOf } from './clients.ts';
import type { SecretDocument } from './collections.ts';
import { isDefinitelyNotWritten } from './engine/error-codes.ts';

type Parts = { secrets: () => Collection<SecretDocument>; clients: Clients; capacity: Capacity };
/** What an answer needs to know of its request; nothing here changes while the request is open. */
type Open = Pick<SecretDocument, 'expiresAt' | 'notify' | 'client' | 'bytes'>;
const OPEN = { expiresAt: 1, notify: 1, client: 1, bytes: 1 } as const;

/** Requests in MongoDB: an answer turns the document of the request into that of the secret. */
export function createMongoRequests(parts: Parts): Pick<SecretStore, 'findRequest' | 'answer' | 'withdraw'> {
  return { ...createLooking(parts), ...createAnswering(parts), ...createWithdrawing(parts) };
}

function createLooking({ secrets }: Parts): Pick<SecretStore, 'findRequest'> {
  return {
    async findRequest(id, requestHash, now) {
      const open = { _id: id, state: 'requested', requestHash, visibleUntil: { $gt: now } } as const;
      const request = await secrets().findOne(open, { projection: { createdAt: 1, expiresAt: 1, envelope: 1 } });
      if (request?.envelope) {
        const { createdAt, expiresAt, envelope } = request;
        return { state: 'open', createdAt, expiresAt, envelope };
      }
      const answered = { _id: id, requestHash, 'answer.until': { $gt: now } };
      const secret = await secrets().findOne(answered, { projection: { createdAt: 1, expiresAt: 1, answer: 1 } });
      if (!secret?.answer) return undefined;
      const { createdAt, expiresAt, answer } = secret;
      return { state: 'answered', createdAt, expiresAt, answer: { tag: answer.tag } };
    },
  };
}

function createAnswering({ secrets, clients, capacity }: Parts): Pick<SecretStore, 'answer'> {
  /** The bytes first: a refused answer must take nothing from a rate, and bytes can be given back. */
  async function takeFor(
    share: Share | undefined,
    { answerer }: NewAnswer,
    now: number,
    takesRoomUntil: number,
  ): Promise<Refusal | undefined> {
    const room = { places: 0, bytes: share?.bytes ?? 0 } as const;
    const noRoom = share && (await clients.take({ client: share.client, now, takesRate: false, room, takesRoomUntil }));
    if (noRoom || !answerer) return noRoom;
    const refusal = await clients.take({ ...answerer, takesRate: true, room: NO_ROOM });
    if (refusal && share) clients.release([share], 0);
    return refusal;
  }

  return {
    async answer(id, requestHash, now, answer) {
      const open = { _id: id, state: 'requested', requestHash, visibleUntil: { $gt: now } } as const;
      const found = await secrets().findOne(open, { projection: OPEN });
      if (!found) return false;
      const bytes = storedBytes(contentBytesOf({ envelope: answer.envelope, notify: found.notify }));
      const more = Math.max(0, bytes - (found.bytes ?? 0));
      const share = found.client && { client: found.client, bytes: more };
      const reserved = await capacity.reserve(more);
      if (!reserved) return { reason: 'full', retryAfterMs: FULL_RETRY_MS };
      let isStored = false;
      try {
        const refusal = await takeFor(share, answer, now, found.expiresAt);
        if (refusal) return refusal;
        isStored = true; // or may be, if this fails
        const { matchedCount } = await secrets().updateOne(open, updateOf(found, answer, now, more));
        isStored = matchedCount === 1;
        if (!isStored && share) clients.release([share], 0);
        return isStored;
      } catch (error) {
        if (isStored && share && isDefinitelyNotWritten(error)) clients.release([share], 0);
        throw error;
      } finally {
        reserved(isStored);
      }
    },
  };
}

function createWithdrawing({ secrets, clients }: Parts): Pick<SecretStore, 'withdraw'> {
  return {
    async withdraw(id, now) {
      const open = { _id: id, state: 'requested', visibleUntil: { $gt: now } } as const;
      const found = await secrets().findOne(open, { projection: OPEN });
      if (found && (await secrets().deleteOne(open)).deletedCount === 1) {
        clients.release(sharesOf(found));
        return 'withdrawn';
      }
      const waiting = { ...open, state: 'waiting' } as const;
      return (await secrets().countDocuments(waiting, { limit: 1 })) === 1 ? 'waiting' : undefined;
    },
  };
}

function updateOf(
  { expiresAt, notify, bytes }: Open,
  { envelope, createdAt, receiptHash, repeat }: NewAnswer,
  now: number,
  more: number,
): UpdateFilter<SecretDocument> {
  const removeAt = receiptHash || notify ? expiresAt + RECEIPT_MS : Math.max(expiresAt, repeat?.until ?? 0);
  return {
    $set: {
      state: 'waiting',
      createdAt,
      envelope,
      removeAt: new Date(removeAt),
      ...(bytes !== undefined && { bytes: bytes + more }),
      ...(receiptHash && { receiptHash }),
      ...(repeat && { answer: { tag: repeat.tag, until: repeat.until } }),
      ...(notify && { event: { type: 'answered', at: createdAt, dueAt: now, attempts: 0 } as const }),
    },
    ...(!repeat && { $unset: { requestHash: '' } }),
  };
}
