import { hash } from 'node:crypto';
import { randomBytes } from '../../sealing/random.ts';

/** Scanners for secrets in files find a token by it. */
const PREFIX = 'hushbox_';
const TOKEN_BYTES = 32;
const TOKEN = new RegExp(`^${PREFIX}[\\w-]{43}$`);

/** A token of 256 random bits. Only its hash is stored. */
export function createToken(): string {
  return PREFIX + randomBytes(TOKEN_BYTES).toString('base64url');
}

/** @returns SHA-256 of a token, 32 bytes; undefined for text that is not in the form of one, and need not be looked up. */
export function hashToken(token: string): Buffer | undefined {
  return TOKEN.test(token) ? hash('sha256', token, 'buffer') : undefined;
}

/** What the session of a browser is found by: its tokens carry its id, signed. */
export function hashSessionId(id: string): Buffer {
  return hash('sha256', `browser session ${id}`, 'buffer');
}

/** Whether text claims to be a token of ours: if it is not good, it must not pass for somebody else's. */
export function isOurs(token: string): boolean {
  return token.startsWith(PREFIX);
}
