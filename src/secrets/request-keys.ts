import { createPrivateKey, createPublicKey, diffieHellman, type KeyObject } from 'node:crypto';
import { createHmacKey, hkdf } from '../sealing/hkdf.ts';
import { randomBytes } from '../sealing/random.ts';

/**
 * The keys of a request, made from its secret key alone: no master key takes part, so that nobody but its owner has them.
 *
 *     private key (X25519, RFC 7748) = HKDF-SHA-256(no salt, secret key, "hushbox v2 request")
 *     request token (24)             = the first bytes of HKDF-SHA-256(no salt, secret key, "hushbox v2 request token")
 */
const NO_SALT = createHmacKey(Buffer.alloc(32));
const PRIVATE_INFO = Buffer.from('hushbox v2 request');
const TOKEN_INFO = Buffer.from('hushbox v2 request token');
export const PUBLIC_KEY_BYTES = 32;
export const REQUEST_TOKEN_BYTES = 24;
/** What comes before the 32 bytes of a key in PKCS #8 and in SPKI (RFC 8410). */
const PKCS8 = Buffer.from('302e020100300506032b656e04220420', 'hex');
const SPKI = Buffer.from('302a300506032b656e032100', 'hex');
const ZERO = Buffer.alloc(32);

export function requestTokenOf(secretKey: Uint8Array): Buffer {
  return hkdf(NO_SALT, secretKey, TOKEN_INFO).subarray(0, REQUEST_TOKEN_BYTES);
}

export function publicKeyOf(secretKey: Uint8Array): Buffer {
  return bytesOf(createPublicKey(ownKey(secretKey)));
}

/**
 * Agrees on a secret with the owner of a public key.
 * @returns the public key to store, and what keys are derived from: shared secret, this key, the owner's (32 bytes each).
 * @throws Error for a point of low order, with which there is nothing secret.
 */
export function agreeWith(publicKey: Uint8Array): { ephemeral: Buffer; base: Buffer } {
  const key = privateKey(randomBytes(32));
  const ephemeral = bytesOf(createPublicKey(key));
  return { ephemeral, base: agree(key, publicKey, ephemeral, publicKey) };
}

/** The same, for the owner. @throws Error for a point of low order. */
export function agreeAgain(secretKey: Uint8Array, ephemeral: Uint8Array): Buffer {
  return agree(ownKey(secretKey), ephemeral, ephemeral, publicKeyOf(secretKey));
}

function agree(own: KeyObject, other: Uint8Array, ephemeral: Uint8Array, owner: Uint8Array): Buffer {
  const publicKey = createPublicKey({ key: Buffer.concat([SPKI, other]), format: 'der', type: 'spki' });
  const shared = diffieHellman({ privateKey: own, publicKey }); // RFC 7748 §6.1: all zeros must be refused
  if (shared.equals(ZERO)) throw new Error('a public key of low order');
  return Buffer.concat([shared, ephemeral, owner]);
}

function ownKey(secretKey: Uint8Array): KeyObject {
  return privateKey(hkdf(NO_SALT, secretKey, PRIVATE_INFO));
}

function privateKey(bytes: Uint8Array): KeyObject {
  return createPrivateKey({ key: Buffer.concat([PKCS8, bytes]), format: 'der', type: 'pkcs8' });
}

function bytesOf(publicKey: KeyObject): Buffer {
  return publicKey.export({ format: 'der', type: 'spki' }).subarray(SPKI.length);
}
