import type { Collection } from 'mongodb';
import type { SightingStore } from '../../auth/sessions/store.ts';
import type { SightingDocument } from './collections.ts';
import { DUPLICATE_KEY, hasCode } from './engine/error-codes.ts';
import { translateFailures } from './engine/unavailable.ts';
import { removeOver } from './remove-over.ts';

/** Between our steps the document can be removed, and another one come; but not again and again. */
const MAX_ATTEMPTS = 4;
const NOBODY = Buffer.alloc(0);

/** Sightings in MongoDB: `_id` is unique. */
export function createMongoSightingStore(sightings: () => Collection<SightingDocument>): SightingStore {
  /** @returns false if it is there already. */
  async function insert(document: SightingDocument): Promise<boolean> {
    try {
      await sightings().insertOne(document);
      return true;
    } catch (error) {
      if (hasCode(error, DUPLICATE_KEY)) return false;
      throw error;
    }
  }

  return translateFailures({
    async see(id, by, now, until) {
      const removeAt = new Date(until);
      for (let attempts = 1; attempts <= MAX_ATTEMPTS; attempts++) {
        if (await insert({ _id: id, by, removeAt })) return true;
        const ours = { _id: id, $or: [{ by }, { removeAt: { $lte: new Date(now) } }] };
        const { matchedCount } = await sightings().updateOne(ours, { $set: { by }, $max: { removeAt } });
        if (matchedCount === 1) return true;
        if (await sightings().findOne({ _id: id }, { projection: { _id: 1 } })) return false;
      }
      throw new Error('too many sightings of one id come and go');
    },

    async renew(id, until) {
      const removeAt = new Date(until);
      for (let attempts = 1; attempts <= MAX_ATTEMPTS; attempts++) {
        if ((await sightings().updateOne({ _id: id }, { $max: { removeAt } })).matchedCount === 1) return;
        if (await insert({ _id: id, by: NOBODY, removeAt })) return;
      }
      throw new Error('too many sightings of one id come and go');
    },

    async has(id, now) {
      return (await sightings().countDocuments({ _id: id, removeAt: { $gt: new Date(now) } }, { limit: 1 })) > 0;
    },

    sweepSightings: async (now, limit) => removeOver(sightings(), now, limit),
  } satisfies SightingStore);
}
