import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';

/** How much is read and dropped behind an answer, so that a client that sends everything first gets it. */
export const DROPPED_BYTES = 16 * 1024 * 1024;
/** A client that was told that the connection closes, and sends nothing for this time, is not waited for. */
const QUIET_MS = 5_000;
/** As long as a request may take that is not very large (`REQUEST_MS` in server.ts). */
const TOTAL_MS = 60_000;
/** Behind a refusal of the HTTP parser, where what follows need not be a body. */
const REFUSED_TOTAL_MS = 10_000;

/** Whether more is declared to follow than is read and dropped. */
export function isTooLongToDrop({ headers }: IncomingMessage): boolean {
  return Number(headers['content-length'] ?? 0) > DROPPED_BYTES;
}

/**
 * Makes an answer arrive that is given before the body was read. A connection that is closed while the client sends
 * takes the answer with it (RFC 9112 §9.6): so the rest of the body is read and dropped first. With more than 16 MiB, the
 * connection is closed.
 */
export function dropRest(request: IncomingMessage): void {
  const { socket } = request;
  const stopWaiting = closeBehind(socket, request);
  request.on('pause', () => request.resume()); // an earlier reader may do that
  limitRest(request, socket);
  request.once('end', stopWaiting).resume();
}

/** Reads and drops what comes. Closes the connection when it is too much. */
function limitRest(source: NodeJS.EventEmitter, socket: Duplex): void {
  let bytes = 0;
  source.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > DROPPED_BYTES) socket.destroy();
  });
}

/**
 * Node ends a connection with `destroySoon` when its last answer is sent. Until the body has ended, only our side is
 * closed then.
 * @returns what to call at the end of the body.
 */
function closeBehind(socket: IncomingMessage['socket'], request: IncomingMessage): () => void {
  let isLast = false;
  socket.destroySoon = () => {
    isLast = true;
    socket.end();
    destroyWhenQuiet(request, socket, TOTAL_MS);
  };
  return () => {
    Reflect.deleteProperty(socket, 'destroySoon'); // the prototype's is back
    if (isLast) socket.destroySoon();
  };
}

/** Behind a refusal without a request object: closes our side, and the other one when nothing more comes. */
export function lingerBehindRefusal(socket: Duplex): void {
  limitRest(socket, socket);
  destroyWhenQuiet(socket, socket, REFUSED_TOTAL_MS);
  socket.resume();
}

function destroyWhenQuiet(source: NodeJS.EventEmitter, socket: Duplex, totalMs: number): void {
  const quiet = setTimeout(() => socket.destroy(), QUIET_MS);
  const total = setTimeout(() => socket.destroy(), totalMs);
  source.on('data', () => quiet.refresh());
  socket.once('close', () => {
    clearTimeout(quiet);
    clearTimeout(total);
  });
}
