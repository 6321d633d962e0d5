import { timingSafeEqual } from 'node:crypto';
import type { KeyRing, MasterKey } from '../../sealing/key-ring.ts';
import { SIGNED_BYTES, sign, signerOf } from '../../sealing/mac.ts';

/** As of all tokens of ours, so that scanners for secrets find it. */
const PREFIX = 'hushbox_refresh_';
const REFRESH_INFO = Buffer.from('hushbox v1 refresh token');
const CSRF_INFO = Buffer.from('hushbox v1 csrf token');
const ID_BYTES = 16;
const GENERATION_BYTES = 4;
const NAMED_BYTES = ID_BYTES + GENERATION_BYTES;

/** A refresh token that we made. @param masterKey that it is signed under, and with it its successors. */
export type RefreshToken = { sessionId: string; generation: number; masterKey: MasterKey };

/**
 * A refresh token is derived: the id of its session (16 bytes), its generation (4), the id of the master key (8) and an
 * HMAC of the first two (32). So its successor can be made again, and is nowhere in the store. A session stays with the
 * master key that its first token was signed under.
 */
export function formatRefreshToken({ sessionId, generation, masterKey }: RefreshToken): string {
  const named = Buffer.alloc(NAMED_BYTES);
  named.write(sessionId, 'base64url');
  named.writeUInt32BE(generation, ID_BYTES);
  return PREFIX + Buffer.concat([named, sign(masterKey, REFRESH_INFO, named)]).toString('base64url');
}

/** @returns undefined for text that is no refresh token of ours. */
export function parseRefreshToken(ring: Pick<KeyRing, 'find'>, text: string): RefreshToken | undefined {
  if (!text.startsWith(PREFIX)) return undefined;
  const bytes = decode(text.slice(PREFIX.length));
  if (bytes?.length !== NAMED_BYTES + SIGNED_BYTES) return undefined;
  const named = bytes.subarray(0, NAMED_BYTES);
  const masterKey = signerOf(ring, REFRESH_INFO, named, bytes.subarray(NAMED_BYTES));
  if (!masterKey) return undefined;
  const sessionId = named.toString('base64url', 0, ID_BYTES);
  return { sessionId, generation: named.readUInt32BE(ID_BYTES), masterKey };
}

/** The token that scripts of our pages send back: bound to the session, and the same as long as it lives. */
export function createCsrfToken(masterKey: MasterKey, sessionId: string): string {
  return sign(masterKey, CSRF_INFO, Buffer.from(sessionId)).toString('base64url');
}

/** Whether the cookie and the header are the same, and were made for this session. */
export function isCsrfToken(
  ring: Pick<KeyRing, 'find'>,
  sessionId: string,
  cookie: string | undefined,
  header: string | undefined,
): boolean {
  if (cookie === undefined || header === undefined) return false;
  const [left, right] = [Buffer.from(cookie), Buffer.from(header)];
  if (left.length !== right.length || !timingSafeEqual(left, right)) return false;
  const bytes = decode(header);
  return bytes !== undefined && signerOf(ring, CSRF_INFO, Buffer.from(sessionId), bytes) !== undefined;
}

/** @returns undefined unless it is base64url in its one form. */
function decode(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64url');
  return bytes.toString('base64url') === text ? bytes : undefined;
}
