import type { DatabaseSync } from 'node:sqlite';

export type SigningKeyProcedures = ReturnType<typeof createSigningKeyProcedures>;

export function createSigningKeyProcedures(database: DatabaseSync) {
  const insert = database.prepare('INSERT OR IGNORE INTO signing_keys (one, record) VALUES (1, ?)');
  const update = database.prepare('UPDATE signing_keys SET record = ? WHERE record = ?');

  const insertName = database.prepare('INSERT OR IGNORE INTO installation (one, name) VALUES (1, ?)');
  const readName = database.prepare('SELECT name FROM installation');

  return {
    nameOnce(name: string): string {
      insertName.run(name);
      return readName.get()?.name as string;
    },

    replaceSigningKeys(from: Uint8Array | null, to: Uint8Array): boolean {
      const { changes } = from === null ? insert.run(to) : update.run(to, from);
      return changes > 0;
    },
  };
}
