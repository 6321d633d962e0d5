import { isUtf8 } from 'node:buffer';
import type { IncomingMessage } from 'node:http';
import { AppError } from '../errors.ts';
import { release } from '../sealing/release.ts';
import { type Lease, SMALL_BYTES } from './body-room.ts';
import { DROPPED_BYTES } from './rest-of-body.ts';

/** The byte order mark that some Windows tools write. */
const MARK = [0xef, 0xbb, 0xbf] as const;

/**
 * Reads a JSON object, whatever its content type; an empty body is `{}`, and a leading byte order mark is ignored.
 * @throws AppError as `readBody`; INVALID_REQUEST also if it is not JSON, not an object, not UTF-8.
 */
export async function readJsonObject(
  request: IncomingMessage,
  limitBytes: number,
  openLease?: OpenLease,
): Promise<Record<string, unknown>> {
  const bytes = await readBody(request, limitBytes, openLease);
  const object = parseObject(bytes);
  release(bytes);
  return object;
}

/** Room for a body. It is asked for only when the body turns out to be large. */
export type OpenLease = () => Lease;

/**
 * @param openLease for bodies that may be large: one that is has its turn then, which the caller ends.
 * @throws AppError TOO_LARGE; UNSUPPORTED_ENCODING; INVALID_REQUEST when it breaks off; BUSY without room for it.
 */
export async function readBody(request: IncomingMessage, limitBytes: number, openLease?: OpenLease): Promise<Buffer> {
  const encoding = request.headers['content-encoding']?.toLowerCase();
  if (encoding && encoding !== 'identity') throw new AppError('UNSUPPORTED_ENCODING');
  const chunks = await readChunks(request, { keptBytes: limitBytes, limitBytes, openLease });
  if (openLease && isLarge(chunks)) await openLease().takeTurn();
  return chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks);
}

function isLarge(chunks: readonly Buffer[]): boolean {
  return chunks.reduce((sum, { length }) => sum + length, 0) > SMALL_BYTES;
}

/** @throws AppError INVALID_REQUEST: not JSON, not an object, not UTF-8. */
export function parseObject(bytes: Buffer): Record<string, unknown> {
  if (!isUtf8(bytes)) throw new AppError('INVALID_REQUEST', { detail: 'The body is not valid UTF-8' });
  const text = withoutMark(bytes).toString();
  if (text === '') return {};
  const value = parseJson(text);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new AppError('INVALID_REQUEST', { detail: 'The body must be a JSON object' });
  }
  return value as Record<string, unknown>;
}

/**
 * Reads and drops a body that says nothing.
 * @throws AppError TOO_LARGE; INVALID_REQUEST when it breaks off.
 */
export async function dropBody(request: IncomingMessage, limitBytes = DROPPED_BYTES): Promise<void> {
  await readChunks(request, { keptBytes: 0, limitBytes, openLease: undefined });
}

/** A byte order mark at the beginning is ignored. */
export function withoutMark(bytes: Buffer): Buffer {
  return startsWithMark(bytes) ? bytes.subarray(MARK.length) : bytes;
}

function startsWithMark(bytes: Buffer): boolean {
  return bytes[0] === MARK[0] && bytes[1] === MARK[1] && bytes[2] === MARK[2];
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // No cause: the parser's message quotes the client.
    throw new AppError('INVALID_REQUEST', {
      detail: 'The body is not valid JSON: send a JSON object, such as {"name": "value"}',
    });
  }
}

type Amounts = {
  /** Of a longer body nothing is kept. */
  keptBytes: number;
  limitBytes: number;
  openLease: OpenLease | undefined;
};

function readChunks(request: IncomingMessage, { keptBytes, limitBytes, openLease }: Amounts): Promise<Buffer[]> {
  return new Promise((resolve, reject) => {
    const pieces = createPieces();
    const declared = Number(request.headers['content-length'] ?? 0);
    let received = 0;
    let held = SMALL_BYTES;
    const take = (chunk: Buffer): void => {
      received += chunk.length;
      if (received <= keptBytes) pieces.add(chunk);
      else pieces.drop();
      if (received > limitBytes) refuse(tooLarge(limitBytes));
      else if (openLease && received > SMALL_BYTES) takeLarge(openLease(), chunk.length);
    };
    try {
      // Known before the client has sent anything; then one that waits for 100 Continue is not asked for it.
      if (declared > limitBytes) throw tooLarge(limitBytes);
      if (openLease && declared > SMALL_BYTES) openLease().check(declared);
    } catch (error) {
      return reject(error);
    }
    request.on('data', take);
    request.on('end', () => resolve(pieces.all));
    request.on('error', breakOff);
    request.on('close', () => {
      if (!request.complete) breakOff();
    });
    /** Not before bytes arrive: else a client could fill the room with heads alone. A length need not be declared. */
    function takeLarge(lease: Lease, bytes: number): void {
      try {
        if (received > held) {
          held = declared || Math.min(2 * received, limitBytes);
          lease.hold(held);
          if (declared) pieces.joinUpTo(declared);
        }
        lease.received(bytes);
      } catch (error) {
        refuse(error);
      }
    }
    // The client is gone, so a code of its own would be of no use.
    function breakOff(): void {
      reject(new AppError('INVALID_REQUEST', { detail: 'The request ended before its body was complete' }));
    }
    /** The rest is dropped behind the answer (rest-of-body.ts). */
    function refuse(error: unknown): void {
      request.off('data', take);
      pieces.drop();
      reject(error);
    }
  });
}

/** Smaller pieces are copied together: each takes some hundred bytes beside its own, and a chunk can have one byte. */
const SMALL_PIECE_BYTES = 2 << 10;
const BLOCK_BYTES = 8 << 10;

/** What has arrived of a body. */
function createPieces() {
  let all: Buffer[] = [];
  let joined: Buffer | undefined;
  let joinedBytes = 0;
  let block: Buffer | undefined;
  let blockBytes = 0;

  function add(piece: Buffer): void {
    if (joined) joinedBytes += piece.copy(joined, joinedBytes);
    else if (all.length > 0 && piece.length < SMALL_PIECE_BYTES) addSmall(piece);
    else {
      endBlock();
      all.push(piece);
    }
  }

  function addSmall(piece: Buffer): void {
    if (blockBytes + piece.length > BLOCK_BYTES) endBlock();
    block ??= Buffer.allocUnsafeSlow(BLOCK_BYTES);
    blockBytes += piece.copy(block, blockBytes);
  }

  function endBlock(): void {
    const bytes = block?.subarray(0, blockBytes);
    // A block that is not nearly full would hold more than its bytes.
    if (bytes) all.push(blockBytes > BLOCK_BYTES - SMALL_PIECE_BYTES ? bytes : Buffer.from(bytes));
    block = undefined;
    blockBytes = 0;
  }

  return {
    get all(): Buffer[] {
      endBlock();
      return all;
    },
    add,
    /** From now on in one place: memory in pieces of all sizes is not given back to the system as well. */
    joinUpTo(bytes: number): void {
      endBlock();
      joined = Buffer.allocUnsafeSlow(bytes);
      for (const piece of all) add(piece);
      all = [joined];
    },
    drop(): void {
      all = [];
      joined = undefined;
      block = undefined;
      blockBytes = 0;
    },
  };
}

function tooLarge(limitBytes: number): AppError {
  return new AppError('TOO_LARGE', { detail: `The body is larger than ${limitBytes} bytes` });
}
