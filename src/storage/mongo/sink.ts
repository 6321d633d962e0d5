import type { Collection, IndexDescription } from 'mongodb';
import { storedBytes } from '../../secrets/store.ts';
import { KEPT_MS, type SinkStore } from '../../sink/store.ts';
import type { Room } from './capacity.ts';
import { DUPLICATE_KEY, hasCode } from './engine/error-codes.ts';
import { translateFailures } from './engine/unavailable.ts';

export type ClaimsDocument = { _id: Uint8Array; receivedAt: number; claims: string; removeAt: Date };

/** The first as for secrets: the database removes what is over by itself, our own sweep is sooner. */
export const CLAIMS_INDEXES: readonly IndexDescription[] = [
  { name: 'remove', key: { removeAt: 1 }, expireAfterSeconds: 30 },
  { name: 'newest', key: { receivedAt: -1, _id: -1 } },
];

/** The sink's claims in MongoDB: that an id is there once is what `_id` promises. */
export function createMongoSinkStore(claims: () => Collection<ClaimsDocument>, room: Room): SinkStore {
  return translateFailures({
    async keepClaims({ id, receivedAt, claims: text }) {
      const reserved = await room.reserve(storedBytes(Buffer.byteLength(text)));
      let isStored = true; // or may be, if this fails
      try {
        // Where there is no room, one that was received before is told so all the same.
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

    async sweepClaims(now, limit) {
      const over = { removeAt: { $lte: new Date(now) } };
      const found = await claims()
        .find(over, { projection: { _id: 1 }, limit })
        .toArray();
      if (found.length > 0) await claims().deleteMany({ ...over, _id: { $in: found.map(({ _id }) => _id) } });
      return found.length;
    },
  } satisfies SinkStore);
}
