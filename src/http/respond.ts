import { randomUUID } from 'node:crypto';
import type { Context } from 'koa';
import { AppError, ERRORS, type ErrorCode } from '../errors.ts';
import { type BodyRoom, type Lease, SMALL_BYTES } from './body-room.ts';
import { isCrowded } from './connection-limit.ts';
import { closeAfter, isWaiting } from './connections.ts';
import { isTooLongToDrop } from './rest-of-body.ts';

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

type Written = { headers: Record<string, string | number>; text: string };

/** Headers and text of a JSON answer. */
export function jsonAnswer(body: object, requestId: string): Written {
  return write('application/json; charset=utf-8', JSON.stringify(body), requestId);
}

function write(type: string, text: string, requestId: string): Written {
  const headers = { 'content-type': type, 'content-length': Buffer.byteLength(text), ...commonHeaders(requestId) };
  return { headers, text };
}

/** The one shape of an error. */
export function errorBody(error: AppError, requestId: string): Record<string, string | number> {
  return { Error: error.message, code: error.code, ...error.members, request_id: requestId };
}

/**
 * Answers with JSON, or with plain text if the body is text, in one step: headers that Koa sets one by one, as `ctx.body`
 * does, take several times as long.
 */
export function answer(ctx: Context, status: number, body: object | string): void {
  ctx.status = status;
  ctx.state.answer = body;
}

/** Headers of the answer, whatever it will be. */
export function addHeaders(ctx: Context, headers: Readonly<Record<string, string | string[]>>): void {
  ctx.state.headers = { ...ctx.state.headers, ...headers };
}

/** Notes that the answer depends on this header of the request. */
export function varyOn(ctx: Context, name: string): void {
  const { headers } = ctx.state;
  if (!headers) ctx.state.headers = { vary: name };
  else addHeaders(ctx, { vary: headers.vary === undefined ? name : `${headers.vary}, ${name}` });
}

export type ErrorPage = (ctx: Context, error: AppError) => void;

/** Whether the client is a browser that opens a page: `Accept` prefers HTML to JSON. */
export function prefersPage(ctx: Context): boolean {
  varyOn(ctx, 'accept');
  return ctx.accepts('json', 'html') === 'html';
}

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

/**
 * The outermost step: gives the request an id and the answer its headers, and turns errors into answers.
 * @param room for large bodies and answers.
 * @param pageOfNoRoute what a browser gets that opens an address where there is nothing to see.
 */
export function createResponder(
  log: RequestLog,
  isDraining: () => boolean,
  room: BodyRoom,
  pageOfNoRoute?: ErrorPage,
): (ctx: Context, handle: (ctx: Context) => Promise<void> | void) => Promise<void> {
  return async (ctx, handle) => {
    const startedAt = performance.now();
    const requestId = randomUUID();
    let code: ErrorCode | undefined;
    ctx.state.requestId = requestId;
    ctx.state.isDraining = isDraining;
    ctx.state.room = room;
    try {
      await handle(ctx);
    } catch (error) {
      const known = error instanceof AppError ? error : new AppError('INTERNAL', { cause: error });
      code = known.code;
      if (ERRORS[code].status >= 500 && !IS_ORDINARY.has(code)) log.failed(requestId, known);
      if (ctx.headerSent) breakOff(ctx, known);
      answerError(ctx, known, pageOfNoRoute);
    }
    if (!ctx.headerSent) {
      closeWhereNeeded(ctx);
      send(ctx);
    }
    (ctx.state.lease as Lease | undefined)?.endTurn();
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

/** What somebody gets who follows a damaged or mistyped link. */
const IS_OF_NO_ROUTE: ReadonlySet<ErrorCode> = new Set(['NOT_FOUND', 'METHOD_NOT_ALLOWED', 'MISDIRECTED']);

function answerError(ctx: Context, error: AppError, pageOfNoRoute: ErrorPage | undefined): void {
  const { status } = ERRORS[error.code];
  const isForBrowser = IS_OF_NO_ROUTE.has(error.code) && /^(?:GET|HEAD)$/.test(ctx.method) && prefersPage(ctx);
  const showPage = (isForBrowser ? pageOfNoRoute : undefined) ?? (ctx.state.errorPage as ErrorPage | undefined);
  ctx.status = status;
  if (showPage) showPage(ctx, error);
  else answer(ctx, status, errorBody(error, ctx.state.requestId));
  if (status === 401) ctx.set('www-authenticate', ctx.state.challenge ?? 'Bearer'); // RFC 9110 §15.5.2
  if (status === 407) ctx.set('proxy-authenticate', ctx.state.challenge ?? 'Bearer');
  if (error.retryAfterSeconds !== undefined) ctx.set('retry-after', String(error.retryAfterSeconds));
}

/**
 * Begins an answer that is passed on, and whose body the caller sends: an error after this breaks it off.
 * @param headers name, value, name, value; the headers of every answer are added.
 * @throws TypeError when one of them cannot be sent. Then nothing was sent.
 */
export function sendHead(ctx: Context, status: number, headers: readonly string[]): void {
  closeWhereNeeded(ctx);
  const all = [...headers];
  const ours = { ...ctx.state.headers, ...commonHeaders(ctx.state.requestId) };
  for (const [name, value] of Object.entries<string>(ours)) all.push(name, value);
  ctx.res.writeHead(status, all);
  ctx.respond = false;
}

function closeWhereNeeded(ctx: Context): void {
  const { req, res } = ctx;
  const isRestTooLong = !req.complete && isTooLongToDrop(req);
  if (ctx.state.isDraining() || isWaiting(req) || isRestTooLong || isCrowded(req.socket)) closeAfter(res);
}

/** Part of the answer was sent, so no other one can follow: the client has to see that this one is incomplete. */
function breakOff({ app, req, res }: Context, error: AppError): void {
  app.emit('error', error);
  // HTTP/1.0 has neither length nor chunks: the client would take an orderly end for the end of the body.
  if (req.httpVersion === '1.0') req.socket.resetAndDestroy();
  else res.destroy();
}

/** JSON and plain text are sent here; Koa sends pages and empty answers. */
function send(ctx: Context): void {
  const { requestId, answer, headers: added } = ctx.state;
  if (answer === undefined) {
    ctx.set({ ...commonHeaders(requestId), ...added });
    return;
  }
  ctx.respond = false;
  const isText = typeof answer === 'string';
  const { headers, text } = isText
    ? write('text/plain; charset=utf-8', answer, requestId)
    : jsonAnswer(answer, requestId);
  if (added) Object.assign(headers, added);
  // A slow client is sent a large answer from its bytes alone: the texts that it was made of are gone by then.
  ctx.state.answer = undefined;
  const body = text.length > SMALL_BYTES ? Buffer.from(text) : text;
  ctx.res.writeHead(ctx.status, headers).end(body); // Node sends no body in an answer to HEAD
}
