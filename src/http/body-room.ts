import type { IncomingMessage, ServerResponse } from 'node:http';
import { AppError } from '../errors.ts';
import { createTurns, TOO_MUCH, type Turn } from './turns.ts';

/** A body or an answer up to this size takes no room, so it never has to wait and is never refused. */
export const SMALL_BYTES = 65_536;
/** How long a client may take to receive an answer: this long, and longer by what it takes at the slowest rate. */
const SEND_MS = 60_000;
const SLOWEST_BYTES_PER_MS = 32;

/** What the large bodies and answers of all requests of this process may take in memory. */
export type BodyRoom = {
  /** Bytes that are held now. */
  readonly heldBytes: number;
  /** How often there was no room. */
  readonly refused: number;
  /** For one request. It ends with the answer, or with the connection. */
  openLease(request: IncomingMessage, response: ServerResponse): Lease;
};

/** Room for the body of a request, and then for its answer. */
export type Lease = {
  /** Whether a body of this size could be held now. @throws AppError BUSY if not. */
  check(bytes: number): void;
  /**
   * Holds this many bytes, in place of those that it held.
   * @throws AppError BUSY without room, INVALID_REQUEST when the client has left: then it holds what it held.
   */
  hold(bytes: number): void;
  /** As `hold`, for an answer. A client that takes too long to receive it is cut off. */
  holdAnswer(bytes: number): void;
  /**
   * Waits until there is a turn to work on what is held (see `Turns`).
   * @throws AppError BUSY when that takes too long, INVALID_REQUEST when the client leaves meanwhile.
   */
  takeTurn(): Promise<void>;
  /** The work is done: what is left is to send the answer. */
  endTurn(): void;
};

export type RoomOptions = {
  maxBytes: number;
  /** The most that a single body may have: a client can always have one of them. */
  bodyMaxBytes: number;
  /** Whose share a request counts against; undefined if clients have no limit of their own. */
  clientOf(request: IncomingMessage): string | undefined;
};

export function createBodyRoom({ maxBytes, bodyMaxBytes, clientOf }: RoomOptions): BodyRoom {
  const clientMaxBytes = Math.max(Math.floor(maxBytes / 4), bodyMaxBytes);
  const heldBy = new Map<string, number>();
  const turns = createTurns();
  const room = { heldBytes: 0, refused: 0 };

  function checkRoom(client: string | undefined, bytes: number): void {
    const isClientOver = client !== undefined && (heldBy.get(client) ?? 0) + bytes > clientMaxBytes;
    if (!isClientOver && room.heldBytes + bytes <= maxBytes) return;
    room.refused += 1;
    throw new AppError('BUSY', { detail: TOO_MUCH, retryAfterSeconds: 1 });
  }

  function add(client: string | undefined, bytes: number): void {
    room.heldBytes += bytes;
    if (client === undefined) return;
    const held = (heldBy.get(client) ?? 0) + bytes;
    if (held === 0) heldBy.delete(client);
    else heldBy.set(client, held);
  }

  return Object.assign(room, {
    openLease(request: IncomingMessage, response: ServerResponse): Lease {
      const { socket } = request;
      const client = clientOf(request);
      let held = 0;
      let turn: Turn | undefined;
      let sending: NodeJS.Timeout | undefined;
      const gone = Promise.withResolvers<never>();
      gone.promise.catch(() => {}); // heard only while something waits
      let isOver = false;

      function end(): void {
        isOver = true;
        add(client, -held);
        held = 0;
        clearTimeout(sending);
        turn?.end();
        gone.reject(broken());
        response.off('close', end);
        socket.off('close', end);
      }

      /** What is small is not counted. */
      function moreFor(bytes: number): number {
        return (bytes <= SMALL_BYTES ? 0 : bytes) - held;
      }

      function hold(bytes: number): void {
        if (isOver) throw broken();
        const more = moreFor(bytes);
        if (more > 0) checkRoom(client, more);
        held += more;
        add(client, more);
      }

      // An answer behind another one on its connection never closes when the connection breaks.
      response.once('close', end);
      socket.once('close', end);
      if (socket.destroyed || response.closed) end();

      return {
        check: (bytes) => void (moreFor(bytes) > 0 && checkRoom(client, moreFor(bytes))),
        hold,
        holdAnswer(bytes) {
          hold(bytes);
          clearTimeout(sending);
          sending = setTimeout(() => socket.destroy(), SEND_MS + bytes / SLOWEST_BYTES_PER_MS);
        },
        async takeTurn() {
          if (isOver) throw broken();
          turn?.end(); // that of the body, before that of the answer
          turn = turns.take(held);
          await Promise.race([turn.begun, gone.promise]);
        },
        endTurn() {
          turn?.end();
        },
      };
    },
  });
}

/** The client is gone, so a code of its own would be of no use. */
function broken(): AppError {
  return new AppError('INVALID_REQUEST', { detail: 'The connection broke off' });
}

/** How many bytes a text takes in JSON (RFC 8259 §7), as `JSON.stringify` writes it, without the quotation marks. */
export function jsonBytesOf(text: Uint8Array): number {
  let bytes = text.length;
  for (const byte of text) {
    if (byte < 0x20) bytes += SHORT_ESCAPES.has(byte) ? 1 : 5;
    else if (byte === QUOTE || byte === BACKSLASH) bytes += 1;
  }
  return bytes;
}
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
/** Of \b, \t, \n, \f, \r. */
const SHORT_ESCAPES: ReadonlySet<number> = new Set([8, 9, 10, 12, 13]);
