import type { SigningKeyStore } from '../../../tokens/access/store.ts';
import type { GroupCommit } from '../engine/group-commit.ts';
import type { Reader } from '../engine/reader.ts';
import type { SigningKeyProcedures } from './procedures.ts';

/** Signing keys in SQLite. */
export function createSqliteSigningKeyStore(
  commit: GroupCommit<SigningKeyProcedures>,
  reader: Reader,
): SigningKeyStore {
  const read = reader.prepare('SELECT record FROM signing_keys');
  return {
    read: async () => (await read())?.[0] as Uint8Array | undefined,
    nameOnce: async (name) => commit.run('nameOnce', name),
    replace: async (from, to) => commit.run('replaceSigningKeys', from ?? null, to),
  } satisfies SigningKeyStore;
}
