import { hash } from 'node:crypto';
import { calculateJwkThumbprint, EmbeddedJWK, type JWTPayload, type JWTVerifyResult, jwtVerify } from 'jose';

/** Asymmetric ones alone: under a symmetric one, who can verify a proof can make one. */
export const ALGORITHMS = ['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519', 'PS256', 'RS256'] as const;
/** Of `WWW-Authenticate` (RFC 9449 §7.1). */
export const CHALLENGE = `DPoP algs="${ALGORITHMS.join(' ')}"`;
/** How far `iat` may be off, either way: clients' clocks differ. */
const WINDOW_MS = 60_000;
/** A proof is remembered for longer than it is valid, because clocks of hosts differ, and are set back. */
const REMEMBERED_MS = WINDOW_MS + 10 * 60_000;
/** With an RSA key of 8192 bits a proof has about 3,300. */
const MAX_LENGTH = 4096;
const JTI_MAX_LENGTH = 256;
/** Members of a private or a symmetric key (RFC 7518 §6). */
const PRIVATE_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'] as const;

/** A proof as it was sent, and the request that it came with. */
export type SentProof = { proof: string; method: string; url: string };

export type Proof = {
  /** RFC 7638, SHA-256 in base64url: names the key. */
  thumbprint: string;
  /** Of the proof: 32 bytes, under which it is remembered until `rememberedUntil`. */
  id: Uint8Array;
  rememberedUntil: number;
};

/**
 * Checks a proof (RFC 9449 §4.3), all but that it was not seen before.
 * @param token that the proof comes with; undefined at log-in, where there is none yet.
 * @returns undefined for a proof that is not valid here and now.
 */
export async function verifyProof(
  { proof, method, url }: SentProof,
  token: string | undefined,
  now: number,
): Promise<Proof | undefined> {
  const verified = proof.length > MAX_LENGTH ? undefined : await verify(proof, now);
  if (!verified) return undefined;
  const { payload, protectedHeader } = verified;
  const { jti, iat, htm, htu, ath } = payload;
  if (typeof jti !== 'string' || jti === '' || jti.length > JTI_MAX_LENGTH) return undefined;
  if (typeof iat !== 'number' || Math.abs(now - iat * 1000) > WINDOW_MS) return undefined;
  const place = typeof htu === 'string' ? placeOf(htu) : undefined;
  if (htm !== method || place === undefined || place !== placeOf(url)) return undefined;
  if (token !== undefined && ath !== hash('sha256', token, 'base64url')) return undefined;
  const jwk = protectedHeader.jwk as Record<string, unknown>;
  if (PRIVATE_MEMBERS.some((member) => member in jwk)) return undefined;
  const thumbprint = await calculateJwkThumbprint(jwk as { kty: string }, 'sha256');
  return {
    thumbprint,
    id: hash('sha256', `DPoP ${thumbprint} ${jti}`, 'buffer'),
    rememberedUntil: iat * 1000 + REMEMBERED_MS,
  };
}

/** @returns undefined for anything but a signed JWT of this type whose own key, a public one, verifies it. */
async function verify(proof: string, now: number): Promise<JWTVerifyResult<JWTPayload> | undefined> {
  try {
    return await jwtVerify(proof, EmbeddedJWK, {
      typ: 'dpop+jwt',
      algorithms: [...ALGORITHMS],
      currentDate: new Date(now),
    });
  } catch {
    return undefined; // the reasons quote what was sent
  }
}

/** A URL without query and fragment, in one form (RFC 3986 §6.2.2); a slash at the end makes no difference. */
function placeOf(text: string): string | undefined {
  const url = URL.parse(text);
  if (!url || !/^https?:$/.test(url.protocol) || url.username || url.password) return undefined;
  return url.origin + url.pathname.replace(/\/+$/, '').replaceAll(/%[0-9a-f]{2}/gi, (octet) => octet.toUpperCase());
}
