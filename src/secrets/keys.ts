import { sha256 } from '../sealing/hkdf.ts';
import { randomBytes } from '../sealing/random.ts';
import { REQUEST_TOKEN_BYTES, requestTokenOf } from './request-keys.ts';

const SECRET_KEY_BYTES = 36; // 4 of time, 32 random: exactly 48 base64url characters, without unused bits
const ID_HASH_BYTES = 20;
/** Length of the id of a record. */
export const ID_BYTES = 4 + ID_HASH_BYTES;
const RECEIPT_TOKEN_BYTES = 24;
const RECEIPT_PREFIX = 'receipt_';
const REQUEST_PREFIX = 'request_';
const REQUEST_LABEL = Buffer.from('hushbox request v1');
const ID_LABEL = Buffer.from('hushbox id v1');
const RECEIPT_LABEL = Buffer.from('hushbox receipt v1');
/** The number of `-` in the alphabet of base64url; `_` follows, and only letters and digits come before. */
const FIRST_SIGN = 62;
const BASE64URL = /^[A-Za-z0-9_-]+$/;

/** A key as the link has it, its bytes, and the id of its record. */
export type SecretKey = { text: string; bytes: Buffer; id: Buffer };
export type ReceiptKey = { text: string; id: Buffer; receiptHash: Buffer };
export type RequestKey = { text: string; id: Buffer; token: Buffer; requestHash: Buffer };

/**
 * A new secret key: the second of expiry (4 bytes, big-endian), then 32 random bytes. The time at the front keeps new
 * records together in the index and lets expired ones be found by id. It is no secret: a GET of the link shows it.
 */
export function createSecretKey(expiresAt: number): SecretKey {
  const bytes = Buffer.allocUnsafe(SECRET_KEY_BYTES);
  bytes.writeUInt32BE(Math.floor(expiresAt / 1000), 0);
  drawRandom(SECRET_KEY_BYTES - 4).copy(bytes, 4);
  return { text: bytes.toString('base64url'), bytes, id: idOf(bytes) };
}

/** @returns undefined for text that `createSecretKey` cannot have made. */
export function parseSecretKey(text: string): SecretKey | undefined {
  const bytes = decode(text, SECRET_KEY_BYTES);
  return bytes && { text, bytes, id: idOf(bytes) };
}

/**
 * A new receipt key: the record's id, which opens nothing, and a token, of which only a hash is stored.
 * @param token 24 bytes that end well (see `endsWell`). Default: random ones.
 */
export function createReceiptKey(id: Buffer, token = drawRandom(RECEIPT_TOKEN_BYTES)): ReceiptKey {
  return { text: formatKey(RECEIPT_PREFIX, id, token), id, receiptHash: receiptHashOf(token) };
}

/** @returns undefined for text that `createReceiptKey` cannot have made. */
export function parseReceiptKey(text: string): ReceiptKey | undefined {
  const parsed = parseKey(RECEIPT_PREFIX, text, RECEIPT_TOKEN_BYTES);
  return parsed && { text, id: parsed.id, receiptHash: receiptHashOf(parsed.token) };
}

/** A new secret key, and the request key that is made from it: the record's id, and a token, of which only a hash is stored. */
export function createRequestKeys(expiresAt: number): { secretKey: SecretKey; requestKey: RequestKey } {
  for (;;) {
    const secretKey = createSecretKey(expiresAt);
    const requestKey = requestKeyOf(secretKey);
    if (endsWell(requestKey.token)) return { secretKey, requestKey };
  }
}

/** The request key of a secret key that `createRequestKeys` has made. */
export function requestKeyOf({ id, bytes }: SecretKey): RequestKey {
  const token = requestTokenOf(bytes);
  return { text: formatKey(REQUEST_PREFIX, id, token), id, token, requestHash: requestHashOf(token) };
}

/** @returns undefined for text that `createRequestKeys` cannot have made. */
export function parseRequestKey(text: string): RequestKey | undefined {
  const parsed = parseKey(REQUEST_PREFIX, text, REQUEST_TOKEN_BYTES);
  return parsed && { text, ...parsed, requestHash: requestHashOf(parsed.token) };
}

function formatKey(prefix: string, id: Buffer, token: Buffer): string {
  return prefix + Buffer.concat([id, token]).toString('base64url');
}

function parseKey(prefix: string, text: string, tokenBytes: number): { id: Buffer; token: Buffer } | undefined {
  if (!text.startsWith(prefix)) return undefined;
  const bytes = decode(text.slice(prefix.length), ID_BYTES + tokenBytes);
  return bytes && { id: bytes.subarray(0, ID_BYTES), token: bytes.subarray(ID_BYTES) };
}

/** The first `ID_BYTES` of every id that expires before this instant sort below the result. */
export function idsExpiringBefore(now: number): Buffer {
  const bound = Buffer.alloc(4);
  bound.writeUInt32BE(Math.max(0, Math.floor(now / 1000)), 0);
  return bound;
}

function idOf(secretKey: Buffer): Buffer {
  const id = Buffer.allocUnsafe(ID_BYTES);
  secretKey.copy(id, 0, 0, 4);
  sha256(ID_LABEL, secretKey).copy(id, 4, 0, ID_HASH_BYTES);
  return id;
}

function receiptHashOf(token: Buffer): Buffer {
  return sha256(RECEIPT_LABEL, token);
}

function requestHashOf(token: Buffer): Buffer {
  return sha256(REQUEST_LABEL, token);
}

/** Random bytes that end well. One draw of 32 is discarded, which costs a twentieth of a bit. @param count a multiple of three. */
function drawRandom(count: number): Buffer {
  for (;;) {
    const bytes = randomBytes(count);
    if (endsWell(bytes)) return bytes;
  }
}

/**
 * Whether the base64url of the bytes ends with a letter or digit, because mail and chat programs cut a `-` or `_` off the
 * end of a link. @param bytes a multiple of three.
 */
export function endsWell(bytes: Buffer): boolean {
  return ((bytes.at(-1) as number) & 0x3f) < FIRST_SIGN;
}

function decode(text: string, length: number): Buffer | undefined {
  if (text.length !== (length / 3) * 4 || !BASE64URL.test(text)) return undefined;
  return Buffer.from(text, 'base64url');
}
