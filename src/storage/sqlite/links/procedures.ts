import type { DatabaseSync } from 'node:sqlite';
import type { LinkKind } from '../../../auth/accounts/links-store.ts';
import { accountBytesOf, linkBytesOf, storedBytes } from '../../usage.ts';
import { prepareAccountWrites } from '../accounts/writes.ts';
import type { Usage } from '../usage.ts';
import type { LinkEnding } from './ending.ts';

export type LinkProcedures = ReturnType<typeof createLinkProcedures>;

/** What it is of: see the columns. */
export type PackedSubject = readonly [
  kind: LinkKind,
  owner: string,
  email: string,
  accountVersion: number | null,
  passwordHash: string | null,
  profile: string | null,
];
export type PackedTimes = readonly [createdAt: number, expiresAt: number];

/** Also in a reader: a link that is good. Its parameters are the hash, the kind or null for any, and `now`. */
export const GOOD_LINK = `
  FROM links LEFT JOIN accounts ON accounts.id = owner
    AND accounts.version = account_version AND disabled_at IS NULL
  WHERE token_hash = ?1 AND kind = coalesce(?2, kind) AND expires_at > ?3 AND CASE kind
    WHEN 'activate' THEN NOT EXISTS (SELECT 1 FROM accounts AS others WHERE others.email = links.email)
    ELSE accounts.id IS NOT NULL END`;

type Row = { owner: string; email: string; password_hash: string; profile: string; from_email: string };

/** What uses an account's link raises the account's version: no log-in that was verified before creates a session. */
export function createLinkProcedures(database: DatabaseSync, usage: Usage, links: LinkEnding) {
  const insert = database.prepare(
    `INSERT INTO links (token_hash, kind, owner, email, account_version, password_hash, profile, created_at, expires_at)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  );
  const find = database.prepare(
    `SELECT owner, links.email, links.password_hash, links.profile, accounts.email AS from_email ${GOOD_LINK}`,
  );
  const accounts = prepareAccountWrites(database);
  const readProfile = database.prepare('SELECT profile FROM accounts WHERE id = ?');
  const setEmail = database.prepare('UPDATE accounts SET email = ?, version = version + 1 WHERE id = ?');

  function good(tokenHash: Uint8Array, kind: LinkKind, now: number): Row | undefined {
    return find.get(tokenHash, kind, now) as Row | undefined;
  }

  return {
    addLink(tokenHash: Uint8Array, subject: PackedSubject, times: PackedTimes, most: number): 'added' | 'full' {
      const [kind, owner, email, , , profile] = subject;
      const bytes = linkBytesOf({ email, profile });
      if (usage.isFull(storedBytes(bytes))) return 'full';
      insert.run(tokenHash, ...subject, ...times);
      usage.countOther(1, bytes);
      links.endOldest(owner, kind, most);
      return 'added';
    },

    /** Needs no room: what the account takes, its link took before. @returns its email, its hash and its profile. */
    activate(tokenHash: Uint8Array, accountId: string, now: number): readonly [string, string, string] | null {
      const link = good(tokenHash, 'activate', now);
      if (!link) return null;
      const { email, password_hash: passwordHash, profile } = link;
      links.end(email);
      accounts.insert.run(accountId, email, passwordHash, 'member', profile, now);
      usage.countOther(1, accountBytesOf(link));
      return [email, passwordHash, profile];
    },

    resetPassword(tokenHash: Uint8Array, passwordHash: string, now: number): boolean {
      const link = good(tokenHash, 'reset', now);
      if (!link) return false;
      links.end(link.owner);
      accounts.endSessions.run(link.owner);
      accounts.setPassword.run(passwordHash, link.owner);
      return true;
    },

    changeEmail(tokenHash: Uint8Array, now: number): boolean {
      const link = good(tokenHash, 'change', now);
      if (!link || accounts.isTaken.get(link.email)) return false;
      const { owner: id, email, from_email: from } = link;
      for (const owner of [id, email, from]) links.end(owner);
      setEmail.run(email, id);
      const profile = readProfile.get(id)?.profile as string;
      usage.countOther(-1, accountBytesOf({ email: from, profile }));
      usage.countOther(1, accountBytesOf({ email, profile }));
      return true;
    },

    sweepLinks: (now: number, limit: number): number => links.endOver(now, limit),
  };
}
