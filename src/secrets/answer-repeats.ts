import { hash } from 'node:crypto';
import { hkdf } from '../sealing/hkdf.ts';
import type { KeyRing, MasterKey } from '../sealing/key-ring.ts';
import { isSignerKnown, sign, signerOf } from '../sealing/mac.ts';
import { withoutMasterKey } from './finding.ts';
import { endsWell } from './keys.ts';

/**
 * What recognises an answer that is sent again with the same `Idempotency-Key`. The tag is stored: it is an HMAC under the
 * master key over request token, header and the whole content. The receipt token is derived from the same, so that it need
 * not be stored, and only somebody with request key, header and content gets it again.
 */
const TAG_INFO = Buffer.from('hushbox v2 answer tag');
const RECEIPT_INFO = 'hushbox v2 answer receipt';
const TOKEN_BYTES = 24;

export type SentAnswer = {
  requestToken: Uint8Array;
  idempotencyKey: string;
  secret: string;
  sealed: boolean;
  receipt: boolean;
};
type Recognised = { receiptToken: Buffer };

export function recognise({ current }: Pick<KeyRing, 'current'>, sent: SentAnswer): Recognised & { tag: Buffer } {
  const message = messageOf(sent);
  return { tag: sign(current, TAG_INFO, message), receiptToken: receiptTokenOf(current, message) };
}

/**
 * @returns undefined unless the tag is that of the same answer.
 * @throws AppError MASTER_KEY_UNAVAILABLE when this server cannot know, because another one made the tag with a new key.
 */
export function recogniseAgain(ring: Pick<KeyRing, 'find'>, sent: SentAnswer, tag: Uint8Array): Recognised | undefined {
  if (!isSignerKnown(ring, tag)) throw withoutMasterKey();
  const message = messageOf(sent);
  const masterKey = signerOf(ring, TAG_INFO, message, tag);
  return masterKey && { receiptToken: receiptTokenOf(masterKey, message) };
}

function receiptTokenOf({ salt }: MasterKey, message: Uint8Array): Buffer {
  for (let count = 0; ; count++) {
    const token = hkdf(salt, message, Buffer.from(`${RECEIPT_INFO} ${count}`)).subarray(0, TOKEN_BYTES);
    if (endsWell(token)) return token;
  }
}

/** Parts of a fixed length, so that no two answers have the same. */
function messageOf({ requestToken, idempotencyKey, secret, sealed, receipt }: SentAnswer): Buffer {
  const flags = Buffer.of((sealed ? 1 : 0) | (receipt ? 2 : 0));
  return Buffer.concat([requestToken, digest(idempotencyKey), flags, digest(secret)]);
}

function digest(text: string): Buffer {
  return hash('sha256', text, 'buffer');
}
