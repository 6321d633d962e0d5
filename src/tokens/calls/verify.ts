import { isUtf8 } from 'node:buffer';
import { createHmac, timingSafeEqual } from 'node:crypto';
import { HEADER_PART, type TokenKey } from './key.ts';

/** Longer than any token that we sign, and than any header that we accept. */
export const TOKEN_MAX_LENGTH = 8192;
/** How far `iat` may be from our time, in both directions. */
export const MAX_OFFSET_SECONDS = 300;

const FORM = /^([\w-]+)\.([\w-]+)\.([\w-]{86})$/;

export type Claims = Readonly<Record<string, unknown>> & {
  iat: number;
  jti: string;
  payload: Readonly<Record<string, unknown>> & { user: string; date: string };
};

/**
 * Returns the claims of a token that was signed with this key. Only HS512 counts, whatever the token's header says.
 * @param now ms since the epoch; `iat` is at most 5 minutes off, `exp` and `nbf` (RFC 7519 §4.1.4, §4.1.5) hold.
 * @returns undefined for any other token, without a reason: a caller must not learn what is wrong with it.
 */
export function verifyToken(key: TokenKey, token: string, now: number): Claims | undefined {
  const [, header, payload, signature] = (token.length <= TOKEN_MAX_LENGTH && FORM.exec(token)) || [];
  if (header === undefined || payload === undefined || signature === undefined || !isOurHeader(header))
    return undefined;
  const expected = createHmac('sha512', key).update(`${header}.${payload}`).digest('base64url');
  if (!timingSafeEqual(Buffer.from(signature), Buffer.from(expected))) return undefined;
  const claims = parseObject(payload);
  return claims && isInTime(claims, now / 1000) && areClaims(claims) ? claims : undefined;
}

/** RFC 7515 §4.1.11: a recipient that does not understand the names in `crit` must refuse the token. */
function isOurHeader(header: string): boolean {
  if (header === HEADER_PART) return true;
  const { alg, typ, crit } = parseObject(header) ?? {};
  return alg === 'HS512' && typ === 'JWT' && crit === undefined;
}

function isInTime({ iat, exp, nbf }: Readonly<Record<string, unknown>>, nowSeconds: number): boolean {
  if (!isNumber(iat) || Math.abs(Math.floor(nowSeconds) - iat) > MAX_OFFSET_SECONDS) return false;
  return (
    (exp === undefined || (isNumber(exp) && exp > nowSeconds)) &&
    (nbf === undefined || (isNumber(nbf) && nbf <= nowSeconds))
  );
}

/** RFC 7519 §4.1.3: a token with an audience is not meant for us, because we have no name to be in it. */
function areClaims(claims: Readonly<Record<string, unknown>>): claims is Claims {
  const { jti, payload, aud } = claims;
  if (aud !== undefined || !isText(jti) || !isObject(payload)) return false;
  return isText(payload.user) && isText(payload.date) && /^\d{4}-\d\d-\d\d$/.test(payload.date);
}

function parseObject(part: string): Record<string, unknown> | undefined {
  const bytes = Buffer.from(part, 'base64url');
  if (!isUtf8(bytes) || bytes.toString('base64url') !== part) return undefined; // unused bits are set
  try {
    const value: unknown = JSON.parse(bytes.toString());
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value.length <= 256 && value.isWellFormed();
}

function isNumber(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value);
}
