import { hash, timingSafeEqual } from 'node:crypto';
import { AppError, type ErrorCode } from '../errors.ts';
import type { Admit } from './origin.ts';

/**
 * Lets a request pass that carries this token as `Authorization: Bearer` (RFC 6750 §2.1), or in another of these headers.
 * Compares in constant time.
 * @param token if undefined, nothing passes.
 * @param code of the refusal.
 */
export function requireBearer(
  token: string | undefined,
  headers: readonly string[] = ['authorization'],
  code: ErrorCode = 'UNAUTHORIZED',
): Admit {
  const expected = token === undefined ? undefined : digest(token);
  return (ctx) => {
    for (const header of headers) {
      const sent = /^Bearer +(\S+)$/i.exec(ctx.get(header))?.[1];
      if (expected && sent !== undefined && timingSafeEqual(digest(sent), expected)) return;
    }
    throw new AppError(code);
  };
}

function digest(text: string): Buffer {
  return hash('sha256', text, 'buffer');
}
