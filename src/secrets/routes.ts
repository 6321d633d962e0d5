import type { IncomingMessage } from 'node:http';
import type Router from '@koa/router';
import type { Context, Middleware } from 'koa';
import { z } from 'zod';
import { AppError } from '../errors.ts';
import { readJsonObject } from '../http/body.ts';
import { showErrorsWith } from '../http/respond.ts';
import { createRouter } from '../http/routing.ts';
import { validate } from '../http/validate.ts';
import type { Secrets } from './secrets.ts';
import type { Receipt } from './store.ts';

export const PHRASE_MAX_BYTES = 1024;
export const NOTIFY_MAX_LENGTH = 2048;
export const IDEMPOTENCY_KEY = /^[\x20-\x7e]{22,128}$/;

export type SecretLimits = { secretMaxBytes: number; ttlMaxSeconds: number };

export type SecretRouteParts = {
  secrets: Secrets;
  limits: SecretLimits;
  /** Runs before a secret is created: who may. */
  guard: Middleware;
  /** Whose limits a creation counts for; undefined for nobody's. */
  identify(request: IncomingMessage): Uint8Array | undefined;
  /** Answers a browser that opens a link. */
  showPage(ctx: Context, found: { needsPhrase: boolean; expiresAt: number }): void;
  showErrorPage(ctx: Context, error: AppError): void;
};

/** How many bytes of body may come: each byte of text can arrive as six of escape. */
export function bodyLimitBytes({ secretMaxBytes }: SecretLimits): number {
  return 6 * (secretMaxBytes + 1024) + 4096;
}

/** Create, look, read; receipts. */
export function secretRoutes(parts: SecretRouteParts): Router {
  const { secrets, limits, guard, identify, showPage, showErrorPage } = parts;
  const router = createRouter();
  const NewSecret = newSecretSchema(limits);
  const limitBytes = bodyLimitBytes(limits);

  router.post('/generate', guard, async (ctx) => {
    const client = identify(ctx.req); // while the peer is there
    const { secret, phrase, ttl, receipt, notify } = validate(NewSecret, await readJsonObject(ctx.req, limitBytes));
    const created = await secrets.create({
      secret,
      phrase,
      ttlMs: ttl ?? limits.ttlMaxSeconds * 1000,
      receipt: receipt ?? false,
      notify,
      client,
    });
    ctx.status = 201;
    ctx.body = {
      secret_key: created.secretKey,
      expires_at: iso(created.expiresAt),
      ...(created.receiptKey && { receipt_key: created.receiptKey }),
      ...(created.webhookSecret && { webhook_secret: created.webhookSecret }),
    };
  });

  // POST, not GET: reading destroys, and a link preview must not.
  router.post('/secrets/:key', async (ctx) => {
    const idempotencyKey = idempotencyKeyOf(ctx.req);
    const { phrase } = validate(Reading, await readJsonObject(ctx.req, limitBytes));
    const { requestId } = ctx.state;
    ctx.body = { secret: await secrets.read(ctx.params.key as string, { phrase, idempotencyKey, requestId }) };
  });

  router.get('/secrets/:key', async (ctx) => {
    ctx.vary('accept');
    const isBrowser = ctx.accepts('json', 'html') === 'html';
    if (isBrowser) showErrorsWith(ctx, showErrorPage);
    const found = await secrets.look(ctx.params.key as string);
    if (isBrowser) showPage(ctx, found);
    else ctx.body = { phrase: found.needsPhrase, expires_at: iso(found.expiresAt) };
  });

  router.get('/receipts/:key', async (ctx) => {
    ctx.body = receiptBody(await secrets.findReceipt(ctx.params.key as string));
  });

  router.delete('/receipts/:key', async (ctx) => {
    await secrets.burn(ctx.params.key as string, ctx.state.requestId);
    ctx.status = 204;
  });
  return router;
}

const Text = z
  .string({ error: 'must be text' })
  .refine((value) => value.isWellFormed(), { error: 'must not hold lone surrogates' });

const text = (maxBytes: number, params?: object) =>
  Text.refine((value) => Buffer.byteLength(value) <= maxBytes, {
    error: `must not be longer than ${maxBytes} bytes of UTF-8`,
    ...params,
  });

const WholeNumber = z
  .int({ error: 'must be a whole number' })
  .nonnegative({ error: 'must not be negative' })
  .optional();

function newSecretSchema({ secretMaxBytes, ttlMaxSeconds }: SecretLimits) {
  return z.strictObject({
    secret: text(secretMaxBytes, { params: { tooLarge: true } }).min(1, { error: 'must not be empty' }),
    phrase: text(PHRASE_MAX_BYTES).min(1, { error: 'must not be empty' }).optional(),
    ttl: z
      .strictObject({ days: WholeNumber, hours: WholeNumber, minutes: WholeNumber }, { error: 'must be an object' })
      .transform(({ days = 0, hours = 0, minutes = 0 }) => ((days * 24 + hours) * 60 + minutes) * 60_000)
      .refine((ttlMs) => ttlMs >= 60_000, { error: 'must be at least one minute in all' })
      .refine((ttlMs) => ttlMs <= ttlMaxSeconds * 1000, { error: `must be at most ${ttlMaxSeconds} seconds in all` })
      .optional(),
    receipt: z.boolean({ error: 'must be true or false' }).optional(),
    notify: Text.max(NOTIFY_MAX_LENGTH, { error: `must not be longer than ${NOTIFY_MAX_LENGTH} characters` })
      .refine(isCallable, { error: 'must be an http or https URL without blanks and credentials' })
      .optional(),
  });
}

/** Whether it can be called at all; whether it may be is asked later. */
function isCallable(text: string): boolean {
  const url = /[\0- ]/.test(text) ? null : URL.parse(text);
  return url !== null && /^https?:$/.test(url.protocol) && !url.username && !url.password;
}

const Reading = z.strictObject({ phrase: text(PHRASE_MAX_BYTES).optional() });

function idempotencyKeyOf(request: IncomingMessage): string | undefined {
  if (request.headers['idempotency-key'] === undefined) return undefined;
  // Sent twice, Node joins the two with a comma.
  const values = request.headersDistinct['idempotency-key'] as string[];
  if (values.length === 1 && IDEMPOTENCY_KEY.test(values[0] as string)) return values[0] as string;
  throw new AppError('INVALID_REQUEST', {
    detail: 'Idempotency-Key must be 22 to 128 printable ASCII characters, once',
  });
}

function receiptBody(receipt: Receipt): Record<string, string | number> {
  return {
    state: receipt.state,
    created_at: iso(receipt.createdAt),
    expires_at: iso(receipt.expiresAt),
    ...(receipt.endedAt !== undefined && { ended_at: iso(receipt.endedAt) }),
    wrong_tries: receipt.wrongTries,
    reads: receipt.reads,
  };
}

function iso(instant: number): string {
  return new Date(instant).toISOString();
}
