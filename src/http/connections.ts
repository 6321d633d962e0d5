import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';

/** The newest two answers of each connection, sent or not. */
const newest = new WeakMap<Duplex, [ServerResponse | undefined, ServerResponse]>();
/** Requests of clients that wait until they are asked for their body. */
const waiting = new WeakSet<IncomingMessage>();
/** Connections on which an answer said that it is the last. */
const closing = new WeakSet<Duplex>();

/**
 * Takes note of a request. Clients may send several without waiting for the answers.
 * @returns false when the connection is about to close: whatever the request asks for must not happen, for nobody would
 *   be told (RFC 9112 §9.6).
 */
export function begin({ socket }: IncomingMessage, response: ServerResponse): boolean {
  if (closing.has(socket)) return false;
  newest.set(socket, [newest.get(socket)?.[1], response]);
  return true;
}

/**
 * Makes an answer the last one of its connection; unless later requests of it are under way, whose answers would be
 * dropped with the connection: then the last of those has to say it.
 */
export function closeAfter(response: ServerResponse): void {
  const { socket } = response.req;
  if (newest.get(socket)?.[1] !== response) return;
  closing.add(socket);
  response.setHeader('connection', 'close');
}

/** RFC 9110 §10.1.1: a client that expects 100 Continue is asked for its body when somebody begins to read it. */
export function askWhenRead(request: IncomingMessage, response: ServerResponse): void {
  waiting.add(request);
  request.once('resume', () => {
    if (!response.headersSent && waiting.delete(request)) response.writeContinue();
  });
}

/** Whether the client still waits: nobody knows whether its body will follow. */
export function isWaiting(request: IncomingMessage): boolean {
  return waiting.has(request);
}

/** Whether part of an answer is sent and part of it is not: no other one has a place there. */
export function isAnswering(socket: Duplex): boolean {
  const last = newest.get(socket)?.[1];
  return last?.headersSent === true && !last.writableFinished;
}

/** Whether an answer has said that it is the last: one more would be nobody's. */
export function isClosing(socket: Duplex): boolean {
  return closing.has(socket);
}

/** Waits for the answer that is under way, if any, before something is said on the bare socket. */
export function afterPending(socket: Duplex, proceed: () => void): void {
  const [previous, last] = newest.get(socket) ?? [];
  const pending = last?.req.complete ? last : previous; // only the last one's request can still be incomplete
  if (!pending || pending.writableFinished || pending.destroyed) proceed();
  else pending.once('close', proceed);
}
