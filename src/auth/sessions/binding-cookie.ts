import { hash, timingSafeEqual } from 'node:crypto';
import { HOST_PREFIX, pairsOf } from '../../http/cookies.ts';
import { randomBytes } from '../../sealing/random.ts';

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
export function hasBindingCookie(header: string | undefined, sessionId: string, expected: Uint8Array): boolean {
  const names = [`${HOST_PREFIX}${NAME}${sessionId}=`, `${NAME}${sessionId}=`];
  const sent = pairsOf(header).filter((pair) => names.some((name) => pair.startsWith(name)));
  return sent.length > 0 && sent.every((pair) => timingSafeEqual(hash('sha256', pair, 'buffer'), expected));
}
