import { hash } from 'node:crypto';
import { randomBytes } from '../sealing/random.ts';

const TOKEN_BYTES = 32;

/** Tokens of one kind, of 256 random bits each. Only their hashes are stored. */
export type OpaqueTokens = {
  create(): string;
  /** @returns SHA-256 of a token, 32 bytes; undefined for text that is not in the form of one, and need not be looked up. */
  hash(text: string): Buffer | undefined;
};

/** @param prefix of all tokens of this kind: scanners for secrets in files find them by it. */
export function opaqueTokens(prefix: string): OpaqueTokens {
  // The last of 43 characters stands for four bits: it is a letter or a digit, so no mail program cuts it off a link.
  const form = new RegExp(`^${prefix}[\\w-]{42}[A-Za-z0-9]$`);
  return {
    create: () => prefix + randomBytes(TOKEN_BYTES).toString('base64url'),
    hash: (text) => (form.test(text) ? hash('sha256', text, 'buffer') : undefined),
  };
}
