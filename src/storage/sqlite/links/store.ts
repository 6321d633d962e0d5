import type { SQLOutputValue } from 'node:sqlite';
import { type Link, type LinkKind, type LinkStore, type NewLink, ownerOf } from '../../../auth/accounts/links-store.ts';
import { ACCOUNT_COLUMNS, accountOf } from '../accounts/store.ts';
import type { GroupCommit } from '../engine/group-commit.ts';
import type { Reader } from '../engine/reader.ts';
import { GOOD_LINK, type LinkProcedures, type PackedSubject } from './procedures.ts';

const ACCOUNT = ACCOUNT_COLUMNS.map((column) => `accounts.${column}`).join();

/** Links of mails in SQLite. */
export function createSqliteLinkStore(commit: GroupCommit<LinkProcedures>, reader: Reader): LinkStore {
  const good = reader.prepare(`SELECT links.created_at, kind, links.email, ${ACCOUNT} ${GOOD_LINK}`);
  const sole = reader.prepare(
    `SELECT email, max(password_hash), max(profile) FROM links WHERE owner = ? AND kind = 'activate' AND expires_at > ?
     GROUP BY email HAVING count(DISTINCT password_hash) = 1`,
  );

  return {
    addLink: async (link, most) =>
      commit.run('addLink', link.tokenHash, pack(link), [link.createdAt, link.expiresAt] as const, most),

    async findLink(tokenHash, now) {
      const found = await good(tokenHash, null, now);
      return found && linkOf(found);
    },

    async soleRegistration(email, now) {
      const found = await sole(email, now);
      if (!found) return undefined;
      const [, passwordHash, profile] = found as [string, string, string];
      return { email, passwordHash, profile };
    },

    async activate(tokenHash, id, now) {
      const created = await commit.run('activate', tokenHash, id, now);
      if (!created) return undefined;
      const [email, passwordHash, profile] = created;
      const state = { createdAt: now, version: 1, disabledAt: undefined };
      return { id, email, passwordHash, role: 'member', profile, ...state };
    },

    resetPassword: async (tokenHash, passwordHash, now) => commit.run('resetPassword', tokenHash, passwordHash, now),

    changeEmail: async (tokenHash, now) => commit.run('changeEmail', tokenHash, now),

    sweepLinks: async (now, limit) => commit.run('sweepLinks', now, limit),
  } satisfies LinkStore;
}

function pack(link: NewLink): PackedSubject {
  const owner = ownerOf(link);
  if (link.kind === 'activate') return ['activate', owner, link.email, null, link.passwordHash, link.profile];
  const email = link.kind === 'change' ? link.email : '';
  return [link.kind, owner, email, link.account.version, null, null];
}

function linkOf([createdAt, kind, email, ...account]: readonly SQLOutputValue[]): Link {
  const link = { createdAt: createdAt as number, email: email as string };
  if (kind === 'activate') return { kind, ...link };
  const { createdAt: at } = link;
  const named = { createdAt: at, account: accountOf(account) };
  return (kind as LinkKind) === 'reset' ? { kind: 'reset', ...named } : { kind: 'change', ...named, email: link.email };
}
