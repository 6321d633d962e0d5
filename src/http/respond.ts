import { randomUUID } from 'node:crypto';
import type { Context, Middleware } from 'koa';
import { AppError, ERRORS, type ErrorCode } from '../errors.ts';
import { closeAfter, isWaiting } from './connections.ts';

/** What a request leaves behind. `route` is a pattern: paths carry keys. */
export type Served = {
  requestId: string;
  method: string;
  route: string;
  status: number;
  /** Of an error. */
  code: ErrorCode | undefined;
  durationMs: number;
};

export type RequestLog = {
  served(request: Served): void;
  /** An answer of 500 or above. */
  failed(requestId: string, error: unknown): void;
  /** The connection broke while an answer was being sent. */
  broken(error: unknown): void;
};

/** Headers of every answer, errors and those of the HTTP parser included. */
export function commonHeaders(requestId: string): Record<string, string> {
  return {
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
    'x-request-id': requestId,
  };
}

/** Headers and text of a JSON answer. */
export function jsonAnswer(
  body: object,
  requestId: string,
): { headers: Record<string, string | number>; text: string } {
  const text = JSON.stringify(body);
  const headers = {
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(text),
    ...commonHeaders(requestId),
  };
  return { headers, text };
}

/** The one shape of an error. */
export function errorBody(error: AppError, requestId: string): Record<string, string | number> {
  return { Error: error.message, code: error.code, ...error.members, request_id: requestId };
}

type ErrorPage = (ctx: Context, error: AppError) => void;

/** From here on an error of this request is shown as a page; status and headers stay. */
export function showErrorsWith(ctx: Context, page: ErrorPage): void {
  ctx.state.errorPage = page;
}

/** Meant to happen: nothing to tell the operator each time. */
const IS_ORDINARY: ReadonlySet<ErrorCode> = new Set([
  'BUSY',
  'DRAINING',
  'UPSTREAM_FAILED',
  'UPSTREAM_TIMEOUT',
  'DESTINATION_BUSY',
  'LOOP_DETECTED',
]);

/** Outermost: gives the request an id and the answer its headers, and turns errors into answers. */
export function createResponder(log: RequestLog, isDraining: () => boolean): Middleware {
  return async (ctx, next) => {
    const startedAt = performance.now();
    const requestId = randomUUID();
    let code: ErrorCode | undefined;
    ctx.state.requestId = requestId;
    ctx.state.isDraining = isDraining;
    try {
      await next();
    } catch (error) {
      const known = error instanceof AppError ? error : new AppError('INTERNAL', { cause: error });
      code = known.code;
      if (ERRORS[known.code].status >= 500 && !IS_ORDINARY.has(known.code)) log.failed(requestId, known);
      if (ctx.headerSent) breakOff(ctx, known);
      ctx.status = ERRORS[known.code].status;
      const page = ctx.state.errorPage as ErrorPage | undefined;
      if (page) page(ctx, known);
      else ctx.body = errorBody(known, requestId);
      if (ctx.status === 401) ctx.set('www-authenticate', 'Bearer'); // RFC 9110 §15.5.2
      if (ctx.status === 407) ctx.set('proxy-authenticate', 'Bearer');
      if (known.retryAfterSeconds !== undefined) ctx.set('retry-after', String(known.retryAfterSeconds));
      // What is left of the body is not worth keeping the connection for.
      if (known.code === 'TOO_LARGE') closeAfter(ctx.res);
    }
    if (!ctx.headerSent) {
      closeWhereNeeded(ctx);
      send(ctx, requestId);
    }
    log.served({
      requestId,
      method: ctx.method,
      route: ctx._matchedRoute ?? 'none',
      status: ctx.status,
      code,
      durationMs: performance.now() - startedAt,
    });
  };
}

/**
 * Begins an answer that is not ours to put together, whose body the caller sends: from here on an error breaks it off.
 * @param headers name, value, name, value; those of every answer come on top.
 * @throws TypeError when one of them cannot be sent; then nothing was.
 */
export function sendHead(ctx: Context, status: number, headers: readonly string[]): void {
  closeWhereNeeded(ctx);
  const all = [...headers];
  for (const [name, value] of Object.entries(commonHeaders(ctx.state.requestId))) all.push(name, value);
  ctx.res.writeHead(status, all);
  ctx.respond = false;
}

function closeWhereNeeded(ctx: Context): void {
  if (ctx.state.isDraining() || isWaiting(ctx.req)) closeAfter(ctx.res);
}

/** An answer that was begun cannot become another one: its client has to see that it is not whole. */
function breakOff({ app, req, res }: Context, error: AppError): void {
  app.emit('error', error);
  // Without a length and without chunks, as HTTP/1.0 has it, an end is an end.
  if (req.httpVersion === '1.0') req.socket.resetAndDestroy();
  else res.destroy();
}

/** JSON goes out in one step, a tenth cheaper than header by header through Koa; Koa sends the rest: pages, 204. */
function send(ctx: Context, requestId: string): void {
  const { body, res, status } = ctx;
  if (typeof body !== 'object' || body === null || Buffer.isBuffer(body)) {
    ctx.set(commonHeaders(requestId));
    return;
  }
  ctx.respond = false;
  const { headers, text } = jsonAnswer(body, requestId);
  res.writeHead(status, headers).end(text); // of an answer to HEAD, Node sends the headers alone
}
