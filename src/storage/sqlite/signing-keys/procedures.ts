import type { DatabaseSync } from 'node:sqlite';

export type SigningKeyProcedures = ReturnType<typeof createSigningKeyProcedures>;

export function createSigningKeyProcedures(database: DatabaseSync) {
  const insert = database.prepare('INSERT OR IGNORE INTO signing_keys (one, record) VALUES (1, ?)');
  const update = database.prepare('UPDATE signing_keys SET record = ? WHERE record = ?');

  return {
    replaceSigningKeys(from: Uint8Array | null, to: Uint8Array): boolean {
      const { changes } = from === null ? insert.run(to) : update.run(to, from);
      return changes > 0;
    },
  };
}
