import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Readable } from 'node:stream';
import type { Context } from 'koa';
import type { Rules } from '../egress/destination.ts';
import type { EgressAnswer, EgressRequest } from '../egress/request.ts';
import { AppError } from '../errors.ts';
import { closeAfter, isWaiting } from '../http/connections.ts';
import { sendHead } from '../http/respond.ts';
import { headersToReturn, headersToSend } from './headers.ts';

const RULES: Rules = { purpose: 'proxy', anyPlainHttp: true, member: 'Destination' };
/** In total no longer than a client's request may take (http/server.ts). */
const LIMITS = { connectMs: 5_000, headersMs: 30_000, bodyMs: 30_000, totalMs: 60_000 };
/** How long a client may pause in its body while the destination waits for more. */
const SENDER_MS = 30_000;
const SENDER_CHECKS = 6;
/** How often a client that has closed its side is looked after. */
const CLOSED_MS = 5_000;

const NOTHING = Buffer.alloc(0);

export type Send = (request: EgressRequest) => Promise<EgressAnswer>;
export type Timing = { senderMs?: number; closedMs?: number };
export type ForwardParts = {
  send: Send;
  /** See `ownNameOf`. */
  ownName: string;
  timing?: Timing | undefined;
};

/**
 * Sends a request on and passes the answer back, both as they arrive.
 * @param token made for this request.
 * @throws AppError as `Egress.send`; REQUEST_TIMEOUT if the client stops sending. Once the answer has begun, any error
 *   breaks it off.
 */
export async function forward(ctx: Context, url: string, token: string, parts: ForwardParts): Promise<void> {
  const { req, res } = ctx;
  const { send, ownName, timing } = parts;
  await null; // a short body follows the head, and is there now
  const leaving = new AbortController();
  const gone = new Error('the client left');
  const leave = (): void => leaving.abort(gone);
  res.once('close', leave);
  const closed = watchClosed(ctx, timing?.closedMs ?? CLOSED_MS, leave);
  const sender = watchSender(req, timing?.senderMs ?? SENDER_MS, () => {
    closeAfter(res);
    leaving.abort(new AppError('REQUEST_TIMEOUT'));
  });
  try {
    const answer = await send({
      url,
      rules: RULES,
      method: 'POST',
      headers: headersToSend(req, token, ownName),
      body: bodyOf(req),
      expectsContinue: isWaiting(req),
      signal: leaving.signal,
      limits: LIMITS,
    });
    await passBack(ctx, answer, ownName);
  } catch (error) {
    if (req.readableFlowing !== null) drop(req); // the next request on the connection is behind it
    // The client is gone: a code of its own would be of no use.
    throw error === gone ? new AppError('INVALID_REQUEST', { detail: 'The request broke off' }) : error;
  } finally {
    sender?.stop();
    closed.stop();
    res.off('close', leave);
  }
}

/** The whole body if it has arrived, otherwise a stream. Without a length and without chunks it is empty. */
function bodyOf(request: IncomingMessage): Readable | Uint8Array {
  const { 'content-length': length, 'transfer-encoding': encoding } = request.headers;
  if (encoding !== undefined) return request;
  const whole = takeWhole(request, Number(length ?? 0));
  if (!whole) return request;
  request.resume(); // or its end is never seen
  return whole;
}

/** The whole body, if it has arrived: sending it in one step costs half as much. */
function takeWhole(source: Readable, length: number): Buffer | undefined {
  if (source.readableLength !== length) return undefined;
  return length === 0 ? NOTHING : (source.read(length) as Buffer);
}

function lengthOf(headers: EgressAnswer['headers']): number {
  const found = headers.find(([name]) => name.length === 14 && name.toLowerCase() === 'content-length');
  return found ? Number(found[1]) : Number.NaN;
}

async function passBack(ctx: Context, { status, headers, body }: EgressAnswer, ownName: string): Promise<void> {
  const { req, res } = ctx;
  // The rest of the request delays no other request then.
  if (!req.complete) closeAfter(res);
  try {
    sendHead(ctx, status, headersToReturn(headers, status, ownName));
  } catch (error) {
    body.destroy();
    throw new AppError('UPSTREAM_FAILED', { cause: error }); // no header of ours can have such a name or value
  }
  const whole = takeWhole(body, lengthOf(headers));
  if (whole && req.complete) {
    res.end(whole);
    return;
  }
  if (whole) res.write(whole);
  else {
    if (body.readableLength === 0) res.flushHeaders(); // the rest may take its time
    await pour(body, res);
  }
  res.end();
}

/** @throws the error of the source; nothing if the client leaves, which is seen elsewhere. */
function pour(source: Readable, response: ServerResponse): Promise<void> {
  return new Promise((resolve, reject) => {
    const onDrain = (): void => void source.resume();
    if (source.errored) return reject(source.errored); // there will be no event
    source.on('data', (chunk: Buffer) => {
      if (!response.write(chunk)) source.pause();
    });
    source.once('end', finish).once('error', reject);
    response.on('drain', onDrain);
    function finish(): void {
      response.off('drain', onDrain);
      resolve();
    }
  });
}

/** Continues to read, even if an earlier reader pauses it. */
function drop(request: IncomingMessage): void {
  request.on('pause', () => request.resume()).resume();
}

/**
 * Calls back when a client that has closed its side has left. One that waits for its answer looks the same, until
 * something is sent to it: before the answer that is a `100 Continue`, which every client of HTTP/1.1 must expect at any
 * time (RFC 9110 §15.2), and to which the system of a client that has left answers with a reset. In an answer nothing can
 * be added, so there silence counts.
 */
function watchClosed({ req, res }: Context, ms: number, onGone: () => void): { stop(): void } {
  const { socket } = req;
  let seen: number | undefined;
  const timer = setInterval(() => {
    if (!socket.readableEnded || socket.writableLength > 0) return;
    if (!res.headersSent) {
      const isInTurn = res.socket !== null; // an earlier answer on the connection is complete
      if (isInTurn && req.httpVersion === '1.1') res.writeContinue();
      return;
    }
    if (socket.bytesWritten === seen) onGone();
    seen = socket.bytesWritten;
  }, ms);
  return { stop: () => clearInterval(timer) };
}

/** Calls back once, if nothing has arrived for this time although the body is being read. */
function watchSender(request: IncomingMessage, ms: number, onStall: () => void): { stop(): void } | undefined {
  if (request.complete) return undefined;
  const { socket } = request;
  let seen = socket.bytesRead;
  let quietChecks = 0;
  const timer = setInterval(() => {
    const isQuiet = request.readableFlowing === true && socket.bytesRead === seen;
    seen = socket.bytesRead;
    quietChecks = isQuiet ? quietChecks + 1 : 0;
    if (request.complete) clearInterval(timer);
    else if (quietChecks >= SENDER_CHECKS) {
      clearInterval(timer);
      onStall();
    }
  }, ms / SENDER_CHECKS);
  return { stop: () => clearInterval(timer) };
}
