import type { DatabaseSync } from 'node:sqlite';
import { accountBytesOf, storedBytes } from '../../usage.ts';
import type { Usage } from '../usage.ts';

export type AccountProcedures = ReturnType<typeof createAccountProcedures>;

/** Whatever ends the sessions of an account also raises its version: a log-in that was verified before creates none. */
export function createAccountProcedures(database: DatabaseSync, usage: Usage) {
  const isTaken = database.prepare('SELECT 1 FROM accounts WHERE email = ?');
  const insert = database.prepare(
    `INSERT INTO accounts (id, email, password_hash, role, profile, created_at, version)
     VALUES (?, ?, ?, ?, ?, ?, 1)`,
  );
  const rehash = database.prepare('UPDATE accounts SET password_hash = ? WHERE id = ? AND password_hash = ?');
  const setPassword = database.prepare('UPDATE accounts SET password_hash = ?, version = version + 1 WHERE id = ?');
  const setDisabled = database.prepare('UPDATE accounts SET disabled_at = ?, version = version + 1 WHERE id = ?');
  const remove = database.prepare('DELETE FROM accounts WHERE id = ? RETURNING email, profile');
  const endSessions = database.prepare('DELETE FROM sessions WHERE account_id = ?');

  return {
    createAccount(
      id: string,
      email: string,
      passwordHash: string,
      role: string,
      profile: string,
      createdAt: number,
    ): 'created' | 'taken' | 'full' {
      if (isTaken.get(email)) return 'taken';
      const bytes = accountBytesOf({ email, profile });
      if (usage.isFull(storedBytes(bytes))) return 'full';
      insert.run(id, email, passwordHash, role, profile, createdAt);
      usage.countOther(1, bytes);
      return 'created';
    },

    rehash(id: string, from: string, to: string): boolean {
      return rehash.run(to, id, from).changes > 0;
    },

    setPassword(id: string, passwordHash: string): boolean {
      endSessions.run(id);
      return setPassword.run(passwordHash, id).changes > 0;
    },

    setDisabled(id: string, disabledAt: number | null): boolean {
      endSessions.run(id);
      return setDisabled.run(disabledAt, id).changes > 0;
    },

    deleteAccount(id: string): boolean {
      endSessions.run(id);
      const gone = remove.get(id) as { email: string; profile: string } | undefined;
      if (gone) usage.countOther(-1, accountBytesOf(gone));
      return gone !== undefined;
    },
  };
}
