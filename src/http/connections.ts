import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';

/** The newest two answers of each connection, sent or not. */
const newest = new WeakMap<Duplex, [ServerResponse | undefined, ServerResponse]>();
/** Requests whose client waits for 100 Continue before it sends the body. */
const waiting = new WeakSet<IncomingMessage>();
/** Connections whose last answer was announced with `Connection: close`. */
const closing = new WeakSet<Duplex>();

/**
 * Notes a request. Clients may send several without waiting for the answers.
 * @returns false when the connection is about to close: the request must then have no effect, because its client would
 *   get no answer (RFC 9112 §9.6).
 */
export function begin({ socket }: IncomingMessage, response: ServerResponse): boolean {
  if (closing.has(socket)) return false;
  newest.set(socket, [newest.get(socket)?.[1], response]);
  return true;
}

/**
 * Makes an answer the last one on its connection. If later requests on it are in progress, nothing happens: their answers
 * would be dropped with the connection, so the last of those has to close it.
 */
export function closeAfter(response: ServerResponse): void {
  const { socket } = response.req;
  if (newest.get(socket)?.[1] !== response) return;
  closing.add(socket);
  response.setHeader('connection', 'close');
}

/** RFC 9110 §10.1.1: a client that expects 100 Continue gets it when reading of the body begins. */
export function askWhenRead(request: IncomingMessage, response: ServerResponse): void {
  waiting.add(request);
  request.once('resume', () => {
    if (!response.headersSent && waiting.delete(request)) response.writeContinue();
  });
}

/** Whether the client still waits for 100 Continue, so that its body may or may not follow. */
export function isWaiting(request: IncomingMessage): boolean {
  return waiting.has(request);
}

/** Whether an answer is partly sent, so that no other one can follow yet. */
export function isAnswering(socket: Duplex): boolean {
  const last = newest.get(socket)?.[1];
  return last?.headersSent === true && !last.writableFinished;
}

/**
 * Whether no other answer may follow on this connection: the last one was announced, or what the parser refuses is the
 * rest of a body whose request is answered.
 */
export function isOver(socket: Duplex): boolean {
  const last = newest.get(socket)?.[1];
  return closing.has(socket) || (last?.writableFinished === true && !last.req.complete);
}

/** Waits for the answer in progress, if any, before something is written to the bare socket. */
export function afterPending(socket: Duplex, proceed: () => void): void {
  const [previous, last] = newest.get(socket) ?? [];
  const pending = last?.req.complete ? last : previous; // only the last one's request can still be incomplete
  if (!pending || pending.writableFinished || pending.destroyed) proceed();
  else pending.once('close', proceed);
}
