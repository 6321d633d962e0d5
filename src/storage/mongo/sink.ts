import type { Collection } from 'mongodb';
import { KEPT_MS, type SinkStore } from '../../sink/store.ts';
import { storedBytes } from '../usage.ts';
import type { Capacity } from './capacity.ts';
import type { ClaimsDocument } from './collections.ts';
import { DUPLICATE_KEY, hasCode } from './engine/error-codes.ts';
import { translateFailures } from './engine/unavailable.ts';
import { removeOver } from './remove-over.ts';

/** The sink's claims in MongoDB: `_id` is unique, and so is each token. */
export function createMongoSinkStore(claims: () => Collection<ClaimsDocument>, capacity: Capacity): SinkStore {
  return translateFailures({
    async keepClaims({ id, receivedAt, claims: text }) {
      const reserved = await capacity.reserve(storedBytes(Buffer.byteLength(text)));
      let isStored = true; // or may be, if this fails
      try {
        // A token that was received before gets the same answer when there is no room.
        if (!reserved) return (await claims().findOne({ _id: id })) ? 'replayed' : 'full';
        const removeAt = new Date(receivedAt + KEPT_MS);
        await claims().insertOne({ _id: id, receivedAt, claims: text, removeAt });
        return 'kept';
      } catch (error) {
        if (!hasCode(error, DUPLICATE_KEY)) throw error;
        isStored = false;
        return 'replayed';
      } finally {
        reserved?.(isStored);
      }
    },

    async listClaims(now, limit) {
      const options = { projection: { claims: 1 }, sort: { receivedAt: -1, _id: -1 }, limit } as const;
      const found = await claims()
        .find({ receivedAt: { $gt: now - KEPT_MS } }, options)
        .toArray();
      return found.map(({ claims: text }) => text);
    },

    sweepClaims: async (now, limit) => removeOver(claims(), now, limit),
  } satisfies SinkStore);
}
