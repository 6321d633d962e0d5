import type { Clock } from '../../clock.ts';
import { AppError } from '../../errors.ts';
import type { KeyRing, MasterKey } from '../../sealing/key-ring.ts';
import type { AccessTokens } from '../../tokens/access/access-tokens.ts';
import { createBinding } from './binding-cookie.ts';
import { setCookies } from './browser-cookies.ts';
import { createCsrfToken, formatRefreshToken, parseRefreshToken } from './browser-tokens.ts';
import type { OnSessionEvent } from './events.ts';
import type { Session, SessionStore } from './store.ts';
import { hashSessionId } from './tokens.ts';

/** How long a refresh token that was used gives the same successor, if that was not used either. */
const REPEAT_MS = 60_000;
/** Each time, another request has begun the next generation. */
const MAX_ATTEMPTS = 3;

export type BrowserParts = {
  store: Pick<SessionStore, 'find' | 'rotate' | 'end' | 'armCookie'>;
  ring: Pick<KeyRing, 'current' | 'find'>;
  accessTokens: Pick<AccessTokens, 'issue'>;
  clock: Clock;
  idleMs: number;
  /** As for validations. @throws AppError STORAGE_UNAVAILABLE while it is unknown. */
  refusedUntil(): number;
  onEvent: OnSessionEvent;
};

type Owned = Pick<Session, 'id' | 'accountId' | 'email' | 'role' | 'endsAt'>;

/** What a browser gets. @param expiresAt of the access token (ms). */
export type Issued = { session: Owned; cookies: string[]; expiresAt: number };

/** The sessions of browsers, which carry them in cookies: an access token of some minutes, and one to get the next with. */
export type BrowserSessions = {
  /** Of a session that was just created. */
  begin(session: Owned, isSecure: boolean): Promise<Issued>;
  /**
   * Begins the next generation of a session's tokens. A token that was used again gets the same successor, until that is
   * used or 60 s have passed: its answer may be lost, or two tabs use it at once. After that its use ends the session,
   * because one of its two users is not the browser. So does a use without the binding cookie, once that is needed.
   * @throws AppError UNAUTHORIZED; REPLAY_DETECTED.
   */
  refresh(presented: RefreshToken): Promise<Issued>;
};

export type RefreshToken = {
  token: string;
  /** The whole `Cookie` header. */
  cookie: string | undefined;
  isSecure: boolean;
  requestId: string;
};

export function createBrowserSessions(parts: BrowserParts): BrowserSessions {
  const { store, ring, accessTokens, clock, idleMs, onEvent } = parts;
  const binding = createBinding(parts);

  async function issue(session: Owned, generation: number, masterKey: MasterKey, isSecure: boolean): Promise<Issued> {
    const { id: sessionId, accountId, endsAt } = session;
    const access = await accessTokens.issue({ accountId, sessionId }, endsAt);
    const now = clock();
    const restSeconds = secondsUntil(endsAt, now);
    const cookies = setCookies(
      {
        access: { value: access.token, maxAgeSeconds: secondsUntil(access.expiresAt, now) },
        refresh: { value: formatRefreshToken({ sessionId, generation, masterKey }), maxAgeSeconds: restSeconds },
        csrf: { value: createCsrfToken(masterKey, sessionId), maxAgeSeconds: restSeconds },
      },
      isSecure,
    );
    return { session, cookies, expiresAt: access.expiresAt };
  }

  return {
    begin: (session, isSecure) => issue(session, 0, ring.current, isSecure),

    async refresh({ token, cookie, isSecure, requestId }) {
      const refusedUntil = parts.refusedUntil();
      const presented = parseRefreshToken(ring, token);
      if (!presented) throw new AppError('UNAUTHORIZED');
      const { sessionId, generation, masterKey } = presented;
      for (let attempts = 1; attempts <= MAX_ATTEMPTS; attempts++) {
        const now = clock();
        const session = await store.find(hashSessionId(sessionId), now);
        if (!session || session.createdAt <= refusedUntil || generation > session.generation) break;
        // As for a use of the access token: what is bound to a cookie is extended with it alone.
        if (await binding.refuses(session, cookie, now, requestId)) throw new AppError('REPLAY_DETECTED');
        await binding.arm(session, cookie);
        if (generation === session.generation) {
          const expiresAt = Math.min(now + idleMs, session.endsAt);
          if (!(await store.rotate(session, generation, now, expiresAt))) continue;
          return issue(session, generation + 1, masterKey, isSecure);
        }
        // Either way: clocks of hosts differ.
        const isRepeated = Math.abs(now - session.rotatedAt) < REPEAT_MS;
        if (generation === session.generation - 1 && isRepeated) {
          return issue(session, session.generation, masterKey, isSecure);
        }
        const { accountId } = session;
        if (await store.end(session)) onEvent({ type: 'refresh_reused', accountId, sessionId }, requestId);
        throw new AppError('REPLAY_DETECTED', {
          detail: 'This refresh token was used before, and its session has ended',
        });
      }
      throw new AppError('UNAUTHORIZED');
    },
  };
}

function secondsUntil(instant: number, now: number): number {
  return Math.max(0, Math.floor((instant - now) / 1000));
}
