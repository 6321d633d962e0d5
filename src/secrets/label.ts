import { hash, timingSafeEqual } from 'node:crypto';
import { BASE64URL_32, FILES_TYPE, type Jwe } from './jwe.ts';

/** What a JWE says of itself, and what a client has to prove before it gets the JWE: what a look shows. */
export type Label = Jwe & {
  /** SHA-256 of the proof; undefined when none is needed. */
  proofHash: Uint8Array | undefined;
};

/** What a client sees of a label. */
export type Described = { alg: Jwe['alg']; kid: string; cty?: typeof FILES_TYPE; proof: boolean };

const HASH_BYTES = 32;
const KID_BYTES = 32;
const FLAG_ECDH = 1;
const FLAG_FILES = 2;
const FLAG_PROOF = 4;
export const LABEL_BYTES = 1 + KID_BYTES + HASH_BYTES;

/** Always as long: flags (1; bit 0 = ECDH-ES, 1 = files, 2 = a proof is needed), kid (32), hash of the proof or zeros (32). */
export function encodeLabel({ alg, kid, hasFiles, proofHash }: Label): Buffer {
  const flags = (alg === 'dir' ? 0 : FLAG_ECDH) | (hasFiles ? FLAG_FILES : 0) | (proofHash ? FLAG_PROOF : 0);
  return Buffer.concat([Buffer.of(flags), Buffer.from(kid, 'base64url'), proofHash ?? Buffer.alloc(HASH_BYTES)]);
}

export function decodeLabel(bytes: Buffer): Label {
  const flags = bytes[0] as number;
  return {
    alg: flags & FLAG_ECDH ? 'ECDH-ES' : 'dir',
    kid: bytes.toString('base64url', 1, 1 + KID_BYTES),
    hasFiles: (flags & FLAG_FILES) !== 0,
    proofHash: flags & FLAG_PROOF ? bytes.subarray(1 + KID_BYTES) : undefined,
  };
}

export function describeLabel({ alg, kid, hasFiles, proofHash }: Label): Described {
  return { alg, kid, ...(hasFiles && { cty: FILES_TYPE }), proof: proofHash !== undefined };
}

/** Compares in constant time. @param proof as the client sent it, or nothing. */
export function isRightProof(proofHash: Uint8Array, proof: string | undefined): boolean {
  if (proof === undefined || !BASE64URL_32.test(proof)) return false;
  return timingSafeEqual(hash('sha256', Buffer.from(proof, 'base64url'), 'buffer'), proofHash);
}
