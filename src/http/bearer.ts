import { hash, timingSafeEqual } from 'node:crypto';
import { AppError, type ErrorCode } from '../errors.ts';
import type { Admit } from './origin.ts';

/** How a header carries a token. @returns undefined if it does not. */
export type Scheme = (value: string) => string | undefined;

/** RFC 6750 §2.1. */
export const bearer: Scheme = (value) => /^Bearer +(\S+)$/i.exec(value)?.[1];

/** RFC 7617: the token is the password, and any user will do. */
export const basic: Scheme = (value) => {
  const encoded = /^Basic +([\w+/=-]+)$/i.exec(value)?.[1];
  return encoded && /:(.*)$/s.exec(Buffer.from(encoded, 'base64').toString('latin1'))?.[1];
};

type Options = {
  headers?: readonly string[];
  schemes?: readonly Scheme[];
  /** Of the refusal. */
  code?: ErrorCode;
};

/**
 * Lets a request pass that carries this token, by default as `Authorization: Bearer`. Compares in constant time.
 * @param token if undefined, nothing passes.
 */
export function requireToken(
  token: string | undefined,
  { headers = ['authorization'], schemes = [bearer], code = 'UNAUTHORIZED' }: Options = {},
): Admit {
  const expected = token === undefined ? undefined : digest(token);
  return (ctx) => {
    for (const header of headers) {
      for (const scheme of schemes) {
        const sent = scheme(ctx.get(header));
        if (expected && sent !== undefined && timingSafeEqual(digest(sent), expected)) return;
      }
    }
    if (schemes.includes(basic)) ctx.state.challenge = 'Basic realm="Hushbox", Bearer';
    throw new AppError(code);
  };
}

function digest(text: string): Buffer {
  return hash('sha256', text, 'buffer');
}
