import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { readOrMake } from '../files/make-once.ts';
import { decodeJwtKey } from './formats.ts';

const MADE_BYTES = 64;

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
