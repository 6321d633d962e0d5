import { createHash, type Hash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { z } from 'zod';
import type { EndedRecord } from '../../secrets/records.ts';
import { Failure } from '../terminal.ts';

/**
 * A backup: lines of JSON. The first says what it is, the last how many there are and the SHA-256 of all before it, so
 * that a file that was cut or changed is known before anything of it is used.
 *
 *     {"format":"hushbox-backup","version":1,"created_at":"2026-11-21T12:00:00.000Z"}
 *     {"type":"receipt","id":"…","receipt_hash":"…","state":"read","created_at":1795000000000, …}
 *     {"end":true,"counts":{"receipt":1},"sha256":"…"}
 */
const FORMAT = 'hushbox-backup';
const VERSION = 1;
/** Many times what a line needs. */
const MAX_LINE_BYTES = 4_096;
const CHUNK_BYTES = 65_536;
/** Clocks of hosts differ. */
const CLOCK_TOLERANCE_MS = 120_000;

const bytes = (length: number) =>
  z
    .string()
    .regex(/^[\w-]+$/)
    .transform((text) => Buffer.from(text, 'base64url'))
    .refine(({ byteLength }) => byteLength === length);
const Instant = z.number().int().min(0).max(8_640_000_000_000_000);
const Count = z.number().int().min(0).max(1_000_000_000);
const Header = z.strictObject({
  format: z.literal(FORMAT),
  version: z.number().int(),
  created_at: z.iso.datetime().transform((text) => Date.parse(text)),
});
const Receipt = z
  .strictObject({
    type: z.literal('receipt'),
    id: bytes(24),
    receipt_hash: bytes(32),
    state: z.enum(['read', 'burned', 'expired']),
    created_at: Instant,
    expires_at: Instant,
    ended_at: Instant,
    wrong_tries: Count,
    reads: Count,
  })
  .refine(({ state, expires_at, ended_at }) => state !== 'expired' || ended_at === expires_at);
const End = z.strictObject({
  end: z.literal(true),
  counts: z.strictObject({ receipt: Count }),
  sha256: z.string(),
});

/** Whether a file begins as a backup does. */
export function isBackup(path: string): boolean {
  const beginning = Buffer.from(`{"format":"${FORMAT}"`);
  const found = Buffer.alloc(beginning.length);
  const file = openSync(path, 'r');
  try {
    readSync(file, found, 0, found.length, 0);
  } finally {
    closeSync(file);
  }
  return found.equals(beginning);
}

export type BackupWriter = {
  add(record: EndedRecord): void;
  /** @returns how many there are. */
  end(): number;
};

/** Writes a backup piece by piece. */
export function createBackupWriter(createdAt: number, write: (text: string) => void): BackupWriter {
  const hash = createHash('sha256');
  let receipts = 0;
  const add = (line: object): void => {
    const text = `${JSON.stringify(line)}\n`;
    hash.update(text);
    write(text);
  };
  add({ format: FORMAT, version: VERSION, created_at: new Date(createdAt).toISOString() });
  return {
    add({ id, receiptHash, state, createdAt, expiresAt, endedAt, wrongTries, reads }) {
      receipts += 1;
      add({
        type: 'receipt',
        id: Buffer.from(id).toString('base64url'),
        receipt_hash: Buffer.from(receiptHash).toString('base64url'),
        state,
        created_at: createdAt,
        expires_at: expiresAt,
        ended_at: endedAt,
        wrong_tries: wrongTries,
        reads,
      });
    },
    end() {
      const counts = { receipt: receipts };
      write(`${JSON.stringify({ end: true, counts, sha256: hash.digest('hex') })}\n`);
      return receipts;
    },
  };
}

/**
 * Reads a backup whole, from the start of an open file.
 * @param now what was made after it is refused: a clock is wrong.
 * @returns each record. Some come before what is wrong further on is seen: so go through it once for nothing.
 * @throws Failure that names the line, when anything is not as it was written.
 */
export function* readBackup(file: number, now: number): Generator<EndedRecord> {
  const hash = createHash('sha256');
  let createdAt: number | undefined;
  let receipts = 0;
  let isOver = false;
  let number = 0;
  for (const line of linesOf(file)) {
    number += 1;
    if (isOver) throw new Failure(`the backup goes on after its end, in line ${number}`);
    const value = parseLine(line, number);
    if (createdAt === undefined) createdAt = readHeader(value, now);
    else if (isEnd(value)) {
      checkEnd(value, receipts, hash, number);
      isOver = true;
    } else {
      yield readReceipt(value, createdAt, number);
      receipts += 1;
    }
    hash.update(line).update('\n');
  }
  if (!isOver) throw new Failure(`the backup is cut: it has no end after line ${number}`);
}

function readHeader(value: unknown, now: number): number {
  const { success, data } = Header.safeParse(value);
  if (!success) throw new Failure('this is no backup of Hushbox');
  if (data.version !== VERSION) throw new Failure('the backup was made by a newer version of Hushbox');
  if (data.created_at > now + CLOCK_TOLERANCE_MS)
    throw new Failure('the backup was made in the future: check the clock');
  return data.created_at;
}

function readReceipt(value: unknown, createdAt: number, number: number): EndedRecord {
  const { success, data } = Receipt.safeParse(value);
  if (!success || data.ended_at > createdAt + CLOCK_TOLERANCE_MS) throw notAsWritten(number);
  return {
    id: data.id,
    receiptHash: data.receipt_hash,
    state: data.state,
    createdAt: data.created_at,
    expiresAt: data.expires_at,
    endedAt: data.ended_at,
    wrongTries: data.wrong_tries,
    reads: data.reads,
  };
}

function checkEnd(value: unknown, receipts: number, hash: Hash, number: number): void {
  const { success, data } = End.safeParse(value);
  if (!success || data.counts.receipt !== receipts || data.sha256 !== hash.copy().digest('hex')) {
    throw notAsWritten(number);
  }
}

function isEnd(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'end' in value;
}

function parseLine(line: Buffer, number: number): unknown {
  try {
    return JSON.parse(line.toString());
  } catch {
    throw number === 1 ? new Failure('this is no backup of Hushbox') : notAsWritten(number);
  }
}

function notAsWritten(number: number): Failure {
  return new Failure(`the backup is damaged: line ${number} is not as it was written`);
}

/** The lines of a file, from its start, none of them too long to hold; a last one without its newline was cut. */
function* linesOf(file: number): Generator<Buffer> {
  let rest: Buffer = Buffer.alloc(0);
  for (let position = 0; ; ) {
    const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
    const length = readSync(file, chunk, 0, CHUNK_BYTES, position);
    if (length === 0) break;
    position += length;
    rest = Buffer.concat([rest, chunk.subarray(0, length)]);
    for (let end = rest.indexOf(10); end !== -1; end = rest.indexOf(10)) {
      if (end > MAX_LINE_BYTES) break;
      yield rest.subarray(0, end);
      rest = rest.subarray(end + 1);
    }
    if (rest.length > MAX_LINE_BYTES) throw new Failure('a line is too long: this is no backup of Hushbox');
  }
  if (rest.length > 0) throw new Failure('the backup is cut in the middle of its last line');
}
