/**
 * The format that page, command line and library share: what a link holds, and how content is sealed and opened.
 * Secrets are JWE in compact form (RFC 7516) with `dir` or `ECDH-ES` over X25519 (RFC 8037), and A256GCM.
 */

/** Failures that only the client can know of. All other codes are the server's. */
export const OWN_CODES = {
  SPOILT_LINK: 'The link is damaged. Nothing was used up.',
  UNREACHABLE: 'The server does not answer.',
  UNTRUSTED: 'The answer is not what the link promises.',
  NEEDS_HTTPS: 'This needs HTTPS and a current browser.',
  CUT_OFF: 'The connection broke.',
};

/** Every failure of the client. `code` is one of the server's, or one of the client's own. */
export class HushboxError extends Error {
  override readonly name = 'HushboxError';
  readonly code: string;
  declare readonly status?: number | undefined;
  declare readonly retryAfterSeconds?: number | undefined;
  declare readonly triesLeft?: number | undefined;

  constructor(code: string, message?: string, details?: ErrorDetails) {
    super(message ?? OWN_CODES[code as keyof typeof OWN_CODES] ?? code);
    this.code = code;
    Object.assign(this, details);
  }
}

type ErrorDetails = { status: number; retryAfterSeconds?: number | undefined; triesLeft?: number | undefined };

/** @throws HushboxError UNTRUSTED: an answer that is not what the link promises is not shown. */
export function distrust(): never {
  throw new HushboxError('UNTRUSTED');
}

/** @throws HushboxError INVALID_REQUEST, before anything is sent. */
export function refuse(message: string): never {
  throw new HushboxError('INVALID_REQUEST', message);
}

export function stringIn(value: unknown): string {
  return typeof value === 'string' ? value : distrust();
}

export type ParsedLink = {
  kind: 'secret' | 'request' | 'receipt';
  /** What comes before `/secrets/KEY`: an origin, with the path of the installation if it has one. */
  base: string;
  key: string;
  /** The part after the #: 43 canonical characters of base64url. */
  fragment?: string;
  /** The # came as `%23`. Where a browser has asked for such a path, the server has seen the key. */
  isEscaped: boolean;
};

const LINK_MAX_LENGTH = 4096;
/** Site, kind, key, the # (a mail gateway may have escaped it, even twice), and what follows. */
const LINK =
  /^([hH][tT]{2}[pP][sS]?:\/\/[^\s/?#@\\]+(?:\/[^\s?#]*?)?)\/+(secret|request|receipt)s\/+([\w-]{1,200})\/*(?:\?[^\s#]*)?(?:(#|%(?:25)*23)(.*))?$/;
/** 32 bytes: the two bits that the last character has to spare are zero. */
const BYTES_32 = /^[\w-]{42}[AEIMQUYcgkosw048]$/;

/**
 * @returns the parts of a link, without asking anybody.
 * @throws HushboxError SPOILT_LINK if it cannot be a link, or its part after the # is not a whole key.
 */
export function parseLink(link: string | URL): ParsedLink {
  const [, site = '', kind, key, sign, fragment = ''] = LINK.exec(String(link).trim().slice(0, LINK_MAX_LENGTH)) ?? [];
  if (!key || (sign && !BYTES_32.test(fragment))) throw new HushboxError('SPOILT_LINK');
  return {
    kind: kind as ParsedLink['kind'],
    base: baseOf(site, 'SPOILT_LINK'),
    key,
    ...(sign && { fragment }),
    isEscaped: (sign ?? '#') !== '#',
  };
}

/** @returns what links begin with: the origin, and the path of the installation if it has one. */
export function baseOf(url: string | URL, code = 'INVALID_REQUEST'): string {
  if (!URL.canParse(url as string)) throw new HushboxError(code);
  const { origin, pathname } = new URL(url);
  return origin + pathname.replace(/\/+$/, '');
}

export type Bytes = Uint8Array<ArrayBuffer>;

const encoder = new TextEncoder();
/** Content comes back byte for byte: a byte order mark stays, and what is not UTF-8 is refused. */
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

const ALPHABET = encoder.encode('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_');
const VALUES: number[] = [];
ALPHABET.forEach((character, value) => {
  VALUES[character] = value;
});

/** Base64url without padding (RFC 4648 §5). */
export function encode(bytes: Bytes): string {
  return decoder.decode(encodeStep(bytes));
}

/** @returns the characters as bytes, which takes a fifth of the time that `btoa` needs. */
function encodeStep(bytes: Bytes): Bytes {
  const characters = new Uint8Array(Math.ceil((bytes.length * 4) / 3));
  let [bits, count, length] = [0, 0, 0];
  for (let at = 0; at < bytes.length; at++) {
    bits = (bits << 8) | (bytes[at] as number);
    for (count += 8; count >= 6; ) {
      count -= 6;
      characters[length++] = ALPHABET[bits >> count] as number;
      bits &= (1 << count) - 1;
    }
  }
  // Without bits that are left over this is past the end, which an array of bytes ignores.
  characters[length] = ALPHABET[bits << (6 - count)] as number;
  return characters;
}

/** @throws HushboxError UNTRUSTED for anything but what `encode` makes: spare bits that are not zero, too. */
export function decode(text: string): Bytes {
  const bytes = new Uint8Array((text.length * 3) / 4); // rounded down
  let [bits, count, length] = [0, 0, 0];
  for (let at = 0; at < text.length; at++) {
    const value = VALUES[text.charCodeAt(at)] ?? distrust();
    bits = (bits << 6) | value;
    count += 6;
    if (count < 8) continue;
    count -= 8;
    bytes[length++] = bits >> count;
    bits &= (1 << count) - 1;
  }
  return bits || count > 4 ? distrust() : bytes;
}

/** Characters coded at once: a step keeps a slow computer busy for less than 0.1 s. A multiple of three and of four. */
const STEP = 3 << 20;

/** Lets a page react between two steps. */
export function pause(ms?: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function inSteps<Data extends { length: number; slice(from: number, to: number): Data }>(
  data: Data,
  code: (step: Data) => Bytes,
): Promise<Bytes[]> {
  const parts: Bytes[] = [];
  for (let at = 0; at < data.length; at += STEP) {
    if (at) await pause();
    parts.push(code(data.slice(at, at + STEP)));
  }
  return parts;
}

/** A piece of text or of bytes; text may come as its bytes. */
export type Part = string | Bytes;

async function join(...parts: readonly (Part | Blob)[]): Promise<Bytes> {
  return new Uint8Array(await new Blob([...parts]).arrayBuffer());
}

/** Absent where a browser was given a page over plain HTTP. */
function subtle(): typeof crypto.subtle {
  const { subtle: found } = crypto as Partial<typeof crypto>;
  if (!found) throw new HushboxError('NEEDS_HTTPS');
  return found;
}

async function sha256(bytes: Bytes): Promise<Bytes> {
  return new Uint8Array(await subtle().digest('SHA-256', bytes));
}

/** 32 random bytes: a key K, or a private key D. */
export function newKey(): string {
  return encode(crypto.getRandomValues(new Uint8Array(32)));
}

/** The thumbprint (RFC 7638) of a symmetric key. */
async function kidOfKey(key: string): Promise<string> {
  return encode(await sha256(encoder.encode(`{"k":"${key}","kty":"oct"}`)));
}

/** The thumbprint (RFC 7638) of a public key, `x` of its JWK. */
export async function kidOfPublicKey(x: string): Promise<string> {
  return encode(await sha256(encoder.encode(`{"crv":"X25519","kty":"OKP","x":"${x}"}`)));
}

/** @returns `x` of the public key that belongs to the private key `d`. */
export async function publicKeyOf(d: string): Promise<string> {
  return encode(await agree(d, BASE_POINT));
}

/** Of the curve (RFC 7748 §4.1): 9 in 32 bytes, the lowest first. */
const BASE_POINT = 'CQ'.padEnd(43, 'A');
/** PKCS #8 of an X25519 key (RFC 8410 §7), up to the 32 bytes. A JWK would need `x` too. */
const PKCS8 = 'MC4CAQAwBQYDK2VuBCIEIA';

/** X25519 (RFC 7748 §6.1) of a private and a public key. A result of zeros, which everybody knows, is refused. */
async function agree(d: string, x: string): Promise<Bytes> {
  const api = subtle();
  try {
    const theirs = await api.importKey('raw', decode(x), 'X25519', false, []);
    const ours = await api.importKey('pkcs8', await join(decode(PKCS8), decode(d)), 'X25519', false, ['deriveBits']);
    const shared = new Uint8Array(await api.deriveBits({ name: 'X25519', public: theirs }, ours, 256));
    return shared.some(Boolean) ? shared : distrust();
  } catch (error) {
    throw new HushboxError((error as Error).name === 'NotSupportedError' ? 'NEEDS_HTTPS' : 'UNTRUSTED');
  }
}

/** The content key of ECDH-ES (RFC 7518 §4.6.2): one round of Concat KDF, without party information. */
async function agreeOnKey(d: string, x: string): Promise<Bytes> {
  return sha256(await join('\0\0\0\x01', await agree(d, x), '\0\0\0\x07A256GCM', '\0'.repeat(10), '\x01\0'));
}

/** What shows that a reader has the part after the #, without showing it. */
export async function proofOf(fragment?: string): Promise<{ proof?: string }> {
  return fragment ? { proof: encode(await deriveProof(fragment)) } : {};
}

/** What the server recognises the proof by. */
export async function proofHashOf(fragment: string): Promise<{ proof_hash: string }> {
  return { proof_hash: encode(await sha256(await deriveProof(fragment))) };
}

async function deriveProof(fragment: string): Promise<Bytes> {
  const key = await subtle().importKey('raw', decode(fragment), 'HKDF', false, ['deriveBits']);
  const hkdf = { name: 'HKDF', hash: 'SHA-256', salt: new Uint8Array(), info: encoder.encode('hushbox proof v1') };
  return new Uint8Array(await subtle().deriveBits(hkdf, key, 256));
}

/** What the server says about a sealed secret, in a look and in a read. */
export type Seal = { alg?: unknown; kid?: unknown; cty?: unknown };

/** Whether a link's part after the # opens what has this seal, or, of a request, is the key to seal the answer to. */
export async function isKeyOf(fragment: string, { alg, kid }: Seal): Promise<boolean> {
  if (alg === 'dir') return kid === (await kidOfKey(fragment));
  if (alg === 'ECDH-ES') return kid === (await kidOfPublicKey(await publicKeyOf(fragment)));
  return alg === 'request' && kid === (await kidOfPublicKey(fragment));
}

export type Content = { text?: string | undefined; files: readonly File[] };
export type Opened = { text?: string; files: File[] };

export const FILES = 'application/vnd.hushbox.files';

/**
 * Seals content with a key, which the link then holds, or to a public key.
 * @returns the JWE in parts, to be joined: a large one is not needed in one piece.
 */
export async function seal(content: Content, to: { key: string } | { x: string }): Promise<Part[]> {
  const plaintext = await pack(content);
  const hasFiles = content.files.length > 0;
  if ('key' in to) return encrypt(plaintext, headOf('dir', await kidOfKey(to.key), hasFiles), decode(to.key));
  const d = newKey();
  const head = headOf('ECDH-ES', await kidOfPublicKey(to.x), hasFiles, await publicKeyOf(d));
  return encrypt(plaintext, head, await agreeOnKey(d, to.x));
}

/** A protected header is exactly this, in any order. */
function headOf(alg: unknown, kid: unknown, hasFiles: boolean, x?: string) {
  return {
    alg,
    enc: 'A256GCM',
    kid,
    cty: hasFiles ? FILES : undefined,
    epk: x && { kty: 'OKP', crv: 'X25519', x },
  };
}

async function encrypt(plaintext: Bytes, header: object, key: Bytes): Promise<Part[]> {
  const head = encode(encoder.encode(JSON.stringify(header)));
  const iv = crypto.getRandomValues(new Uint8Array(12));
  const sealed = await aesGcm('encrypt', key, iv, head, plaintext);
  free(plaintext);
  const end = sealed.length - TAG_BYTES;
  const tag = encode(sealed.slice(end));
  const content = sealed.subarray(0, end);
  content.slice = content.subarray; // no copies
  const ciphertext = await inSteps(content, encodeStep);
  free(sealed);
  return [`${head}..${encode(iv)}.`, ...ciphertext, `.${tag}`];
}

/** At once, and not when it is collected: a large one would be there beside the next one. */
function free({ buffer }: Bytes): void {
  buffer.transfer?.(0);
}

const TAG_BYTES = 16;

async function aesGcm(use: 'encrypt' | 'decrypt', key: Bytes, iv: Bytes, head: string, data: Bytes): Promise<Bytes> {
  const imported = await subtle().importKey('raw', key, 'AES-GCM', false, [use]);
  const params = { name: 'AES-GCM', iv, additionalData: encoder.encode(head) };
  return new Uint8Array(await subtle()[use](params, imported, data));
}

async function pack({ text = '', files }: Content): Promise<Bytes> {
  if (!text?.isWellFormed?.() || (!text && files.length === 0)) refuse('No text or file.');
  if (files.length === 0) return encoder.encode(text);
  const list = files.map(({ name, type, size }) => ({ name, type, bytes: size }));
  const line = JSON.stringify({ ...(text && { text: encoder.encode(text).length }), files: list });
  return join(line, '\n', text, ...files).catch(() => refuse('A file cannot be read.'));
}

/**
 * Opens a JWE, if it is sealed for this part after the #.
 * @param seal whose `kid` belongs to the part after the #, see `isKeyOf`.
 * @throws HushboxError UNTRUSTED for anything else, and shows nothing of it.
 */
export async function unseal(jwe: string, fragment: string, seal: Seal): Promise<Opened> {
  const [head = '', between, iv = '', ciphertext = '', tag = '', more] = jwe.split('.', 6);
  try {
    const header: Header = JSON.parse(decoder.decode(decode(head)));
    const x = seal.alg === 'dir' ? undefined : stringIn(header.epk?.x);
    const isRight = sorted(header) === sorted(headOf(seal.alg, seal.kid, 'cty' in header, x));
    if (!isRight || between !== '' || iv.length !== 16 || tag.length !== 22 || more !== undefined) distrust();
    const key = x ? await agreeOnKey(fragment, x) : decode(fragment);
    const sealed = await join(...(await inSteps(ciphertext, decode)), decode(tag));
    const plaintext = await aesGcm('decrypt', key, decode(iv), head, sealed);
    return header.cty ? unpack(plaintext) : { text: decoder.decode(plaintext), files: [] };
  } catch (error) {
    // What JSON.parse says would quote the content.
    throw error instanceof HushboxError ? error : new HushboxError('UNTRUSTED');
  }
}

type Header = { cty?: unknown; epk?: { x?: unknown } };

/** JSON whose members are in order, whatever their order was. */
function sorted(value: object): string {
  return JSON.stringify(value, (_, member: unknown) =>
    member === Object(member) ? Object.fromEntries(Object.entries(member as object).sort()) : member,
  );
}

type FileList = { text?: number; files: { name: string; type: string; bytes: number }[] };

/** One line of JSON with the lengths, then text and files one after another. */
function unpack(plaintext: Bytes): Opened {
  let at = plaintext.indexOf(10) + 1;
  const list: FileList = JSON.parse(decoder.decode(plaintext.subarray(0, at)));
  const take = (bytes: number) => {
    if (bytes >>> 0 !== bytes) distrust();
    at += bytes;
    return plaintext.subarray(at - bytes, at);
  };
  const text = list.text === undefined ? {} : { text: decoder.decode(take(list.text)) };
  const files = list.files.map(({ name, type, bytes }) => {
    return typeof name + typeof type === 'stringstring' ? new File([take(bytes)], name, { type }) : distrust();
  });
  return at === plaintext.length ? { ...text, files } : distrust();
}
