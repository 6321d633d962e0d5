import { hashRawSync } from '@node-rs/argon2';

/** OWASP Password Storage Cheat Sheet: argon2id with 19 MiB, two passes, one lane. */
export const ARGON2 = {
  algorithm: 2, // Argon2id; the library's const enum cannot be imported, because types are only stripped
  memoryCost: 19_456,
  timeCost: 2,
  parallelism: 1,
  outputLen: 32,
} as const;

/** argon2id (RFC 9106). Blocks its thread for about 15 ms. */
export function hashPhraseSync(phrase: Uint8Array, salt: Uint8Array): Uint8Array {
  return hashRawSync(phrase, { ...ARGON2, salt });
}
