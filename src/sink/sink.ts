import { hash } from 'node:crypto';
import type { Clock } from '../clock.ts';
import { AppError } from '../errors.ts';
import { storageFull } from '../limits/limiter.ts';
import type { SinkStore } from './store.ts';

export const CLAIMS_MAX_BYTES = 4096;
export const LIST_LENGTH = 100;
/** In milliseconds. Keeps two tokens in order that one worker received in the same millisecond. */
const SMALLEST_STEP = 1 / 1024;

/** What is kept of a token: its whole payload, and the claims that every token has. */
export type Claims = {
  readonly iat: number;
  readonly jti: string;
  readonly payload: { readonly user: string; readonly date: string; readonly [member: string]: unknown };
};

export type SinkParts = {
  store: SinkStore;
  /** @returns the claims of a token; undefined unless its signature, claims and time are valid. */
  verify(jwt: string): Claims | undefined;
  clock: Clock;
};

export type Sink = {
  /**
   * Accepts a token once.
   * @throws AppError UNAUTHORIZED when the token is missing or invalid; TOKEN_REPLAYED; TOO_LARGE for more claims than are
   *   kept; STORAGE_FULL.
   */
  receive(jwt: string | undefined): Promise<Claims>;
  /** The newest claims of the last seven days, newest first. */
  list(): Promise<Claims[]>;
};

/** The default destination of calls out: shows who sent them. */
export function createSink({ store, verify, clock }: SinkParts): Sink {
  let lastAt = 0;

  /** Later than the last one, so that one worker's tokens stay in the order in which they arrived. */
  function nextInstant(now: number): number {
    lastAt = Math.max(now, lastAt + SMALLEST_STEP);
    return lastAt;
  }

  return {
    async receive(jwt) {
      const now = clock();
      const verified = jwt === undefined ? undefined : verify(jwt);
      if (!verified) throw new AppError('UNAUTHORIZED');
      const { user, date, ...others } = verified.payload;
      const claims = { iat: verified.iat, jti: verified.jti, payload: { user, date, ...others } }; // in this order
      const text = JSON.stringify(claims);
      if (Buffer.byteLength(text) > CLAIMS_MAX_BYTES) {
        throw new AppError('TOO_LARGE', {
          detail: `The claims of the token are larger than ${CLAIMS_MAX_BYTES} bytes`,
        });
      }
      const id = hash('sha256', claims.jti, 'buffer');
      const outcome = await store.keepClaims({ id, receivedAt: nextInstant(now), claims: text });
      if (outcome === 'replayed') throw new AppError('TOKEN_REPLAYED');
      if (outcome === 'full') throw storageFull();
      return claims;
    },

    async list() {
      return (await store.listClaims(clock(), LIST_LENGTH)).map((text) => JSON.parse(text) as Claims);
    },
  };
}
