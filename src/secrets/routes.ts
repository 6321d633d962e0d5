import type { IncomingMessage } from 'node:http';
import { jsonBytesOf, type Lease, SMALL_BYTES } from '../http/body-room.ts';
import { formatInstant } from '../http/instant.ts';
import { type Guard, route } from '../http/operation.ts';
import { type Page, pageOrJson } from '../http/page.ts';
import type { Route } from '../http/routing.ts';
import { idempotencyKeyOf } from './idempotency.ts';
import { burnSecret, createSecret, getReceipt, lookAtSecret, readSecret } from './operations.ts';
import type { AnswerRoom, Look } from './reading.ts';
import type { SecretLimits } from './schemas.ts';
import type { Secrets } from './secrets.ts';
import type { Receipt } from './store.ts';

export type SecretRouteParts = {
  secrets: Secrets;
  limits: SecretLimits;
  /** Decide who may create secrets. */
  guards: readonly Guard[];
  /** The client whose limits a creation counts against; undefined if none do. */
  identify(request: IncomingMessage): Uint8Array | undefined;
  /** The base of links, as the client of this request sees the service. */
  baseOf(request: IncomingMessage): string;
  /** What a browser gets that opens a link, or the address of a receipt. */
  pages: { secretPage: Page<Look>; receiptPage: Page<Receipt> };
};

/** Create, look, read; receipts. */
export function secretRoutes({ secrets, limits, guards, identify, baseOf, pages }: SecretRouteParts): Route[] {
  return [
    route(
      createSecret(limits, guards.length > 0),
      guards,
      async ({ request, readBody }) => {
        const client = identify(request); // before the body: the connection may be gone after it
        const { ttl = limits.ttlMaxSeconds * 1000, ...input } = await readBody();
        const created = await secrets.create({ ...input, ttlMs: ttl, client });
        return {
          secret_key: created.secretKey,
          expires_at: formatInstant(created.expiresAt),
          ...(created.receiptKey && { receipt_key: created.receiptKey }),
          ...(created.webhookSecret && { webhook_secret: created.webhookSecret }),
        };
      },
      (created, { req }) => `${baseOf(req)}/secrets/${created.secret_key}`,
    ),

    // POST, not GET: reading destroys, and a link preview must not.
    route(
      readSecret(limits),
      [],
      async ({ ctx, request, params, readBody, openLease }) => {
        const idempotencyKey = idempotencyKeyOf(request);
        const { phrase, proof } = await readBody();
        const { requestId } = ctx.state;
        const room = roomForAnswer(openLease, ctx.state.isText);
        return secrets.read(params.key, { phrase, proof, idempotencyKey, requestId, room });
      },
      ({ secret }) => secret,
    ),

    route(lookAtSecret, [], ({ ctx, params }) =>
      pageOrJson(ctx, pages.secretPage, () => secrets.look(params.key), describeLook),
    ),

    route(getReceipt, [], ({ ctx, params }) =>
      pageOrJson(
        ctx,
        pages.receiptPage,
        () => secrets.findReceipt(params.key),
        ({ state, createdAt, expiresAt, endedAt, wrongTries, reads }) => ({
          state,
          created_at: formatInstant(createdAt),
          expires_at: formatInstant(expiresAt),
          ...(endedAt !== undefined && { ended_at: formatInstant(endedAt) }),
          wrong_tries: wrongTries,
          reads,
        }),
      ),
    ),

    route(burnSecret, [], async ({ ctx, params }) => {
      await secrets.burn(params.key, ctx.state.requestId);
      return undefined;
    }),
  ];
}

function describeLook(look: Look) {
  const expires_at = formatInstant(look.expiresAt);
  if (!('needsPhrase' in look)) {
    return { phrase: false, answered: false as const, ...(look.note && { note: look.note }), expires_at };
  }
  return { phrase: look.needsPhrase, expires_at, ...(look.sealed && { sealed: look.sealed }) };
}

/** @param isText whether the answer is the secret alone; in JSON, a character can take six bytes. */
function roomForAnswer(openLease: () => Lease, isText: boolean): AnswerRoom {
  return {
    takeTurn(bytes) {
      if (bytes <= SMALL_BYTES) return undefined;
      const lease = openLease();
      lease.hold(bytes);
      return lease.takeTurn();
    },
    reserve(text) {
      if (text.length * 6 <= SMALL_BYTES) return;
      openLease().holdAnswer(isText ? text.length : jsonBytesOf(text));
    },
  };
}
