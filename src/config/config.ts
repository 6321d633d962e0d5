import { readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { z } from 'zod';
import { bodyLimitBytes } from '../http/body-limit.ts';
import { whyUnsafe } from '../keys/token-key.ts';
import { findMisspelt } from './misspelt.ts';
import { Env, type Registration, SECRET_BEARING, type SecretBearing, SQLITE_PREFIX, type Values } from './schema.ts';

/** The path of a socket has 107 bytes; the first name of the internal socket takes 19 of them, with the slash. */
const DATA_DIR_MAX_BYTES = 88;
const OPEN_DEVELOPMENT =
  'HOST lets other machines in, and this is development mode: everybody may send requests with /proxy/, read the list ' +
  'of /server/ and use notify. Set NODE_ENV=production, which needs MASTER_KEY and closes these ' +
  '(docs/operations.md, "Development and production")';
const NO_AUTH =
  'SERVICES has business and not auth, and AUTH_URL is not set: nobody can say whether a token is good, and every ' +
  'request with one gets 503';
const LOOPBACK = /^(?:localhost|::1|127(?:\.\d{1,3}){3})$/i;

export type Config = Readonly<
  Omit<Values, 'DATA_DIR' | 'FENCE_FILE' | 'MASTER_KEY' | 'REGISTRATION'> & {
    REGISTRATION: Registration;
    DATA_DIR: string;
    FENCE_FILE: string;
    /** The key that seals; older ones given with it are in `MASTER_KEY_PREVIOUS`. */
    MASTER_KEY?: Buffer;
    /** The paths of the variables that were given as files. */
    files: Readonly<Partial<Record<SecretBearing, string>>>;
    /** The database file; undefined unless the engine is SQLite. */
    sqlitePath: string | undefined;
  }
>;

/** A variable as the documentation lists it. */
export type Setting = { name: string; description: string; defaultValue: string; canBeFile: boolean };

export type Reading = {
  /** The values that are valid. */
  values: Partial<Config>;
  /** A sentence for each bad variable, without its value. */
  problems: readonly string[];
  /** A sentence for each thing that is probably a mistake, without a value that may be secret. */
  warnings: readonly string[];
};

/** Checks every variable separately, so that a bad one hides no other. An empty variable counts as absent. */
export function parseEnvironment(env: Readonly<Record<string, string | undefined>>): Reading {
  const problems = new Set<string>();
  const { given, fromFile } = withFiles(env, problems);
  const values: Record<string, unknown> & Pick<Partial<Values>, 'JWT_HEX_SECRET' | 'SERVICES'> = {};
  for (const [name, schema] of Object.entries(Env.shape)) {
    const result = schema.safeParse(given[name]);
    if (!result.success) {
      const source = fromFile.has(name) ? `${name}_FILE` : name;
      for (const issue of result.error.issues) problems.add(`${source} ${plain(issue)}`);
    } else if (result.data !== undefined) values[name] = result.data;
  }
  const isKeyNeeded = needsMasterKey(values as Partial<Values>);
  if (given.NODE_ENV === 'production' && isKeyNeeded && given.MASTER_KEY === undefined && !given.MASTER_KEY_FILE) {
    problems.add('MASTER_KEY must be set in production (openssl rand -hex 32)');
  }
  const unsafe = given.NODE_ENV === 'production' && values.JWT_HEX_SECRET && whyUnsafe(values.JWT_HEX_SECRET);
  if (unsafe) problems.add(`JWT_HEX_SECRET ${unsafe} in production`);
  if (given.PROXY_OPEN === 'true' && given.PROXY_TOKEN) {
    problems.add('PROXY_OPEN and PROXY_TOKEN must not both be set');
  }
  if (values.SERVICES?.includes('kafka') && !given.KAFKA_URL && !given.KAFKA_URL_FILE) {
    problems.add('KAFKA_URL must be set where SERVICES has kafka');
  }
  const files = Object.fromEntries([...fromFile].map((name) => [name, resolve(given[`${name}_FILE`] as string)]));
  const complete = { ...refine(values as Partial<Values>), files };
  if (!fitsOneBody(complete)) problems.add('BODIES_MAX_BYTES must be at least 6 × (SECRET_MAX_BYTES + 1 KiB) + 4 KiB');
  for (const problem of findInternalProblems(complete, given)) problems.add(problem);
  for (const problem of findMailProblems(given, complete)) problems.add(problem);
  return { values: Object.freeze(complete), problems: [...problems], warnings: findWarnings(complete, given) };
}

/** What a service of customers does needs no key. */
export function needsMasterKey({ SERVICES = [] }: Pick<Partial<Values>, 'SERVICES'>): boolean {
  return SERVICES.some((service) => service !== 'business');
}

function findWarnings({ NODE_ENV, HOST = '', SOCKET_DIR, SERVICES }: Partial<Config>, given: Given['given']): string[] {
  const known = [...Object.keys(Env.shape), ...SECRET_BEARING.map((name) => `${name}_FILE`)];
  const warnings = findMisspelt(Object.keys(given), known).map(
    ([found, meant]) => `${found} is no variable of Hushbox and is ignored: is ${meant} meant?`,
  );
  if (NODE_ENV !== 'production' && SOCKET_DIR === undefined && HOST !== '' && !LOOPBACK.test(HOST)) {
    warnings.push(OPEN_DEVELOPMENT);
  }
  if (SERVICES?.includes('business') && !SERVICES.includes('auth') && !given.AUTH_URL) warnings.push(NO_AUTH);
  return warnings;
}

/** Whether at least one body of the limit's size fits. Each variable has a value only if it is valid. */
function fitsOneBody({ BODIES_MAX_BYTES, SECRET_MAX_BYTES }: Partial<Config>): boolean {
  if (BODIES_MAX_BYTES === undefined || SECRET_MAX_BYTES === undefined) return true;
  return BODIES_MAX_BYTES >= bodyLimitBytes(SECRET_MAX_BYTES);
}

/** Mail without a sender or without the base of its links would reach nobody. */
function findMailProblems(given: Given['given'], { REGISTRATION }: Partial<Config>): string[] {
  if (given.NODE_ENV !== 'production') return [];
  const canMail = !!(given.SMTP_URL || given.SMTP_URL_FILE);
  const canRegister = REGISTRATION !== undefined && REGISTRATION !== 'off';
  if (!canMail && !canRegister) return [];
  const reason = canMail ? 'where SMTP_URL is' : 'where REGISTRATION is not off';
  const missing = ['PUBLIC_URL', 'MAIL_FROM'].filter((name) => !given[name]);
  return [...(canMail ? [] : ['SMTP_URL']), ...missing].map((name) => `${name} must be set in production ${reason}`);
}

/** Problems of the internal listener that come from two variables together. */
function findInternalProblems(values: Partial<Config>, given: Given['given']): string[] {
  const { INTERNAL_PORT, INTERNAL_HOST, HTTP_PORT, SOCKET_DIR, DATA_DIR } = values;
  const problems: string[] = [];
  if (INTERNAL_HOST && !LOOPBACK.test(INTERNAL_HOST) && !given.INTERNAL_TOKEN && !given.INTERNAL_TOKEN_FILE) {
    problems.push('INTERNAL_TOKEN must be set where INTERNAL_HOST is not loopback');
  }
  if (given.INTERNAL_HOST && !given.INTERNAL_PORT) problems.push('INTERNAL_PORT must be set where INTERNAL_HOST is');
  if (INTERNAL_PORT !== undefined && INTERNAL_PORT === HTTP_PORT && SOCKET_DIR === undefined) {
    problems.push('INTERNAL_PORT must not be HTTP_PORT');
  }
  if (!given.INTERNAL_PORT && DATA_DIR && Buffer.byteLength(DATA_DIR) > DATA_DIR_MAX_BYTES) {
    problems.push(
      `DATA_DIR must be at most ${DATA_DIR_MAX_BYTES} bytes long, for a socket to fit, or INTERNAL_PORT be set`,
    );
  }
  return problems;
}

/**
 * Reads the environment once, at start.
 * @throws Error that names every bad variable, and no value.
 */
export function readConfig(env: Readonly<Record<string, string | undefined>>): Config {
  const { values, problems } = parseEnvironment(env);
  if (problems.length > 0) throw invalid(problems);
  return values as Config;
}

export function invalid(problems: readonly string[]): Error {
  return new Error(`The configuration is not valid:\n${problems.map((problem) => `  ${problem}`).join('\n')}`);
}

function refine(values: Partial<Values>): Partial<Config> {
  const { DATA_DIR, FENCE_FILE, MASTER_KEY: [current, ...older] = [], ...others } = values;
  const { STORAGE_URL } = others;
  const isSqlite = STORAGE_URL?.startsWith(SQLITE_PREFIX);
  const sqlitePath = isSqlite ? resolve((STORAGE_URL as string).slice(SQLITE_PREFIX.length)) : undefined;
  const dataDir = DATA_DIR ?? (sqlitePath ? dirname(sqlitePath) : STORAGE_URL && join('.', 'data'));
  const fenceFile = FENCE_FILE ?? (dataDir && join(dataDir, 'fence.json'));
  const previous = others.MASTER_KEY_PREVIOUS;
  return {
    ...others,
    REGISTRATION: others.REGISTRATION ?? (others.NODE_ENV === 'production' ? 'off' : 'open'),
    ...(dataDir && { DATA_DIR: resolve(dataDir) }),
    ...(fenceFile && { FENCE_FILE: resolve(fenceFile) }),
    ...(current && { MASTER_KEY: current }),
    ...(previous && { MASTER_KEY_PREVIOUS: [...older, ...previous] }),
    sqlitePath,
  };
}

/** Every variable with its meaning: docs/configuration.md is made from this. */
export function listSettings(): Setting[] {
  return Object.entries(Env.shape).map(([name, schema]) => ({
    name,
    description: schema.description ?? '',
    defaultValue: defaultOf(schema),
    canBeFile: (SECRET_BEARING as readonly string[]).includes(name),
  }));
}

type Given = { given: Record<string, string>; fromFile: ReadonlySet<string> };

function withFiles(env: Readonly<Record<string, string | undefined>>, problems: Set<string>): Given {
  const present = Object.entries(env).filter((entry): entry is [string, string] => !!entry[1]);
  const given: Record<string, string> = Object.fromEntries(present);
  const fromFile = new Set<string>();
  for (const name of SECRET_BEARING) {
    const path = given[`${name}_FILE`];
    if (!path) continue;
    if (given[name]) problems.add(`${name} and ${name}_FILE must not both be set`);
    try {
      const text = readFileSync(path, 'utf8').trim();
      if (text !== '' || !mayBeEmpty(name, given)) given[name] = text;
      fromFile.add(name);
    } catch {
      problems.add(`${name}_FILE cannot be read`);
    }
  }
  return { given, fromFile };
}

/** There may be no older keys, and no token where the proxy is open: in containers, both have a file all the same. */
function mayBeEmpty(name: SecretBearing, { PROXY_OPEN }: Given['given']): boolean {
  return name === 'MASTER_KEY_PREVIOUS' || (name === 'PROXY_TOKEN' && PROXY_OPEN === 'true');
}

// Our own messages begin with "must"; those of zod say what was expected and never quote the value.
function plain({ message }: z.core.$ZodIssue): string {
  return message.startsWith('must') ? message : `is not valid: ${message}`;
}

function defaultOf(schema: z.ZodType): string {
  const { defaultValue } = (schema as { def: { defaultValue?: unknown } }).def;
  return defaultValue === undefined || Array.isArray(defaultValue) ? '' : String(defaultValue);
}
