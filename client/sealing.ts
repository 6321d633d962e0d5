/**
 * The format that page, command line and library share: what a link holds, and how content is sealed and opened.
 * Secrets are JWE in compact form (RFC 7516) with `dir` or `ECDH-ES` over X25519 (RFC 8037), and A256GCM.
 */

/** Failures that the client finds out itself. The other codes are the server's. */
const SENTENCES = {
  SPOILT_LINK: 'The link is incomplete or damaged. Nothing was used up.',
  UNREACHABLE: 'The server gave no answer.',
  UNTRUSTED: 'The answer is not what the link promises, so it is not shown.',
  NEEDS_HTTPS: 'Sealing and opening need HTTPS and a current browser.',
  CUT_OFF: 'The connection broke, and every repeat failed.',
  INVALID_REQUEST: 'The content cannot be sent.',
} as const;

type OwnCode = keyof typeof SENTENCES;

/** Every failure of the client. `code` is one of the server's, or one of the client's own. */
export class HushboxError extends Error {
  override readonly name = 'HushboxError';
  readonly code: string;
  readonly status?: number;
  readonly retryAfterSeconds?: number;
  readonly triesLeft?: number;

  constructor(
    code: string,
    { message, ...details }: { message?: string; status?: number; retryAfterSeconds?: number; triesLeft?: number } = {},
  ) {
    super(message || (code in SENTENCES ? SENTENCES[code as OwnCode] : code));
    this.code = code;
    Object.assign(this, details);
  }
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
const ESCAPED = /^([^#?]*\/(?:secret|request)s\/+[\w-]+\/*)%(?:25)*23/;
const PATH = /^(.*?)\/+(secret|request|receipt)s\/+([\w-]{1,200})\/*$/;
/** 32 bytes: the two bits that the last character has to spare are zero. */
const BYTES_32 = /^[\w-]{42}[AEIMQUYcgkosw048]$/;

/**
 * @returns the parts of a link, without asking anybody.
 * @throws HushboxError SPOILT_LINK if it cannot be a link, or its part after the # is not a whole key.
 */
export function parseLink(link: string | URL): ParsedLink {
  const given = String(link).trim().slice(0, LINK_MAX_LENGTH);
  const text = given.replace(ESCAPED, '$1#');
  // A URL would drop line ends in the middle, and so mend a key that came in pieces.
  const url = !/\s/.test(text) && URL.canParse(text) ? new URL(text) : undefined;
  const [, prefix = '', kind, key] = PATH.exec(url?.pathname ?? '') ?? [];
  const fragment = text.includes('#') ? text.slice(text.indexOf('#') + 1) : undefined;
  if (!url || !/^https?:$/.test(url.protocol) || url.username || url.password || !key) throw new HushboxError(SPOILT);
  if (fragment !== undefined && !BYTES_32.test(fragment)) throw new HushboxError(SPOILT);
  return {
    kind: kind as ParsedLink['kind'],
    base: url.origin + prefix,
    key,
    ...(fragment && { fragment }),
    isEscaped: text !== given,
  };
}

const SPOILT: OwnCode = 'SPOILT_LINK';

type Bytes = Uint8Array<ArrayBuffer>;

const encoder = new TextEncoder();
/** Content comes back byte for byte: a byte order mark stays, and what is not UTF-8 is refused. */
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
const VALUES = new Uint8Array(128).fill(64);
for (let value = 0; value < 64; value++) VALUES[ALPHABET.charCodeAt(value)] = value;

/** Base64url without padding (RFC 4648 §5). */
export function encode(bytes: Uint8Array): string {
  let text = '';
  for (let at = 0; at < bytes.length; at += 0x6000) {
    text += btoa(String.fromCharCode(...bytes.subarray(at, at + 0x6000)));
  }
  return text.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}

/** @throws HushboxError UNTRUSTED for anything but what `encode` makes: spare bits that are not zero, too. */
export function decode(text: string): Bytes {
  const bytes = new Uint8Array(Math.floor((text.length * 3) / 4));
  let [bits, count, length] = [0, 0, 0];
  for (let at = 0; at < text.length; at++) {
    const value = VALUES[text.charCodeAt(at)] ?? 64;
    if (value > 63) return distrust();
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

/** Lets the page react between two steps. */
const pause = () => new Promise((resolve) => setTimeout(resolve));

async function encodeLong(bytes: Bytes): Promise<string[]> {
  const parts: string[] = [];
  for (let at = 0; at < bytes.length; at += STEP) {
    if (at) await pause();
    parts.push(encode(bytes.subarray(at, at + STEP)));
  }
  return parts;
}

async function decodeLong(text: string): Promise<Bytes[]> {
  const parts: Bytes[] = [];
  for (let at = 0; at < text.length; at += STEP) {
    if (at) await pause();
    parts.push(decode(text.slice(at, at + STEP)));
  }
  return parts;
}

/** Shows nothing of an answer that is not what the link promises. */
export function distrust(): never {
  throw new HushboxError('UNTRUSTED');
}

async function join(...parts: readonly (string | Blob | Bytes)[]): Promise<Bytes> {
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
  return encode(await agree(d, encode(Uint8Array.of(9, ...new Uint8Array(31))))); // 9 is the base point of the curve
}

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

/** What shows that a reader has the part after the #: `proof` when reading, `proofHash` when creating. */
export async function proofOf(fragment: string): Promise<{ proof: string; proofHash: string }> {
  const key = await subtle().importKey('raw', decode(fragment), 'HKDF', false, ['deriveBits']);
  const hkdf = { name: 'HKDF', hash: 'SHA-256', salt: new Uint8Array(), info: encoder.encode('hushbox proof v1') };
  const proof = new Uint8Array(await subtle().deriveBits(hkdf, key, 256));
  return { proof: encode(proof), proofHash: encode(await sha256(proof)) };
}

/** What the server says about a sealed secret, in a look and in a read. */
export type Seal = { alg?: unknown; kid?: unknown; cty?: unknown };

/** Whether a link's part after the # opens what has this seal. */
export async function isKeyOf(fragment: string, { alg, kid }: Seal): Promise<boolean> {
  if (alg === 'dir') return kid === (await kidOfKey(fragment));
  return alg === 'ECDH-ES' && kid === (await kidOfPublicKey(await publicKeyOf(fragment)));
}

export type Content = { text?: string; files: readonly File[] };
export type Opened = { text?: string; files: File[] };

export const FILES = 'application/vnd.hushbox.files';

/**
 * Seals content with a key, which the link then holds, or to a public key.
 * @returns the JWE in parts, to be joined.
 */
export async function seal(content: Content, to: { key: string } | { x: string }): Promise<string[]> {
  const cty = content.files.length > 0 && { cty: FILES };
  if ('key' in to) {
    const head = { alg: 'dir', enc: 'A256GCM', kid: await kidOfKey(to.key), ...cty };
    return encrypt(await pack(content), head, decode(to.key));
  }
  const d = newKey();
  const epk = { kty: 'OKP', crv: 'X25519', x: await publicKeyOf(d) };
  const head = { alg: 'ECDH-ES', enc: 'A256GCM', kid: await kidOfPublicKey(to.x), epk, ...cty };
  return encrypt(await pack(content), head, await agreeOnKey(d, to.x));
}

async function encrypt(plaintext: Bytes, header: object, key: Bytes): Promise<string[]> {
  const head = encode(encoder.encode(JSON.stringify(header)));
  const iv = crypto.getRandomValues(new Uint8Array(12));
  const aes = await subtle().importKey('raw', key, 'AES-GCM', false, ['encrypt']);
  const params = { name: 'AES-GCM', iv, additionalData: encoder.encode(head) };
  const sealed = new Uint8Array(await subtle().encrypt(params, aes, plaintext));
  const end = sealed.length - 16;
  const ciphertext = await encodeLong(sealed.subarray(0, end));
  return [`${head}..${encode(iv)}.`, ...ciphertext, `.${encode(sealed.subarray(end))}`];
}

async function pack({ text = '', files }: Content): Promise<Bytes> {
  if (!text.isWellFormed() || (!text && files.length === 0)) throw new HushboxError('INVALID_REQUEST');
  if (files.length === 0) return encoder.encode(text);
  const list = files.map(({ name, type, size }) => ({ name, type, bytes: size }));
  const line = JSON.stringify({ ...(text && { text: encoder.encode(text).length }), files: list });
  return join(line, '\n', text, ...files).catch(() => {
    throw new HushboxError('INVALID_REQUEST', { message: 'A file cannot be read.' });
  });
}

/**
 * Opens a JWE, if it is sealed for this part after the #.
 * @param seal whose `kid` belongs to the part after the #, see `isKeyOf`.
 * @throws HushboxError UNTRUSTED for anything else, and shows nothing of it.
 */
export async function unseal(jwe: string, fragment: string, seal: Seal): Promise<Opened> {
  const [head = '', between, iv = '', ciphertext = '', tag = '', ...more] = jwe.split('.', 6);
  if (between !== '' || more.length > 0) distrust();
  try {
    const header: Header = JSON.parse(decoder.decode(decode(head)));
    checkHeader(header, seal);
    const key = header.epk ? await agreeOnKey(fragment, header.epk.x) : decode(fragment);
    const aes = await subtle().importKey('raw', key, 'AES-GCM', false, ['decrypt']);
    const params = { name: 'AES-GCM', iv: decode(iv), additionalData: encoder.encode(head) };
    const sealed = await join(...(await decodeLong(ciphertext)), decode(tag));
    if (params.iv.length !== 12 || decode(tag).length !== 16) distrust();
    const plaintext = new Uint8Array(await subtle().decrypt(params, aes, sealed));
    return header.cty ? unpack(plaintext) : { text: decoder.decode(plaintext), files: [] };
  } catch (error) {
    // What JSON.parse says would quote the content.
    throw error instanceof HushboxError ? error : new HushboxError('UNTRUSTED');
  }
}

type Header = Seal & { enc: unknown; epk?: { x: string } };

function checkHeader(header: Header, { alg, kid }: Seal): void {
  const { enc, cty, epk } = header;
  const isRight = header.alg === alg && header.kid === kid && enc === 'A256GCM' && (cty === undefined || cty === FILES);
  const isWhole = hasOnly(header, ['alg', 'enc', 'kid', 'cty', 'epk']) && (epk !== undefined) === (alg === 'ECDH-ES');
  if (!isRight || !isWhole || (epk && !isPublicKey(epk))) distrust();
}

function isPublicKey(epk: { kty?: unknown; crv?: unknown; x: unknown }): boolean {
  return hasOnly(epk, ['kty', 'crv', 'x']) && epk.kty === 'OKP' && epk.crv === 'X25519' && BYTES_32.test(`${epk.x}`);
}

function hasOnly(members: object, allowed: readonly string[]): boolean {
  return Object.keys(members).every((name) => allowed.includes(name));
}

type FileList = { text?: number; files: { name: string; type: string; bytes: number }[] };

/** One line of JSON with the lengths, then text and files one after another. */
function unpack(plaintext: Bytes): Opened {
  let at = plaintext.indexOf(10) + 1;
  const list: FileList = JSON.parse(decoder.decode(plaintext.subarray(0, at)));
  const take = (bytes: number) => {
    if (!Number.isSafeInteger(bytes) || bytes < 0) distrust();
    at += bytes;
    return plaintext.subarray(at - bytes, at);
  };
  const text = list.text === undefined ? {} : { text: decoder.decode(take(list.text)) };
  const files = list.files.map(({ name, type, bytes }) => {
    return typeof name + typeof type === 'stringstring' ? new File([take(bytes)], name, { type }) : distrust();
  });
  return at === plaintext.length ? { ...text, files } : distrust();
}
