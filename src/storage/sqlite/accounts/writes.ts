import type { DatabaseSync } from 'node:sqlite';

/** What is written of accounts, by an operator and by the links of mails. To run them needs a transaction around it. */
export function prepareAccountWrites(database: DatabaseSync) {
  return {
    isTaken: database.prepare('SELECT 1 FROM accounts WHERE email = ?'),
    insert: database.prepare(
      `INSERT INTO accounts (id, email, password_hash, role, profile, created_at, version)
       VALUES (?, ?, ?, ?, ?, ?, 1)`,
    ),
    setPassword: database.prepare('UPDATE accounts SET password_hash = ?, version = version + 1 WHERE id = ?'),
    endSessions: database.prepare('DELETE FROM sessions WHERE account_id = ?'),
  };
}
