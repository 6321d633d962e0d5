import type { Readable } from 'node:stream';
import type { Clock } from '../clock.ts';
import type { Egress } from '../egress/egress.ts';
import type { EgressAnswer, EgressRequest } from '../egress/request.ts';
import { AppError } from '../errors.ts';
import type { Attempt, Crowded, Outcome } from '../outbox/outcome.ts';
import type { KeyRing } from '../sealing/key-ring.ts';
import { createTokenKey } from '../tokens/calls/key.ts';
import { type CallClaims, signToken } from '../tokens/calls/sign.ts';
import { secretIdOf } from './event-ids.ts';
import { formatPayload } from './payload.ts';
import { parseRetryAfter } from './retry-after.ts';
import { RULES } from './rules.ts';
import { openSubscription, type Subscription, webhookIdOf } from './sealed.ts';
import { signMessage } from './signature.ts';
import type { TakenEvent } from './store.ts';

export const LIMITS = { connectMs: 5_000, headersMs: 15_000, bodyMs: 2_000, totalMs: 15_000 };
/** How much of an answer is read, so that its connection can serve the next request; the content is ignored. */
export const ANSWER_MAX_BYTES = 65_536;
const ANSWER_MS = 2_000;
export const TOKEN_SECONDS = 300;
export const USER_AGENT = 'Hushbox-Webhooks/1';

export type AttemptParts = {
  ring: Pick<KeyRing, 'find'>;
  egress: Pick<Egress, 'send'>;
  /** The claims of a call's token, without its audience. */
  createClaims(): CallClaims;
  clock: Clock;
  /** An attempt failed in a way that the code does not foresee. */
  onError(error: unknown): void;
};

export function createAttempt(parts: AttemptParts): Attempt<TakenEvent> {
  return async (event, enter, signal) => {
    let subscription: Subscription | undefined;
    try {
      subscription = openSubscription(parts.ring, secretIdOf(event), event.notify.sealed);
    } catch {
      return { result: 'damaged' };
    }
    if (!subscription) return { result: 'later' };
    let isCrowded = false;
    const admit = (network: string): boolean => {
      isCrowded = !enter(network);
      return !isCrowded;
    };
    try {
      return await call(parts, event, subscription, { admit, signal });
    } catch (error) {
      if (signal.aborted) return { result: 'cut' };
      return outcomeOf(error, isCrowded, parts.onError);
    }
  };
}

async function call(
  { egress, createClaims, clock }: AttemptParts,
  { type, occurredAt }: TakenEvent,
  subscription: Subscription,
  bounds: Required<Pick<EgressRequest, 'admit' | 'signal'>>,
): Promise<Outcome> {
  const { url, secret, fingerprint } = subscription;
  const body = formatPayload(type, occurredAt, fingerprint);
  const claims = createClaims();
  const message = { id: webhookIdOf(subscription, type), timestampSeconds: claims.iat, body };
  const key = createTokenKey(secret);
  const token = { ...claims, aud: new URL(url).origin, exp: claims.iat + TOKEN_SECONDS };
  const headers = {
    'content-type': 'application/json',
    'user-agent': USER_AGENT,
    ...signMessage(key, message),
    'x-my-jwt': signToken(key, token),
  };
  const answer = await egress.send({
    url,
    rules: RULES,
    method: 'POST',
    headers: Object.entries(headers).flat(),
    body: Buffer.from(body),
    isRepeatable: true, // under the same webhook-id
    limits: LIMITS,
    ...bounds,
  });
  await readToItsEnd(answer.body);
  return judge(answer, clock());
}

/** The verdict is the status: an answer that breaks off, drips or does not end changes nothing in it. */
async function readToItsEnd(body: Readable): Promise<void> {
  const timer = setTimeout(() => body.destroy(), ANSWER_MS);
  try {
    let received = 0;
    for await (const chunk of body) {
      received += (chunk as Buffer).length;
      if (received > ANSWER_MAX_BYTES) break; // which destroys it
    }
  } catch {
    // broken off
  } finally {
    clearTimeout(timer);
  }
}

function judge({ status, headers }: EgressAnswer, now: number): Outcome {
  if (status >= 200 && status < 300) return { result: 'delivered' };
  if (status === 410) return { result: 'gone' };
  const isPatient = status === 429 || status === 503;
  const retryAfter = headers.find(([name]) => name.toLowerCase() === 'retry-after')?.[1];
  return { result: 'refused', retryAfterMs: isPatient ? parseRetryAfter(retryAfter, now) : undefined };
}

function outcomeOf(error: unknown, isCrowded: boolean, onError: (error: unknown) => void): Outcome | Crowded {
  const code = error instanceof AppError ? error.code : undefined;
  if (code === 'DESTINATION_FORBIDDEN') return { result: 'forbidden' };
  if (code === 'DESTINATION_BUSY') return isCrowded ? { result: 'crowded' } : { result: 'later', retryAfterMs: 0 };
  if (code !== 'UPSTREAM_FAILED' && code !== 'UPSTREAM_TIMEOUT') onError(error);
  return { result: 'unreachable' };
}
