import type { SQLOutputValue } from 'node:sqlite';
import type { Role } from '../../../auth/accounts/store.ts';
import type { Session, SessionKind, SessionName, SessionStore } from '../../../auth/sessions/store.ts';
import type { GroupCommit } from '../engine/group-commit.ts';
import type { Reader } from '../engine/reader.ts';
import type { PackedName, SessionProcedures } from './procedures.ts';

const LIVING = `
  SELECT sessions.id, account_id, kind, email, role, sessions.created_at, expires_at, ends_at, used_at, refreshes,
    generation, rotated_at, user_agent, key_thumbprint, cookie_hash, cookie_offered_at, is_cookie_armed
  FROM sessions JOIN accounts ON accounts.id = account_id AND disabled_at IS NULL`;

/** Sessions in SQLite. */
export function createSqliteSessionStore(commit: GroupCommit<SessionProcedures>, reader: Reader): SessionStore {
  const byCredential = reader.prepare(`${LIVING} WHERE credential_hash = ? AND expires_at > ?`);
  const ofAccount = reader.prepareList(`${LIVING} WHERE account_id = ? AND expires_at > ? ORDER BY number DESC`);

  return {
    async create({ id, accountId, kind, accountVersion, credentialHash, keyThumbprint, userAgent, ...at }, most) {
      const times = [at.createdAt, at.expiresAt, at.endsAt] as const;
      const name = [id, accountId] as const;
      return commit.run(
        'createSession',
        ...([name, kind, accountVersion, credentialHash, times, userAgent, keyThumbprint ?? null, most] as const),
      );
    },

    async find(credentialHash, now) {
      const found = await byCredential(credentialHash, now);
      return found && sessionOf(found);
    },

    extend: async (session, now, expiresAt) => commit.run('extendSession', pack(session), now, expiresAt),

    rotate: async (session, from, now, expiresAt) => commit.run('rotateSession', pack(session), from, now, expiresAt),

    offerCookie: async (session, cookieHash, now) => commit.run('offerCookie', pack(session), cookieHash, now),

    armCookie: async (session, cookieHash) => commit.run('armCookie', pack(session), cookieHash),

    list: async (accountId, now) => (await ofAccount(accountId, now)).map(sessionOf),

    end: async (session) => commit.run('endSession', pack(session)),

    async endAll(accountId, except) {
      await commit.run('endSessionsOf', accountId, except ?? null);
    },

    sweepSessions: async (now, limit) => commit.run('sweepSessions', now, limit),
  } satisfies SessionStore;
}

function pack({ id, accountId }: SessionName): PackedName {
  return [id, accountId];
}

function sessionOf(row: readonly SQLOutputValue[]): Session {
  const [id, accountId, kind, email, role, createdAt, expiresAt, endsAt, usedAt, refreshes, ...more] = row;
  const [generation, rotatedAt, userAgent, keyThumbprint, cookieHash, offeredAt, isArmed] = more;
  return {
    id: id as string,
    accountId: accountId as string,
    kind: kind as SessionKind,
    email: email as string,
    role: role as Role,
    createdAt: createdAt as number,
    expiresAt: expiresAt as number,
    endsAt: endsAt as number,
    usedAt: usedAt as number,
    refreshes: refreshes as number,
    generation: generation as number,
    rotatedAt: rotatedAt as number,
    userAgent: userAgent as string,
    keyThumbprint: (keyThumbprint as string | null) ?? undefined,
    cookie: cookieHash
      ? { hash: cookieHash as Uint8Array, offeredAt: offeredAt as number, isArmed: isArmed === 1 }
      : undefined,
  };
}
