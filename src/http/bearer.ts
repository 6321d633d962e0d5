import { hash, timingSafeEqual } from 'node:crypto';
import type { Middleware } from 'koa';
import { AppError } from '../errors.ts';

/** Lets pass who sends this token as `Authorization: Bearer` (RFC 6750 §2.1). Compares in constant time. */
export function requireBearer(token: string): Middleware {
  const expected = digest(token);
  return (ctx, next) => {
    const sent = /^Bearer +(\S+)$/i.exec(ctx.get('authorization'))?.[1];
    if (sent !== undefined && timingSafeEqual(digest(sent), expected)) return next();
    ctx.set('www-authenticate', 'Bearer');
    throw new AppError('UNAUTHORIZED');
  };
}

function digest(text: string): Buffer {
  return hash('sha256', text, 'buffer');
}
