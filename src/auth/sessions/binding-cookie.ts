import { hash, timingSafeEqual } from 'node:crypto';
import { HOST_PREFIX, pairsOf } from '../../http/cookies.ts';
import { randomBytes } from '../../sealing/random.ts';
import type { OnSessionEvent } from './events.ts';
import { BIND_MS, type Session, type SessionStore } from './store.ts';

const NAME = 'hushbox_session_';
const VALUE_BYTES = 32;

export type BindingCookie = {
  /** `Set-Cookie`. */
  header: string;
  hash: Uint8Array;
};

/**
 * A cookie that a session is bound to; its name carries the session's id. The hash is of name and value, so a cookie
 * that was given to a browser over HTTPS counts under its `__Host-` name alone.
 */
export function createBindingCookie(sessionId: string, isSecure: boolean, maxAgeSeconds: number): BindingCookie {
  const pair = `${isSecure ? HOST_PREFIX : ''}${NAME}${sessionId}=${randomBytes(VALUE_BYTES).toString('base64url')}`;
  const attributes = `Path=/; Max-Age=${maxAgeSeconds}; HttpOnly; SameSite=Strict${isSecure ? '; Secure' : ''}`;
  return { header: `${pair}; ${attributes}`, hash: hash('sha256', pair, 'buffer') };
}

/** Whether a `Cookie` header has the cookie with this hash, and no other one of its name. */
function hasBindingCookie(header: string | undefined, sessionId: string, expected: Uint8Array): boolean {
  const names = [`${HOST_PREFIX}${NAME}${sessionId}=`, `${NAME}${sessionId}=`];
  const sent = pairsOf(header).filter((pair) => names.some((name) => pair.startsWith(name)));
  return sent.length > 0 && sent.every((pair) => timingSafeEqual(hash('sha256', pair, 'buffer'), expected));
}

/** An offer that lies as far ahead is no new one: the clock was set back. */
export function needsCookie({ cookie }: Pick<Session, 'cookie'>, now: number): boolean {
  return cookie !== undefined && (cookie.isArmed || Math.abs(now - cookie.offeredAt) >= BIND_MS);
}

export type BindingParts = { store: Pick<SessionStore, 'end' | 'armCookie'>; onEvent: OnSessionEvent };
export type Binding = {
  /**
   * A use without the cookie, once that is needed, ends the session.
   * @param header the whole `Cookie` header.
   * @returns whether it was one.
   */
  refuses(session: Session, header: string | undefined, now: number, requestId: string | undefined): Promise<boolean>;
  /** Arms the binding when the cookie is seen, also when that is late: it must hold if the clock is set back. */
  arm(session: Session, header: string | undefined): Promise<void>;
};

/** What being bound to a cookie means for the uses of a session. */
export function createBinding({ store, onEvent }: BindingParts): Binding {
  const isThere = ({ id, cookie }: Session, header: string | undefined): boolean =>
    cookie !== undefined && hasBindingCookie(header, id, cookie.hash);

  return {
    async refuses(session, header, now, requestId) {
      if (!needsCookie(session, now) || isThere(session, header)) return false;
      const { accountId, id: sessionId } = session;
      if (await store.end(session)) onEvent({ type: 'replayed', accountId, sessionId }, requestId);
      return true;
    },

    async arm(session, header) {
      const { cookie } = session;
      if (cookie && !cookie.isArmed && isThere(session, header)) await store.armCookie(session, cookie.hash);
    },
  };
}
