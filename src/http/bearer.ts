import { hash, timingSafeEqual } from 'node:crypto';
import type { Middleware } from 'koa';
import { AppError, type ErrorCode } from '../errors.ts';

/**
 * Lets pass who sends this token as `Authorization: Bearer` (RFC 6750 §2.1), or in another of these headers. Compares in
 * constant time.
 * @param token undefined where there is none: then nobody passes.
 * @param code what others get.
 */
export function requireBearer(
  token: string | undefined,
  headers: readonly string[] = ['authorization'],
  code: ErrorCode = 'UNAUTHORIZED',
): Middleware {
  const expected = token === undefined ? undefined : digest(token);
  return (ctx, next) => {
    for (const header of headers) {
      const sent = /^Bearer +(\S+)$/i.exec(ctx.get(header))?.[1];
      if (expected && sent !== undefined && timingSafeEqual(digest(sent), expected)) return next();
    }
    throw new AppError(code);
  };
}

function digest(text: string): Buffer {
  return hash('sha256', text, 'buffer');
}
