import { type Framing, InvalidAnswer, parseFieldLine } from './answer-head.ts';

export type BodyReader = {
  /**
   * Passes the content of a body on, in the parts that arrive.
   * @returns what is behind the body, once it is complete.
   * @throws InvalidAnswer if it breaks the rules.
   */
  take(bytes: Buffer): Buffer | undefined;
};

type OnContent = (content: Buffer) => void;

/** A line with a size, with its extension; and all trailers together. */
const MAX_LINE_BYTES = 16_384;
const NOTHING: Buffer = Buffer.alloc(0);
/** RFC 9112 §7.1. Some servers fill the size with zeros before it, or blanks behind it. */
const CHUNK_SIZE = /^0*([\da-f]{1,12})[\t ]*(?:;[\t\x20-\x7e\x80-\xff]*)?$/i;

export function createBodyReader(framing: Framing, onContent: OnContent): BodyReader {
  if (framing.kind === 'chunks') return readChunks(onContent);
  if (framing.kind === 'length') return readLength(framing.bytes, onContent);
  return {
    take(bytes) {
      if (bytes.length > 0) onContent(bytes);
      return undefined;
    },
  };
}

function readLength(length: number, onContent: OnContent): BodyReader {
  let left = length;
  return {
    take(bytes) {
      const content = bytes.subarray(0, left);
      left -= content.length;
      if (content.length > 0) onContent(content);
      return left === 0 ? bytes.subarray(content.length) : undefined;
    },
  };
}

/** Reads chunks; extensions and trailers are dropped. */
function readChunks(onContent: OnContent): BodyReader {
  const lines = createLines();
  let state: 'size' | 'content' | 'behind' | 'trailers' | 'end' = 'size';
  let left = 0;

  /** @returns the rest of the bytes; undefined if the next part is not complete. */
  function step(bytes: Buffer): Buffer | undefined {
    if (state === 'content') {
      const content = bytes.subarray(0, left);
      left -= content.length;
      if (content.length > 0) onContent(content);
      if (left === 0) state = 'behind';
      return left === 0 ? bytes.subarray(content.length) : undefined;
    }
    const found = lines.take(bytes);
    if (!found) return undefined;
    const [line, rest] = found;
    if (state === 'size') {
      left = parseSize(line);
      state = left === 0 ? 'trailers' : 'content';
    } else if (state === 'behind') {
      if (line !== '') throw new InvalidAnswer('a chunk longer than its size');
      state = 'size';
    } else if (line === '') state = 'end';
    else parseFieldLine(line);
    if (state !== 'trailers') lines.restart();
    return rest;
  }

  return {
    take(bytes) {
      let rest: Buffer | undefined = bytes;
      while (rest && state !== 'end') rest = rest.length > 0 ? step(rest) : undefined;
      return state === 'end' ? (rest ?? NOTHING) : undefined;
    },
  };
}

function parseSize(line: string): number {
  const [, digits] = CHUNK_SIZE.exec(line) ?? [];
  if (digits === undefined) throw new InvalidAnswer('an invalid size of a chunk');
  return Number.parseInt(digits, 16);
}

/** Finds lines in bytes that arrive in any parts. Those since the last restart are limited together. */
function createLines(): { take(bytes: Buffer): [line: string, rest: Buffer] | undefined; restart(): void } {
  let begun: Buffer = NOTHING;
  let total = 0;
  return {
    take(bytes) {
      const all = begun.length === 0 ? bytes : Buffer.concat([begun, bytes]);
      const end = all.indexOf('\r\n');
      total += end < 0 ? bytes.length : end + 2 - begun.length;
      if (total > MAX_LINE_BYTES) throw new InvalidAnswer('a line without end');
      begun = end < 0 ? all : NOTHING;
      return end < 0 ? undefined : [all.toString('latin1', 0, end), all.subarray(end + 2)];
    },
    restart() {
      total = 0;
    },
  };
}
