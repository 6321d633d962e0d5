import type { DatabaseSync } from 'node:sqlite';
import { accountBytesOf, storedBytes } from '../../usage.ts';
import type { LinkEnding } from '../links/ending.ts';
import type { Usage } from '../usage.ts';
import { prepareAccountWrites } from './writes.ts';

export type AccountProcedures = ReturnType<typeof createAccountProcedures>;

/** Whatever ends the sessions of an account also raises its version: a log-in that was verified before creates none. */
export function createAccountProcedures(database: DatabaseSync, usage: Usage, links: LinkEnding) {
  return { ...createCreating(database, usage), ...createChanging(database, usage, links) };
}

function createCreating(database: DatabaseSync, usage: Usage) {
  const { isTaken, insert } = prepareAccountWrites(database);

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
  };
}

function createChanging(database: DatabaseSync, usage: Usage, links: LinkEnding) {
  const rehash = database.prepare('UPDATE accounts SET password_hash = ? WHERE id = ? AND password_hash = ?');
  const isAsVerified = database.prepare(
    `SELECT 1 FROM accounts JOIN sessions ON account_id = accounts.id AND sessions.id = ?
     WHERE accounts.id = ? AND version = ? AND disabled_at IS NULL`,
  );
  const endOthers = database.prepare('DELETE FROM sessions WHERE account_id = ? AND id <> ?');
  const readProfile = database.prepare('SELECT email FROM accounts WHERE id = ? AND profile = ?');
  const setProfile = database.prepare('UPDATE accounts SET profile = ? WHERE id = ?');
  const hasVersion = database.prepare('SELECT email FROM accounts WHERE id = ? AND version = coalesce(?, version)');
  const { setPassword, endSessions } = prepareAccountWrites(database);
  const setDisabled = database.prepare('UPDATE accounts SET disabled_at = ?, version = version + 1 WHERE id = ?');
  const remove = database.prepare('DELETE FROM accounts WHERE id = ? RETURNING email, profile');

  return {
    rehash(id: string, from: string, to: string): boolean {
      return rehash.run(to, id, from).changes > 0;
    },

    setPassword(id: string, passwordHash: string): boolean {
      links.end(id);
      endSessions.run(id);
      return setPassword.run(passwordHash, id).changes > 0;
    },

    changePassword(id: string, version: number, sessionId: string, passwordHash: string): boolean {
      if (!isAsVerified.get(sessionId, id, version)) return false;
      links.end(id);
      endOthers.run(id, sessionId);
      return setPassword.run(passwordHash, id).changes > 0;
    },

    setProfile(id: string, from: string, to: string): 'set' | 'other' | 'full' {
      const account = readProfile.get(id, from) as { email: string } | undefined;
      if (!account) return 'other';
      const [before, after] = [from, to].map((profile) => accountBytesOf({ ...account, profile })) as [number, number];
      if (after > before && usage.isFull(storedBytes(after) - storedBytes(before))) return 'full';
      setProfile.run(to, id);
      usage.countOther(-1, before);
      usage.countOther(1, after);
      return 'set';
    },

    setDisabled(id: string, disabledAt: number | null): boolean {
      links.end(id);
      endSessions.run(id);
      return setDisabled.run(disabledAt, id).changes > 0;
    },

    deleteAccount(id: string, version: number | null): boolean {
      const account = hasVersion.get(id, version) as { email: string } | undefined;
      if (!account) return false;
      endSessions.run(id);
      for (const owner of [id, account.email]) links.end(owner);
      usage.countOther(-1, accountBytesOf(remove.get(id) as { email: string; profile: string }));
      return true;
    },
  };
}
