import { hash } from 'node:crypto';
import { type JWTPayload, jwtVerify, SignJWT } from 'jose';
import type { Clock } from '../../clock.ts';
import { ACCESS_TOKEN_MS, type KeySet, type SigningKeys } from './signing-keys.ts';

/** Who a token is for: those who verify it themselves check that it is this (RFC 9068 §2.2). */
export const AUDIENCE = 'hushbox';
/** RFC 9068 §2.1: a token of another kind, signed by the same key, does not pass for one of these. */
const TYPE = 'at+jwt';
const ALGORITHM = 'ES256';
/** No token of ours is longer. */
const MAX_LENGTH = 2048;
/** Signatures that were verified and need not be again; whether the session lives is asked each time. */
const MAX_VERIFIED = 2_000;

/** The session that a token is of, and when the token expires (ms). */
export type AccessClaims = { accountId: string; sessionId: string; expiresAt: number };

export type AccessTokenParts = {
  keys: Pick<SigningKeys, 'load'>;
  /** The name of this installation in tokens: `iss`. */
  issuer(): Promise<string>;
  clock: Clock;
};

export type AccessTokens = {
  /** @param endsAt of the session (ms): no token outlives it. @returns a token, and when it expires (ms). */
  issue(
    of: Pick<AccessClaims, 'accountId' | 'sessionId'>,
    endsAt: number,
  ): Promise<{ token: string; expiresAt: number }>;
  /** @returns undefined for anything but a token of ours that has not expired. Says nothing about its session. */
  verify(token: string): Promise<AccessClaims | undefined>;
  /** Whether text claims to be one of ours: if it is not good, it must not pass for somebody else's. */
  isOurs(text: string): Promise<boolean>;
};

/** Access tokens: JWTs (RFC 9068) under ES256, which other services verify with the keys of `/.well-known/jwks.json`. */
export function createAccessTokens({ keys, issuer, clock }: AccessTokenParts): AccessTokens {
  let verified = { keys: undefined as KeySet | undefined, claims: new Map<string, AccessClaims>() };

  async function check(token: string, keySet: KeySet): Promise<AccessClaims | undefined> {
    const find = ({ kid }: { kid?: string }) => {
      const key = keySet.all.find((one) => one.kid === kid);
      if (!key) throw new Error('no such key');
      return key.publicKey;
    };
    const name = await issuer(); // here, because a storage that is away says nothing about a token
    try {
      const { payload } = await jwtVerify(token, find, {
        algorithms: [ALGORITHM],
        typ: TYPE,
        issuer: name,
        audience: AUDIENCE,
        currentDate: new Date(clock()),
        requiredClaims: ['iss', 'aud', 'sub', 'sid', 'exp', 'iat'],
      });
      return claimsOf(payload);
    } catch {
      return undefined; // the reasons quote what was sent
    }
  }

  return {
    async issue({ accountId, sessionId }, endsAt) {
      const now = clock();
      const { kid, privateKey } = (await keys.load()).signerAt(now);
      const expires = Math.floor(Math.min(now + ACCESS_TOKEN_MS, endsAt) / 1000);
      const token = await new SignJWT({ sid: sessionId })
        .setProtectedHeader({ alg: ALGORITHM, typ: TYPE, kid })
        .setIssuer(await issuer())
        .setAudience(AUDIENCE)
        .setSubject(accountId)
        .setIssuedAt(Math.floor(now / 1000))
        .setExpirationTime(expires)
        .sign(privateKey);
      return { token, expiresAt: expires * 1000 };
    },

    async verify(token) {
      if (token.length > MAX_LENGTH || !isCanonical(token)) return undefined;
      const keySet = await keys.load();
      if (verified.keys !== keySet) verified = { keys: keySet, claims: new Map() };
      const { claims } = verified;
      const name = hash('sha256', token, 'base64url');
      const found = claims.get(name) ?? (await check(token, keySet));
      if (!found || found.expiresAt <= clock()) return undefined;
      claims.delete(name);
      claims.set(name, found);
      if (claims.size > MAX_VERIFIED) claims.delete(claims.keys().next().value as string);
      return found;
    },

    isOurs: async (text) => issuerIn(text) === (await issuer()),
  };
}

const JWT = /^[\w-]+\.[\w-]+\.([\w-]+)$/;

/** Of a signature in base64url other last characters stand for the same bytes: one token has one form. */
function isCanonical(text: string): boolean {
  const [, signature = ''] = JWT.exec(text) ?? [];
  return signature !== '' && Buffer.from(signature, 'base64url').toString('base64url') === signature;
}

/** What a JWT says about its issuer; also text that is no whole JWT. */
export function issuerIn(text: string): unknown {
  try {
    return Object(JSON.parse(Buffer.from(text.split('.')[1] ?? '', 'base64url').toString())).iss;
  } catch {
    return undefined;
  }
}

function claimsOf({ sub, sid, exp }: JWTPayload): AccessClaims | undefined {
  if (typeof sub !== 'string' || typeof sid !== 'string' || typeof exp !== 'number') return undefined;
  return { accountId: sub, sessionId: sid, expiresAt: exp * 1000 };
}
