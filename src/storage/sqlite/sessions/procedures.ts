import type { DatabaseSync } from 'node:sqlite';
import { BIND_MS, type SessionKind } from '../../../auth/sessions/store.ts';

export type SessionProcedures = ReturnType<typeof createSessionProcedures>;

/** The id and the account's id. */
export type PackedName = readonly [id: string, accountId: string];
/** When it is created, when it expires, and until when it can be extended. */
export type PackedTimes = readonly [createdAt: number, expiresAt: number, endsAt: number];

export function createSessionProcedures(database: DatabaseSync) {
  return { ...createCreating(database), ...createKeeping(database), ...createEnding(database) };
}

function createCreating(database: DatabaseSync) {
  const isAsVerified = database.prepare('SELECT 1 FROM accounts WHERE id = ? AND version = ? AND disabled_at IS NULL');
  const deleteOver = database.prepare('DELETE FROM sessions WHERE account_id = ? AND expires_at <= ?');
  const insert = database.prepare(
    `INSERT INTO sessions (account_id, id, kind, credential_hash, created_at, expires_at, ends_at, used_at, refreshes,
       generation, rotated_at, user_agent, key_thumbprint, is_cookie_armed)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?5, 0, 0, ?5, ?8, ?9, 0)`,
  );
  const deleteOldest = database.prepare(
    `DELETE FROM sessions WHERE account_id = ?1 AND number <=
       (SELECT number FROM sessions WHERE account_id = ?1 ORDER BY number DESC LIMIT 1 OFFSET ?2)`,
  );

  return {
    createSession(
      [id, accountId]: PackedName,
      kind: SessionKind,
      accountVersion: number,
      credentialHash: Uint8Array,
      [createdAt, expiresAt, endsAt]: PackedTimes,
      userAgent: string,
      keyThumbprint: string | null,
      most: number,
    ): boolean {
      if (!isAsVerified.get(accountId, accountVersion)) return false;
      deleteOver.run(accountId, createdAt); // an expired one takes nobody's place
      insert.run(accountId, id, kind, credentialHash, createdAt, expiresAt, endsAt, userAgent, keyThumbprint);
      deleteOldest.run(accountId, most);
      return true;
    },
  };
}

function createKeeping(database: DatabaseSync) {
  const extend = database.prepare(
    `UPDATE sessions SET expires_at = min(?, ends_at), used_at = ?, refreshes = refreshes + 1
     WHERE account_id = ? AND id = ? AND expires_at > ?`,
  );
  const rotate = database.prepare(
    `UPDATE sessions SET expires_at = min(?1, ends_at), used_at = ?2, refreshes = refreshes + 1,
       generation = generation + 1, rotated_at = ?2
     WHERE account_id = ?3 AND id = ?4 AND expires_at > ?2 AND generation = ?5`,
  );
  const offer = database.prepare(
    `UPDATE sessions SET cookie_hash = ?, cookie_offered_at = coalesce(cookie_offered_at, ?)
     WHERE account_id = ? AND id = ? AND expires_at > ? AND NOT is_cookie_armed
       AND coalesce(abs(cookie_offered_at - ?) < ${BIND_MS}, 1)`,
  );
  const arm = database.prepare(
    'UPDATE sessions SET is_cookie_armed = 1 WHERE account_id = ? AND id = ? AND cookie_hash = ?',
  );

  return {
    extendSession([id, accountId]: PackedName, now: number, expiresAt: number): boolean {
      return extend.run(expiresAt, now, accountId, id, now).changes > 0;
    },

    rotateSession([id, accountId]: PackedName, from: number, now: number, expiresAt: number): boolean {
      return rotate.run(expiresAt, now, accountId, id, from).changes > 0;
    },

    offerCookie([id, accountId]: PackedName, cookieHash: Uint8Array, now: number): boolean {
      return offer.run(cookieHash, now, accountId, id, now, now).changes > 0;
    },

    armCookie([id, accountId]: PackedName, cookieHash: Uint8Array): boolean {
      return arm.run(accountId, id, cookieHash).changes > 0;
    },
  };
}

function createEnding(database: DatabaseSync) {
  const end = database.prepare('DELETE FROM sessions WHERE account_id = ? AND id = ?');
  const endOthers = database.prepare('DELETE FROM sessions WHERE account_id = ? AND id IS NOT ?');
  const deleteOver = database.prepare(
    'DELETE FROM sessions WHERE number IN (SELECT number FROM sessions WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)',
  );

  return {
    endSession([id, accountId]: PackedName): boolean {
      return end.run(accountId, id).changes > 0;
    },

    endSessionsOf(accountId: string, except: string | null): null {
      endOthers.run(accountId, except);
      return null;
    },

    /** @returns how many it removed. */
    sweepSessions(now: number, limit: number): number {
      return Number(deleteOver.run(now, limit).changes);
    },
  };
}
