import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { replaceFileSync } from '../files/replace.ts';
import { decodeJwtKey, decodeKeys } from '../keys/formats.ts';

/** The service's database, and its user there. */
export const DATABASE = 'hushbox';
export const USER = 'hushbox';
const PASSWORD_BYTES = 24;
const JWT_KEY_BYTES = 64;
/** MongoDB takes 6 to 1024 characters of base64. */
const KEYFILE_BYTES = 756;

export type Folders = {
  /** Files that the service reads: `master-key`, `storage-url`, `jwt-key`, `proxy-token`; and the made ones of the last two. */
  service: string;
  /** Files that it must not read: `root-password`, `password`, `keyfile`. */
  mongo: string;
};
/** Keys and passwords that the operator chose; all others are made. */
export type Given = {
  masterKeys?: string | undefined;
  password?: string | undefined;
  rootPassword?: string | undefined;
  jwtKey?: string | undefined;
  proxyToken?: string | undefined;
  /** The proxy is for everybody: it has no token. */
  isProxyOpen?: boolean;
};
export type MongoAccess = { rootUrl: string; serviceUrl: string; password: string };

/**
 * Makes the keys that are missing, and writes the given ones to their files. A key that was made is never overwritten,
 * and no master key is lost: the older ones stay behind a given one, for reading. A file is whole or absent at any
 * instant; it has mode 0600 and the owner of its folder.
 * @param host of MongoDB, with the port.
 * @throws Error that says which given value is wrong, without the value.
 */
export function makeKeys(folders: Folders, host: string, given: Given): MongoAccess {
  keepMasterKeys(join(folders.service, 'master-key'), given.masterKeys);
  keepProxyAccess(folders.service, given);
  makeOnce(join(folders.mongo, 'keyfile'), () => randomBytes(KEYFILE_BYTES).toString('base64'));
  const rootPassword = makeOnce(join(folders.mongo, 'root-password'), () => given.rootPassword ?? makePassword());
  if (given.rootPassword !== undefined && given.rootPassword !== rootPassword) {
    throw new Error('MONGO_ROOT_PASSWORD is not the one that the database was created with');
  }
  const password = given.password ?? makeOnce(join(folders.mongo, 'password'), makePassword);
  const urlOf = (user: string, secret: string, database: string): string =>
    `mongodb://${user}:${encodeURIComponent(secret)}@${host}/${database}?directConnection=true`;
  const serviceUrl = urlOf(USER, password, DATABASE);
  put(join(folders.service, 'storage-url'), serviceUrl);
  return { rootUrl: urlOf('root', rootPassword, 'admin'), serviceUrl, password };
}

function keepMasterKeys(path: string, given: string | undefined): void {
  const present = keysIn(read(path), 'the file of master keys holds something else');
  const wanted = keysIn(given, 'MASTER_KEY must be 32 bytes, as 64 hex digits or as base64url');
  if (present.length > 0 && wanted.every((key, index) => present[index]?.equals(key))) return;
  const first = wanted.length > 0 ? wanted : [randomBytes(32)];
  const older = present.filter((key) => !first.some((other) => other.equals(key)));
  put(path, [...first, ...older].map((key) => key.toString('hex')).join('\n'));
}

/** What is given counts as long as it is given; then what was made does again. */
function keepProxyAccess(folder: string, { jwtKey, proxyToken, isProxyOpen = false }: Given): void {
  if (jwtKey !== undefined && !decodeJwtKey(jwtKey)) {
    throw new Error('JWT_HEX_SECRET must be 128 to 2048 hex digits (openssl rand -hex 64)');
  }
  if (isProxyOpen && proxyToken !== undefined) throw new Error('PROXY_OPEN and PROXY_TOKEN must not both be set');
  const madeKey = makeOnce(join(folder, 'jwt-key.made'), () => randomBytes(JWT_KEY_BYTES).toString('hex'));
  const madeToken = makeOnce(join(folder, 'proxy-token.made'), makePassword);
  put(join(folder, 'jwt-key'), jwtKey ?? madeKey);
  put(join(folder, 'proxy-token'), isProxyOpen ? '' : (proxyToken ?? madeToken));
}

function keysIn(text: string | undefined, complaint: string): readonly Buffer[] {
  const keys = text === undefined ? [] : decodeKeys(text);
  if (!keys) throw new Error(complaint);
  return keys;
}

function makePassword(): string {
  return randomBytes(PASSWORD_BYTES).toString('base64url');
}

/** @returns the content of the file, which is written only if it does not exist. */
function makeOnce(path: string, make: () => string): string {
  const present = read(path);
  if (present !== undefined) return present;
  const made = make();
  put(path, made);
  return made;
}

function put(path: string, text: string): void {
  if (existsSync(path) && (read(path) ?? '') === text) return;
  replaceFileSync(path, `${text}\n`, statSync(dirname(path)));
}

/** @returns undefined if there is no file, or it has only blanks. */
function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim() || undefined;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
