import { hashRawSync } from '@node-rs/argon2';
import { PHRASE_COST } from './cost.ts';
import type { Hash } from './hash-queue.ts';

const ARGON2ID = 2; // the library's const enum cannot be imported, because types are only stripped
export const HASH_BYTES = 32;

/** argon2id (RFC 9106). Blocks its thread, for about 15 ms at the cost of a phrase. */
export function hashPhraseSync(phrase: Uint8Array, salt: Uint8Array, cost = PHRASE_COST): Uint8Array {
  return hashRawSync(phrase, {
    algorithm: ARGON2ID,
    memoryCost: cost.memoryKib,
    timeCost: cost.passes,
    parallelism: cost.lanes,
    outputLen: HASH_BYTES,
    salt,
  });
}

/** The same where nothing else waits for the thread: in commands and in tests. */
export const hashAtOnce: Hash = async (phrase, salt, cost) => hashPhraseSync(phrase, salt, cost);
