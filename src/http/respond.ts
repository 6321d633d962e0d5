import { randomUUID } from 'node:crypto';
import type { Context, Middleware } from 'koa';
import { AppError, ERRORS, type ErrorCode } from '../errors.ts';
import { closeAfter, isWaiting } from './connections.ts';

/** What is logged and counted of a request. `route` is a pattern, because paths carry keys. */
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

/** Headers of every answer, including errors and what the HTTP parser refuses. */
function commonHeaders(requestId: string): Record<string, string> {
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

/**
 * Answers with JSON, in one step: headers that Koa sets one by one, as `ctx.body` does, take several times as long.
 */
export function answer(ctx: Context, status: number, body: object): void {
  ctx.status = status;
  ctx.state.answer = body;
}

type ErrorPage = (ctx: Context, error: AppError) => void;

/** From now on errors of this request are shown as this page, with the same status and headers. */
export function showErrorsWith(ctx: Context, page: ErrorPage): void {
  ctx.state.errorPage = page;
}

/** Expected now and then: not worth a line in the log each time. */
const IS_ORDINARY: ReadonlySet<ErrorCode> = new Set([
  'BUSY',
  'DRAINING',
  'UPSTREAM_FAILED',
  'UPSTREAM_TIMEOUT',
  'DESTINATION_BUSY',
  'LOOP_DETECTED',
]);

/** The outermost step: gives the request an id and the answer its headers, and turns errors into answers. */
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
      if (ERRORS[code].status >= 500 && !IS_ORDINARY.has(code)) log.failed(requestId, known);
      if (ctx.headerSent) breakOff(ctx, known);
      answerError(ctx, known);
    }
    if (!ctx.headerSent) {
      closeWhereNeeded(ctx);
      send(ctx);
    }
    log.served({
      requestId,
      method: ctx.method,
      route: ctx.state.route ?? 'none',
      status: ctx.status,
      code,
      durationMs: performance.now() - startedAt,
    });
  };
}

function answerError(ctx: Context, error: AppError): void {
  const { status } = ERRORS[error.code];
  const showPage = ctx.state.errorPage as ErrorPage | undefined;
  ctx.status = status;
  if (showPage) showPage(ctx, error);
  else answer(ctx, status, errorBody(error, ctx.state.requestId));
  if (status === 401) ctx.set('www-authenticate', 'Bearer'); // RFC 9110 §15.5.2
  if (status === 407) ctx.set('proxy-authenticate', ctx.state.challenge ?? 'Bearer');
  if (error.retryAfterSeconds !== undefined) ctx.set('retry-after', String(error.retryAfterSeconds));
  if (error.code === 'TOO_LARGE') closeAfter(ctx.res); // the rest of the body is not worth keeping the connection for
}

/**
 * Begins an answer that is passed on, and whose body the caller sends: an error after this breaks it off.
 * @param headers name, value, name, value; the headers of every answer are added.
 * @throws TypeError when one of them cannot be sent. Then nothing was sent.
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

/** Part of the answer was sent, so no other one can follow: the client has to see that this one is incomplete. */
function breakOff({ app, req, res }: Context, error: AppError): void {
  app.emit('error', error);
  // HTTP/1.0 has neither length nor chunks: the client would take an orderly end for the end of the body.
  if (req.httpVersion === '1.0') req.socket.resetAndDestroy();
  else res.destroy();
}

/** JSON is sent here; Koa sends pages and empty answers. */
function send(ctx: Context): void {
  const { requestId, answer } = ctx.state;
  if (answer === undefined) {
    ctx.set(commonHeaders(requestId));
    return;
  }
  ctx.respond = false;
  const { headers, text } = jsonAnswer(answer, requestId);
  ctx.res.writeHead(ctx.status, headers).end(text); // Node sends no body in an answer to HEAD
}
