import { hash } from 'node:crypto';
import type { Clock } from '../clock.ts';
import { AppError } from '../errors.ts';
import type { SinkStore } from './store.ts';

/** How far the instant in a token may be from ours, in whole seconds, which is what a token tells. */
export const MAX_OFFSET_SECONDS = 300;
export const JTI_MAX_LENGTH = 256;
export const CLAIMS_MAX_BYTES = 4096;
export const LIST_LENGTH = 100;
const FULL_RETRY_SECONDS = 60;
/** Of a millisecond: what tells two tokens apart that one worker received in the same one. */
const SMALLEST_STEP = 1 / 1024;

/** What is kept of a token: of its payload everything, of the rest what every token has. */
export type Claims = {
  iat: number;
  jti: string;
  payload: { user: string; date: string; [member: string]: unknown };
};

export type SinkParts = {
  store: SinkStore;
  /** @returns what a token claims; undefined unless its form and its signature are right. */
  verify(jwt: string): Readonly<Record<string, unknown>> | undefined;
  clock: Clock;
};

export type Sink = {
  /**
   * Takes a token, once.
   * @throws AppError UNAUTHORIZED: none, not signed by us, not with our claims, or of another time; TOKEN_REPLAYED;
   *   TOO_LARGE: more claims than are kept; STORAGE_FULL.
   */
  receive(jwt: string | undefined): Promise<Claims>;
  /** The newest claims of the last seven days, in the order in which they came, the last one first. */
  list(): Promise<Claims[]>;
};

/** Where calls go that have no other destination: shows who sent them. */
export function createSink({ store, verify, clock }: SinkParts): Sink {
  let lastAt = 0;

  /** Later than the one before, so that the order of one worker's tokens is that in which they came. */
  function nextInstant(now: number): number {
    lastAt = Math.max(now, lastAt + SMALLEST_STEP);
    return lastAt;
  }

  return {
    async receive(jwt) {
      const now = clock();
      const claims = claimsOf(jwt === undefined ? undefined : verify(jwt));
      if (!claims || Math.abs(Math.floor(now / 1000) - claims.iat) > MAX_OFFSET_SECONDS) {
        throw new AppError('UNAUTHORIZED');
      }
      const text = JSON.stringify(claims);
      if (Buffer.byteLength(text) > CLAIMS_MAX_BYTES) {
        throw new AppError('TOO_LARGE', {
          detail: `The claims of the token are larger than ${CLAIMS_MAX_BYTES} bytes`,
        });
      }
      const id = hash('sha256', claims.jti, 'buffer');
      const outcome = await store.keepClaims({ id, receivedAt: nextInstant(now), claims: text });
      if (outcome === 'replayed') throw new AppError('TOKEN_REPLAYED');
      if (outcome === 'full') {
        const detail = 'There is no room for another token';
        throw new AppError('STORAGE_FULL', { detail, retryAfterSeconds: FULL_RETRY_SECONDS });
      }
      return claims;
    },

    async list() {
      return (await store.listClaims(clock(), LIST_LENGTH)).map((text) => JSON.parse(text) as Claims);
    },
  };
}

/** In the order in which they are listed. @returns undefined where one is missing, or is no such thing. */
function claimsOf({ iat, jti, payload }: Readonly<Record<string, unknown>> = {}): Claims | undefined {
  if (typeof iat !== 'number' || !Number.isFinite(iat) || typeof jti !== 'string' || !isObject(payload))
    return undefined;
  // Of two lone surrogates the hash would be the same.
  if (jti.length === 0 || jti.length > JTI_MAX_LENGTH || !jti.isWellFormed()) return undefined;
  const { user, date, ...others } = payload;
  if (typeof user !== 'string' || typeof date !== 'string') return undefined;
  return { iat, jti, payload: { user, date, ...others } };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
