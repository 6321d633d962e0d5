import type { Role } from '../accounts/store.ts';

/**
 * What sessions need from an engine. Every verb is one atomic step across processes, and durable once it resolves. An
 * engine that cannot answer, or does not know whether it has written, rejects with AppError STORAGE_UNAVAILABLE.
 *
 * A session lives while `now < expiresAt`, until it is ended. Its account must exist and be enabled. No verb revives a
 * session that has ended. Instants are ms since the epoch. Sessions do not count towards the limit on everything stored.
 */
export interface SessionStore {
  /**
   * Creates a session if its account exists, is enabled, and still has `accountVersion`. Of the account's sessions only
   * the newest `most` stay, this one included; the others end in the same step.
   * @returns whether it was created.
   */
  create(session: NewSession, most: number): Promise<boolean>;

  /** The living session with this credential. */
  find(credentialHash: Uint8Array, now: number): Promise<Session | undefined>;

  /** Sets when a living session expires, when it was used, and counts one refresh. @returns false if it does not live. */
  extend(session: SessionName, now: number, expiresAt: number): Promise<boolean>;

  /**
   * As `extend`, and the next generation of refresh tokens begins, if the session is in generation `from`: one of N
   * callers begins it.
   * @returns false if the session does not live, or is in another generation.
   */
  rotate(session: SessionName, from: number, now: number, expiresAt: number): Promise<boolean>;

  /**
   * Puts a hash in place of the one before, unless the binding is armed or was begun `BIND_MS` ago, or is to begin
   * as far ahead: the clock was set back.
   * @returns whether it was put there.
   */
  offerCookie(session: SessionName, cookieHash: Uint8Array, now: number): Promise<boolean>;

  /** Arms the binding, if this hash is the one that is stored. @returns whether it is. */
  armCookie(session: SessionName, cookieHash: Uint8Array): Promise<boolean>;

  /** The living sessions of an account, newest first. */
  list(accountId: string, now: number): Promise<readonly Session[]>;

  /** @returns whether it was there; expired or not. */
  end(session: SessionName): Promise<boolean>;

  /** Ends all sessions of an account, but not that with the id `except`. */
  endAll(accountId: string, except: string | undefined): Promise<void>;

  /** Removes up to `limit` sessions that have expired. @returns how many; fewer than `limit` means that none is left. */
  sweepSessions(now: number, limit: number): Promise<number>;
}

/** How long the cookie of the binding may be asked for again. */
export const BIND_MS = 10_000;

export type SessionName = { id: string; accountId: string };

/** How a session is carried: by one opaque token, or by the cookies of a browser. */
export type SessionKind = 'token' | 'browser';

export type NewSession = SessionName & {
  kind: SessionKind;
  /** What it is found by, unique. SHA-256, 32 bytes, of its token; for a browser's see `hashSessionId`. */
  credentialHash: Uint8Array;
  /** The account's version when the password was verified. */
  accountVersion: number;
  createdAt: number;
  expiresAt: number;
  /** The latest instant to which it can be extended. */
  endsAt: number;
  userAgent: string;
  /** RFC 7638 thumbprint of the key that the token is bound to (RFC 9449); undefined for a bearer token. */
  keyThumbprint: string | undefined;
};

export type Session = Omit<NewSession, 'credentialHash' | 'accountVersion'> & {
  /** Of the account. */
  email: string;
  role: Role;
  usedAt: number;
  refreshes: number;
  /** Of its refresh token, from 0, and when it began: at first when the session did. */
  generation: number;
  rotatedAt: number;
  /** The cookie that the token is bound to, once one was offered. */
  cookie: { hash: Uint8Array; offeredAt: number; isArmed: boolean } | undefined;
};

/**
 * Remembers for a time what was seen once: proofs (RFC 9449 §11.1), and the networks that an account logged in from.
 * Every verb is one atomic step across processes, and durable once it resolves.
 */
export interface SightingStore {
  /**
   * Remembers this id (32 bytes) until an instant, with who saw it (up to 32 bytes).
   * @returns true for the first sighting, and for another one by the same.
   */
  see(id: Uint8Array, by: Uint8Array, now: number, until: number): Promise<boolean>;

  /** Remembers this id until an instant, or for longer than before. */
  renew(id: Uint8Array, until: number): Promise<void>;

  has(id: Uint8Array, now: number): Promise<boolean>;

  /** Removes up to `limit` sightings whose time is over. @returns how many; fewer than `limit` means that none is left. */
  sweepSightings(now: number, limit: number): Promise<number>;
}
