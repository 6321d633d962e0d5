import { createHash, hkdfSync, randomBytes } from 'node:crypto';
import { CompactEncrypt, calculateJwkThumbprint, compactDecrypt, exportJWK, generateKeyPair, type JWK } from 'jose';
import { remember } from '../process/leaks.ts';

/** What a client makes before it sends: with jose, not with code of ours. */
export type Sealed = {
  /** The part after the #. */
  fragment: string;
  kid: string;
  jwe: string;
  proof: string;
  proofHash: string;
};

export const FILES = 'application/vnd.hushbox.files';

/** Seals as a sender does who makes a link. */
export async function seal(text: string | Uint8Array, header: object = {}): Promise<Sealed> {
  const key = randomBytes(32);
  const fragment = key.toString('base64url');
  remember(fragment);
  const kid = await calculateJwkThumbprint({ kty: 'oct', k: fragment });
  const jwe = await new CompactEncrypt(Buffer.from(text))
    .setProtectedHeader({ alg: 'dir', enc: 'A256GCM', kid, ...header })
    .encrypt(key);
  return { fragment, kid, jwe, ...proofOf(key) };
}

export async function open(jwe: string, fragment: string): Promise<string> {
  const { plaintext } = await compactDecrypt(jwe, Buffer.from(fragment, 'base64url'));
  return Buffer.from(plaintext).toString();
}

export function proofOf(key: Uint8Array): Pick<Sealed, 'proof' | 'proofHash'> {
  const bytes = Buffer.from(hkdfSync('sha256', key, Buffer.alloc(0), 'hushbox proof v1', 32));
  remember(bytes.toString('base64url'));
  return {
    proof: bytes.toString('base64url'),
    proofHash: createHash('sha256').update(bytes).digest('base64url'),
  };
}

/** The key pair of somebody who asks for a secret. */
export type Asking = { publicJwk: JWK; privateJwk: JWK; kid: string; proof: string; proofHash: string };

export async function ask(): Promise<Asking> {
  const { publicKey, privateKey } = await generateKeyPair('ECDH-ES', { crv: 'X25519', extractable: true });
  const [publicJwk, privateJwk] = [await exportJWK(publicKey), await exportJWK(privateKey)];
  const kid = await calculateJwkThumbprint(publicJwk);
  return { publicJwk, privateJwk, kid, ...proofOf(Buffer.from(privateJwk.d as string, 'base64url')) };
}

/** Seals as somebody does who answers. */
export async function sealFor({ publicJwk, kid }: Asking, text: string, header: object = {}): Promise<string> {
  return new CompactEncrypt(Buffer.from(text))
    .setProtectedHeader({ alg: 'ECDH-ES', enc: 'A256GCM', kid, ...header })
    .encrypt(publicJwk);
}

export async function openAnswer({ privateJwk }: Asking, jwe: string): Promise<string> {
  const { plaintext } = await compactDecrypt(jwe, privateJwk);
  return Buffer.from(plaintext).toString();
}
