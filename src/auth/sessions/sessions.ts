import { hash } from 'node:crypto';
import type { Clock } from '../../clock.ts';
import { AppError } from '../../errors.ts';
import type { Refusal } from '../../http/caller.ts';
import { cookieModeOf } from '../../http/cookies.ts';
import type { KeyRing } from '../../sealing/key-ring.ts';
import { randomBytes } from '../../sealing/random.ts';
import type { AccessTokens } from '../../tokens/access/access-tokens.ts';
import { createBinding, createBindingCookie, needsCookie } from './binding-cookie.ts';
import { readSessionCookie } from './browser-cookies.ts';
import { isCsrfToken } from './browser-tokens.ts';
import type { OnSessionEvent } from './events.ts';
import { type Proof, type SentProof, verifyProof } from './proofs.ts';
import type { Session, SessionKind, SessionStore, SightingStore } from './store.ts';
import { hashSessionId, hashToken, isOurs } from './tokens.ts';

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
  /** Where only the cookies of a browser count: refused with CSRF_FAILED, as a use that keeps nothing alive. */
  isOnlyForBrowsers?: boolean | undefined;
};

/** The request of a browser whose cookies are to count. */
export type FromBrowser = {
  /** The whole `Cookie` header. */
  cookie: string | undefined;
  method: string;
  /** As the browser knows it. */
  url: string;
  /** The `X-CSRFToken` header. */
  csrfToken?: string | undefined;
  requestId?: string | undefined;
};

export type Validation = { authenticated: true; session: Session } | { authenticated: false; code: Refusal };

export type SessionParts = {
  store: SessionStore;
  sightings: SightingStore;
  accessTokens: Pick<AccessTokens, 'verify' | 'isOurs'>;
  ring: Pick<KeyRing, 'find'>;
  clock: Clock;
  /** How long a session lives after its last validation. */
  idleMs: Readonly<Record<SessionKind, number>>;
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
  /** Whether text claims to be a token of ours, of any kind: then it must not pass for somebody else's. */
  claimsOurs(text: string): Promise<boolean>;
  /**
   * Whether the cookies of a browser are good for its request. If they are, its session lives on. A request that changes
   * something needs the token of our own pages too.
   */
  validateBrowser(request: FromBrowser): Promise<Validation>;
  /**
   * Whether a token is good, for somebody who was sent it: nothing is extended, nothing ended. One that needs a proof or a
   * cookie is not.
   * @returns the session, and until when that holds if nothing happens (ms).
   */
  look(token: string): Promise<{ session: Session; until: number } | undefined>;
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

/** RFC 9110 §9.2.1. */
const SAFE_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);

type Sent = Pick<Presented, 'cookie' | 'requestId'>;

export function createSessions(parts: SessionParts): Sessions {
  const { store, sightings, accessTokens, ring, clock, idleMs, onEvent } = parts;
  const binding = createBinding(parts);

  /**
   * A session dies between 0.9 and 1.0 times the idle time after its last validation: within a tenth of it after one that
   * was written, another one is not, so that few validations write. An instant that is too late, because the clock was set
   * back, is corrected.
   * @returns undefined if the session has ended since it was found.
   */
  async function extend(session: Session, now: number): Promise<Session | undefined> {
    const idleOfKindMs = idleMs[session.kind];
    const wanted = Math.min(now + idleOfKindMs, session.endsAt);
    const unwrittenMs = now - session.usedAt;
    if (session.expiresAt <= wanted && unwrittenMs >= 0 && unwrittenMs < idleOfKindMs * STEP) return session;
    return (await store.extend(session, now, wanted)) ? { ...session, expiresAt: wanted } : undefined;
  }

  /** A bound token needs a proof by its key, valid and not seen before; another token needs to come without one. */
  async function provesKey({ token, proof, callId }: Presented, session: Session, now: number): Promise<boolean> {
    if (session.keyThumbprint === undefined || !proof) return session.keyThumbprint === undefined && !proof;
    const verified = await verifyProof(proof, token, now);
    if (verified?.thumbprint !== session.keyThumbprint) return false;
    return isFirst(sightings, verified, callId, now);
  }

  /** The living session that a token is of, and when the token expires (ms). */
  async function find(token: string, now: number): Promise<{ session: Session; expiresAt: number } | undefined> {
    const refusedUntil = parts.refusedUntil();
    const credentialHash = hashToken(token);
    const claims = credentialHash ? undefined : await accessTokens.verify(token);
    const wanted = claims ? hashSessionId(claims.sessionId) : credentialHash;
    const session = wanted && (await store.find(wanted, now));
    // The store ends them too. They can come back with a part of the database that is restored later.
    if (!session || session.createdAt <= refusedUntil || (claims && claims.accountId !== session.accountId)) return;
    return { session, expiresAt: claims?.expiresAt ?? session.expiresAt };
  }

  /**
   * Accepts a session for a request, and lets it live on. Without the binding cookie, once that is needed, it ends.
   * @param findFault why this request is refused nevertheless.
   */
  async function accept(
    session: Session,
    { cookie: header, requestId }: Sent,
    now: number,
    findFault: () => Promise<Refusal | undefined>,
  ): Promise<Validation> {
    if (await binding.refuses(session, header, now, requestId)) return refusal('REPLAY_DETECTED');
    const fault = await findFault();
    if (fault) return refusal(fault);
    await binding.arm(session, header);
    const extended = await extend(session, now);
    return extended ? { authenticated: true, session: extended } : refusal('UNAUTHORIZED');
  }

  return {
    async validate(presented) {
      const now = clock();
      const session = (await find(presented.token, now))?.session;
      if (!session) return refusal('UNAUTHORIZED');
      return accept(session, presented, now, async () => {
        if (!(await provesKey(presented, session, now))) return 'UNAUTHORIZED';
        return presented.isOnlyForBrowsers ? 'CSRF_FAILED' : undefined;
      });
    },

    claimsOurs: async (text) => isOurs(text) || accessTokens.isOurs(text),

    async validateBrowser({ cookie, method, url, csrfToken, requestId }) {
      const mode = cookieModeOf(url);
      if (mode === 'none') return refusal('HTTPS_REQUIRED');
      const now = clock();
      const token = readSessionCookie(cookie, 'access', mode === 'secure');
      const session = token === undefined ? undefined : (await find(token, now))?.session;
      if (session?.kind !== 'browser') return refusal('UNAUTHORIZED');
      return accept(session, { cookie, requestId }, now, async () => {
        const csrfCookie = readSessionCookie(cookie, 'csrf', mode === 'secure');
        const isOwn = SAFE_METHODS.has(method) || isCsrfToken(ring, session.id, csrfCookie, csrfToken);
        return isOwn ? undefined : 'CSRF_FAILED';
      });
    },

    async look(token) {
      const now = clock();
      const found = await find(token, now);
      if (!found) return undefined;
      const { session, expiresAt } = found;
      if (needsCookie(session, now) || session.keyThumbprint !== undefined) return undefined;
      return { session, until: Math.min(expiresAt, session.expiresAt) };
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

function refusal(code: Refusal): Validation {
  return { authenticated: false, code };
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
