import { createHmac } from 'node:crypto';
import type { Clock } from '../../clock.ts';
import { HEADER_PART, type TokenKey } from './key.ts';

const JTI_BYTES = 16;
const DAY_MS = 86_400_000;

/** A JWT with these claims, in the compact serialization (RFC 7515 §3.1). */
export function signToken(key: TokenKey, claims: object): string {
  const signed = `${HEADER_PART}.${Buffer.from(JSON.stringify(claims)).toString('base64url')}`;
  return `${signed}.${createHmac('sha512', key).update(signed).digest('base64url')}`;
}

export type ClaimsParts = { clock: Clock; randomBytes(count: number): Buffer };
/** The claims of every token. */
export type CallClaims = { iat: number; jti: string; payload: { user: string; date: string } };

/** @returns a function that makes the claims of one outgoing call; no two calls have the same `jti`. */
export function createCallClaims({ clock, randomBytes }: ClaimsParts): (user: string) => CallClaims {
  let day = Number.NaN;
  let date = '';
  return (user) => {
    const now = clock();
    const today = Math.floor(now / DAY_MS);
    if (today !== day) {
      day = today;
      date = new Date(now).toISOString().slice(0, 10);
    }
    return {
      iat: Math.floor(now / 1000),
      jti: randomBytes(JTI_BYTES).toString('base64url'),
      payload: { user, date },
    };
  };
}
