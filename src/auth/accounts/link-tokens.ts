import { hash } from 'node:crypto';
import { randomBytes } from '../../sealing/random.ts';

/** As of all tokens of ours, so that scanners for secrets find it; and that none of them is taken for another kind. */
const PREFIX = 'hushbox_link_';
const TOKEN_BYTES = 32;
/** The last of 43 characters stands for four bits: it is a letter or a digit, so no mail program cuts it off a link. */
const TOKEN = new RegExp(`^${PREFIX}[\\w-]{42}[A-Za-z0-9]$`);

/** A token of 256 random bits. Only its hash is stored. */
export function createLinkToken(): string {
  return PREFIX + randomBytes(TOKEN_BYTES).toString('base64url');
}

/** @returns SHA-256 of a token, 32 bytes; undefined for text that is not in the form of one. */
export function hashLinkToken(token: string): Buffer | undefined {
  return TOKEN.test(token) ? hash('sha256', token, 'buffer') : undefined;
}
