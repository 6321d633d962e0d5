import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import type { Context } from 'koa';
import type { Rules } from '../egress/destination.ts';
import type { EgressAnswer, EgressRequest } from '../egress/request.ts';
import { AppError } from '../errors.ts';
import { closeAfter } from '../http/connections.ts';
import { sendHead } from '../http/respond.ts';
import { headersToReturn, headersToSend } from './headers.ts';

const RULES: Rules = { purpose: 'proxy', anyPlainHttp: true, member: 'Destination' };
/** In all no longer than a request of a client may take (http/server.ts). */
const LIMITS = { connectMs: 5_000, headersMs: 30_000, bodyMs: 30_000, totalMs: 60_000 };
/** So long a client may send nothing of its body while the destination waits for it. */
const SENDER_MS = 30_000;
const SENDER_CHECKS = 6;
/** A client that has closed its side, and to which nothing was sent for so long, has left. */
const CLOSED_MS = 1_000;
/** What is left of a body after the answer is read and dropped, so long or so much, for the answer to arrive. */
const LINGER_MS = 2_000;
const LINGER_BYTES = 16 * 1024 * 1024;

const NOTHING = Buffer.alloc(0);

export type Send = (request: EgressRequest) => Promise<EgressAnswer>;
export type Timing = { senderMs: number };

/**
 * Sends a request on and passes the answer back, both as they come.
 * @param token made for this request.
 * @throws AppError of `Egress.send`; REQUEST_TIMEOUT where the client stops sending. Once the answer is begun, whatever
 *   throws breaks it off.
 */
export async function forward(ctx: Context, url: string, token: string, send: Send, timing?: Timing): Promise<void> {
  const { req, res } = ctx;
  await null; // a short body is behind the head, and is there now
  const leaving = new AbortController();
  const gone = new Error('the client left');
  const leave = (): void => leaving.abort(gone);
  res.once('close', leave);
  const closed = watchClosed(req.socket, leave);
  const sender = watchSender(req, timing?.senderMs ?? SENDER_MS, () => {
    closeAfter(res);
    leaving.abort(new AppError('REQUEST_TIMEOUT'));
  });
  try {
    const answer = await send({
      url,
      rules: RULES,
      method: 'POST',
      headers: headersToSend(req, token),
      body: bodyOf(req),
      signal: leaving.signal,
      limits: LIMITS,
    });
    await passBack(ctx, answer);
  } catch (error) {
    if (req.readableFlowing !== null) drop(req); // the next request on the connection is behind it
    // Nobody is left to read it: a code of its own would be of no use.
    throw error === gone ? new AppError('INVALID_REQUEST', { detail: 'The request broke off' }) : error;
  } finally {
    sender?.stop();
    closed.stop();
    res.off('close', leave);
  }
}

/** A whole body, where it is there; else as it comes. Without a length and without chunks there is none. */
function bodyOf(request: IncomingMessage): Readable | Uint8Array {
  const { 'content-length': length, 'transfer-encoding': encoding } = request.headers;
  if (encoding !== undefined) return request;
  const whole = takeWhole(request, Number(length ?? 0));
  if (!whole) return request;
  request.resume(); // to its end, which is not told otherwise
  return whole;
}

/** What has come, where that is all: to send it in one step costs half as much. */
function takeWhole(source: Readable, length: number): Buffer | undefined {
  if (source.readableLength !== length) return undefined;
  return length === 0 ? NOTHING : (source.read(length) as Buffer);
}

function lengthOf(headers: EgressAnswer['headers']): number {
  const found = headers.find(([name]) => name.length === 14 && name.toLowerCase() === 'content-length');
  return found ? Number(found[1]) : Number.NaN;
}

async function passBack(ctx: Context, { status, headers, body }: EgressAnswer): Promise<void> {
  const { req, res } = ctx;
  // What is still to come of the request is in nobody's way then.
  if (!req.complete) closeAfter(res);
  try {
    sendHead(ctx, status, headersToReturn(headers, status));
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
  if (!req.complete) await readRest(req);
  res.end();
}

/** @throws what broke the source; nothing when the client leaves, which is seen elsewhere. */
function pour(source: Readable, response: ServerResponse): Promise<void> {
  return new Promise((resolve, reject) => {
    const onDrain = (): void => void source.resume();
    if (source.errored) return reject(source.errored); // it will not be told again
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

/** Reads on, whoever read it before and stops now. */
function drop(request: IncomingMessage): void {
  request.on('pause', () => request.resume()).resume();
}

/** RFC 9112 §9.6: closed while the client sends, the connection would take the answer with it. */
function readRest(request: IncomingMessage): Promise<void> {
  return new Promise((resolve) => {
    let bytes = 0;
    const timer = setTimeout(resolve, LINGER_MS);
    const end = (): void => {
      clearTimeout(timer);
      resolve();
    };
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > LINGER_BYTES) end();
    });
    drop(request);
    request.once('end', end).once('close', end);
  });
}

/**
 * Calls when the client has closed its side and nothing goes to it any more. One that left looks the same from here until
 * something is sent.
 */
function watchClosed(socket: Socket, onGone: () => void): { stop(): void } {
  let seen: number | undefined;
  const timer = setInterval(() => {
    if (!socket.readableEnded || socket.writableLength > 0) return;
    if (socket.bytesWritten === seen) onGone();
    seen = socket.bytesWritten;
  }, CLOSED_MS);
  return { stop: () => clearInterval(timer) };
}

/** Calls once, when nothing has come for so long though somebody waits for it. */
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
