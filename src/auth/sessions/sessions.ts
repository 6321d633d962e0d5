import { hash } from 'node:crypto';
import type { Clock } from '../../clock.ts';
import { AppError } from '../../errors.ts';
import { randomBytes } from '../../sealing/random.ts';
import { createBindingCookie, hasBindingCookie } from './binding-cookie.ts';
import type { OnSessionEvent } from './events.ts';
import { type Proof, type SentProof, verifyProof } from './proofs.ts';
import { BIND_MS, type Session, type SessionStore, type SightingStore } from './store.ts';
import { hashToken } from './tokens.ts';

const CALL_BYTES = 16;
/** A validation is written when at least this share of the idle time has passed since the last one that was. */
const STEP = 0.1;

/** What came with a request. */
export type Presented = {
  token: string;
  /** The whole `Cookie` header. */
  cookie?: string | undefined;
  /** Only if the token came under the scheme `DPoP`. */
  proof?: SentProof | undefined;
  /** Names the request: a repetition of it may bring the same proof again. */
  callId?: string | undefined;
  requestId?: string | undefined;
};

export type Validation =
  | { authenticated: true; session: Session }
  | { authenticated: false; code: 'UNAUTHORIZED' | 'REPLAY_DETECTED' };

export type SessionParts = {
  store: SessionStore;
  sightings: SightingStore;
  clock: Clock;
  /** How long a session lives after its last validation. */
  idleMs: number;
  /**
   * No session that began at this instant (ms) or before is good: the database was restored to an older state, and some
   * of them had ended since.
   * @throws AppError STORAGE_UNAVAILABLE while it is unknown whether it was.
   */
  refusedUntil(): number;
  onEvent: OnSessionEvent;
};

export type Sessions = {
  /** Whether a token is good. If it is, its session lives on. */
  validate(presented: Presented): Promise<Validation>;
  /** Ends the session itself. @throws AppError UNAUTHORIZED when it has ended since it was validated. */
  logOut(session: Session, requestId?: string): Promise<void>;
  /** The living sessions of the same account, newest first. */
  list(session: Session): Promise<readonly Session[]>;
  /** @throws AppError UNKNOWN_ID when the account has no session with this id. */
  end(session: Session, id: string, requestId?: string): Promise<void>;
  endOthers(session: Session, requestId?: string): Promise<void>;
  /** @returns the `Set-Cookie` that binds the session; undefined if it is bound already. */
  offerCookie(session: Session, isSecure: boolean): Promise<string | undefined>;
};

const NO = { authenticated: false, code: 'UNAUTHORIZED' } as const;

export function createSessions(parts: SessionParts): Sessions {
  const { store, sightings, clock, idleMs, onEvent } = parts;

  /**
   * A session dies between 0.9 and 1.0 times the idle time after its last validation: within a tenth of it after one that
   * was written, another one is not, so that few validations write. An instant that is too late, because the clock was set
   * back, is corrected.
   * @returns undefined if the session has ended since it was found.
   */
  async function extend(session: Session, now: number): Promise<Session | undefined> {
    const wanted = Math.min(now + idleMs, session.endsAt);
    const unwrittenMs = now - session.usedAt;
    if (session.expiresAt <= wanted && unwrittenMs >= 0 && unwrittenMs < idleMs * STEP) return session;
    return (await store.extend(session, now, wanted)) ? { ...session, expiresAt: wanted } : undefined;
  }

  /** A bound token needs a proof by its key, valid and not seen before; another token needs to come without one. */
  async function provesKey({ token, proof, callId }: Presented, session: Session, now: number): Promise<boolean> {
    if (session.keyThumbprint === undefined || !proof) return session.keyThumbprint === undefined && !proof;
    const verified = await verifyProof(proof, token, now);
    if (verified?.thumbprint !== session.keyThumbprint) return false;
    return isFirst(sightings, verified, callId, now);
  }

  return {
    async validate(presented) {
      const refusedUntil = parts.refusedUntil();
      const tokenHash = hashToken(presented.token);
      const now = clock();
      const session = tokenHash && (await store.find(tokenHash, now));
      // The store ends them too. They can come back with a part of the database that is restored later.
      if (!session || session.createdAt <= refusedUntil) return NO;
      const { cookie } = session;
      const hasCookie = cookie !== undefined && hasBindingCookie(presented.cookie, session.id, cookie.hash);
      if (cookie && !hasCookie && (cookie.isArmed || now >= cookie.offeredAt + BIND_MS)) {
        const { id: sessionId, accountId } = session;
        if (await store.end(session)) onEvent({ type: 'replayed', accountId, sessionId }, presented.requestId);
        return { authenticated: false, code: 'REPLAY_DETECTED' };
      }
      if (!(await provesKey(presented, session, now))) return NO;
      // Armed also when it is late: the binding must hold if the clock is set back.
      if (cookie && hasCookie && !cookie.isArmed) await store.armCookie(session, cookie.hash);
      const extended = await extend(session, now);
      return extended ? { authenticated: true, session: extended } : NO;
    },

    async logOut(session, requestId) {
      if (!(await store.end(session))) throw new AppError('UNAUTHORIZED');
      onEvent({ type: 'ended', accountId: session.accountId, sessionId: session.id }, requestId);
    },

    list: ({ accountId }) => store.list(accountId, clock()),

    async end({ accountId }, id, requestId) {
      if (!(await store.end({ id, accountId }))) throw new AppError('UNKNOWN_ID');
      onEvent({ type: 'ended', accountId, sessionId: id }, requestId);
    },

    async endOthers({ accountId, id }, requestId) {
      await store.endAll(accountId, id);
      onEvent({ type: 'others_ended', accountId, sessionId: id }, requestId);
    },

    async offerCookie(session, isSecure) {
      const now = clock();
      const cookie = createBindingCookie(session.id, isSecure, Math.ceil((session.endsAt - now) / 1000));
      return (await store.offerCookie(session, cookie.hash, now)) ? cookie.header : undefined;
    },
  };
}

/** Whether a proof was not seen before, but by the same call. */
export function isFirst(
  sightings: SightingStore,
  { id, rememberedUntil }: Proof,
  callId: string | undefined,
  now: number,
): Promise<boolean> {
  const by = callId === undefined ? randomBytes(CALL_BYTES) : hash('sha256', callId, 'buffer');
  return sightings.see(id, by, now, rememberedUntil);
}
