import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { readOrMake } from '../files/make-once.ts';
import { decodeJwtKey } from './formats.ts';

const MADE_BYTES = 64;
/** The key of the demonstration, which is public. */
const DEMO_KEY = Buffer.from(
  'a9ddbcaba8c0ac1a0a812dc0c2f08514b23f2db0a68343cb8199ebb38a6d91e4ebfb378e22ad39c2d01d0b4ec9c34aa91056862ddace3fbbd6852ee60c36acbf',
  'hex',
);
/** Of SHA-512. HMAC pads a shorter key with zeros, and hashes a longer one (RFC 2104 §2). */
const BLOCK_BYTES = 128;

/** As in the configuration. */
type TokenConfig = { NODE_ENV: string; DATA_DIR: string; JWT_HEX_SECRET?: Buffer | undefined };

/** The file of the key that development makes. */
export function madeTokenKeyPath(dataDir: string): string {
  return join(dataDir, 'jwt.key');
}

/**
 * The key that signs `x-my-jwt`. Development makes one if the configuration has none.
 * @returns undefined in production without a key: then there is neither proxy nor sink.
 * @throws Error if development's file does not hold a key.
 */
export function loadTokenKey({ JWT_HEX_SECRET, NODE_ENV, DATA_DIR }: TokenConfig): Buffer | undefined {
  if (JWT_HEX_SECRET || NODE_ENV === 'production') return JWT_HEX_SECRET;
  const path = madeTokenKeyPath(DATA_DIR);
  const key = decodeJwtKey(readOrMake(path, () => `${randomBytes(MADE_BYTES).toString('hex')}\n`));
  if (!key) throw new Error(`${path} does not hold a key for tokens`);
  return key;
}

/** Why everybody can sign as this key does, however it is written; undefined if nobody else can. */
export function whyUnsafe(key: Uint8Array): string | undefined {
  if (isSameForHmac(key, DEMO_KEY)) return 'must not be the one of the demonstration';
  return isSameForHmac(key, Buffer.alloc(0)) ? 'must not be only zeros' : undefined;
}

function isSameForHmac(key: Uint8Array, known: Uint8Array): boolean {
  return key.length <= BLOCK_BYTES && Buffer.concat([key], BLOCK_BYTES).equals(Buffer.concat([known], BLOCK_BYTES));
}

type ProxyConfig = {
  NODE_ENV: string;
  PROXY_OPEN: 'true' | 'false';
  JWT_HEX_SECRET?: Buffer | undefined;
  PROXY_TOKEN?: string | undefined;
};

/**
 * A client of the proxy gets requests signed in our name: production must know its clients.
 * @returns why there is no proxy, a sentence for the operator; undefined if there is one.
 */
export function whyNoProxy({ NODE_ENV, JWT_HEX_SECRET, PROXY_TOKEN, PROXY_OPEN }: ProxyConfig): string | undefined {
  if (NODE_ENV !== 'production') return undefined;
  if (!JWT_HEX_SECRET) return 'JWT_HEX_SECRET is not set: /proxy/ and /server/ are not served';
  if (!PROXY_TOKEN && PROXY_OPEN === 'false') {
    return 'neither PROXY_TOKEN nor PROXY_OPEN=true is set: /proxy/ is not served';
  }
  return undefined;
}
