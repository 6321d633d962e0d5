/** A JWE in compact form (RFC 7516) that a client sealed, as far as it can be checked without its key: docs/sealing.md. */
export type Jwe = {
  alg: JweAlg;
  /** The RFC 7638 thumbprint of its key. */
  kid: string;
  /** Whether `cty` says that files are in it. */
  hasFiles: boolean;
};
export type JweAlg = 'dir' | 'ECDH-ES';

export const FILES_TYPE = 'application/vnd.hushbox.files' as const;
/** 32 bytes in base64url without unused bits: the last character stands for four bits. */
export const BASE64URL_32 = /^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$/;
const BASE64URL = /^[A-Za-z0-9_-]+$/;
/** What may end a text of base64url, by what a division of its length by four leaves: unused bits are zero. */
const LAST_CHARACTER: Readonly<Record<number, RegExp>> = { 0: /./, 2: /[AQgw]/, 3: /[AEIMQUYcgkosw048]/ };
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
/** A header takes about 250 bytes. */
const HEADER_MAX_BYTES = 1024;
/**
 * The points of X25519 whose multiples are zero, as RFC 7748 encodes them. Their other encodings are not canonical, and
 * every encoding that is not canonical is refused.
 */
const LOW_ORDER: ReadonlySet<string> = new Set([
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
  '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
]);
/** 2^255 - 19, big-endian. */
const FIELD_PRIME = Buffer.from('7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffed', 'hex');

/** The longest text of a JWE whose ciphertext has this many bytes. */
export function jweMaxLength(ciphertextBytes: number): number {
  return Math.ceil(((ciphertextBytes + HEADER_MAX_BYTES + NONCE_BYTES + TAG_BYTES) * 4) / 3) + 8;
}

/** @returns undefined unless it is a JWE with this `alg`, and complete and exactly as the format wants it. */
export function checkJwe(text: string, alg: JweAlg): (Jwe & { ciphertextBytes: number }) | undefined {
  const parts = text.split('.', 6);
  const [header = '', encryptedKey, nonce = '', ciphertext = '', tag = ''] = parts;
  if (parts.length !== 5 || encryptedKey !== '') return undefined;
  if (bytesIn(nonce) !== NONCE_BYTES || bytesIn(tag) !== TAG_BYTES) return undefined;
  const ciphertextBytes = bytesIn(ciphertext);
  const headerBytes = bytesIn(header);
  if (!ciphertextBytes || !headerBytes || headerBytes > HEADER_MAX_BYTES) return undefined;
  // Some libraries write a slash of JSON so.
  const jwe = parseHeader(headerIn(text).replaceAll('\\/', '/'), alg);
  return jwe && { ...jwe, ciphertextBytes };
}

/** What a JWE says of itself that `checkJwe` has accepted. */
export function readJwe(text: string): Jwe {
  const { alg, kid, cty } = JSON.parse(headerIn(text)) as { alg: JweAlg; kid: string; cty?: string };
  return { alg, kid, hasFiles: cty !== undefined };
}

function headerIn(text: string): string {
  return Buffer.from(text.slice(0, text.indexOf('.')), 'base64url').toString();
}

/** @returns how many bytes a text of base64url stands for; undefined if it is empty or not canonical. */
function bytesIn(text: string): number | undefined {
  if (!BASE64URL.test(text) || !LAST_CHARACTER[text.length % 4]?.test(text.at(-1) as string)) return undefined;
  return Math.floor((text.length * 3) / 4);
}

function parseHeader(text: string, alg: JweAlg): Jwe | undefined {
  const header = parseObject(text);
  if (!header) return undefined;
  const { cty, epk, kid } = header;
  const names = ['alg', 'enc', 'kid', ...(cty === undefined ? [] : ['cty']), ...(alg === 'dir' ? [] : ['epk'])];
  const isRight =
    hasExactly(header, names) &&
    header.alg === alg &&
    header.enc === 'A256GCM' &&
    typeof kid === 'string' &&
    BASE64URL_32.test(kid) &&
    (cty === undefined || cty === FILES_TYPE) &&
    (alg === 'dir' || isPublicKey(epk));
  // No value holds a colon, so more colons than members are members that are there twice.
  const members = names.length + (alg === 'dir' ? 0 : 3);
  if (!isRight || text.includes('\\') || text.split(':').length !== members + 1) return undefined;
  return { alg, kid: kid as string, hasFiles: cty !== undefined };
}

function isPublicKey(epk: unknown): boolean {
  if (typeof epk !== 'object' || epk === null) return false;
  const { kty, crv, x } = epk as Record<string, unknown>;
  if (!hasExactly(epk, ['kty', 'crv', 'x']) || kty !== 'OKP' || crv !== 'X25519') return false;
  return typeof x === 'string' && BASE64URL_32.test(x) && isGoodPoint(Buffer.from(x, 'base64url'));
}

function isGoodPoint(point: Buffer): boolean {
  const isCanonical = Buffer.from(point).reverse().compare(FIELD_PRIME) < 0;
  return isCanonical && !LOW_ORDER.has(point.toString('hex'));
}

function hasExactly(object: object, names: readonly string[]): boolean {
  return Object.keys(object).sort().join() === [...names].sort().join();
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
