import type { Collection } from 'mongodb';
import type { SigningKeyStore } from '../../tokens/access/store.ts';
import type { SigningKeysDocument } from './collections.ts';
import { DUPLICATE_KEY, hasCode } from './engine/error-codes.ts';
import { translateFailures } from './engine/unavailable.ts';

const ONE = 'keys';
const NAME = 'name';

/** Signing keys in MongoDB: one document. */
export function createMongoSigningKeyStore(keys: () => Collection<SigningKeysDocument>): SigningKeyStore {
  return translateFailures({
    async nameOnce(name) {
      const named = { _id: NAME, name } as const;
      try {
        await keys().insertOne(named);
        return name;
      } catch (error) {
        if (!hasCode(error, DUPLICATE_KEY)) throw error;
      }
      return ((await keys().findOne({ _id: NAME })) as { name: string }).name;
    },

    async read() {
      return ((await keys().findOne({ _id: ONE })) as { record: Uint8Array } | null)?.record;
    },

    async replace(from, to) {
      if (from)
        return (await keys().updateOne({ _id: ONE, record: from }, { $set: { record: to } })).matchedCount === 1;
      try {
        await keys().insertOne({ _id: ONE, record: to });
        return true;
      } catch (error) {
        if (hasCode(error, DUPLICATE_KEY)) return false;
        throw error;
      }
    },
  } satisfies SigningKeyStore);
}
