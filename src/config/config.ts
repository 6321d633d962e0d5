import { readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { z } from 'zod';
import { parseRange } from '../network/addresses.ts';
import { parseAllowList, parseServers } from '../network/allow-list.ts';

/** These can be given as `NAME_FILE`, the path of a file that holds the value. */
const SECRET_BEARING = [
  'MASTER_KEY',
  'MASTER_KEY_PREVIOUS',
  'STORAGE_URL',
  'CREATE_TOKEN',
  'INTERNAL_TOKEN',
  'JWT_HEX_SECRET',
  'PROXY_TOKEN',
] as const;
export type SecretBearing = (typeof SECRET_BEARING)[number];

const wholeNumber = (least: number, most: number) =>
  z
    .string()
    .transform((text) => (/^\d{1,15}$/.test(text) ? Number(text) : Number.NaN)) // Number('') is 0, Number('0x1') 1
    .refine((value) => value >= least && value <= most, { error: `must be a whole number from ${least} to ${most}` });
const MasterKey = z.string().transform((text, context) => decodeKey(text.trim()) ?? reject(context, MASTER_KEY_FORM));
const MasterKeys = z.string().transform((text, context) => decodeKeys(text) ?? reject(context, MASTER_KEY_FORM));
const JwtKey = z.string().transform((text, context) => decodeJwtKey(text) ?? reject(context, JWT_KEY_FORM));
const Token = z
  .string()
  .regex(/^[\x21-\x7e]{1,1024}$/, { error: 'must be 1 to 1024 printable ASCII characters without blanks' });
/** The demonstration's key, which everybody knows. */
const DEMO_JWT_KEY =
  'a9ddbcaba8c0ac1a0a812dc0c2f08514b23f2db0a68343cb8199ebb38a6d91e4ebfb378e22ad39c2d01d0b4ec9c34aa91056862ddace3fbbd6852ee60c36acbf';
const MASTER_KEY_FORM = 'must be 32 bytes, as 64 hex digits or as base64url';
const JWT_KEY_FORM = 'must be 64 to 1024 bytes, as hex digits';
const SQLITE_PREFIX = 'sqlite:';
/** A socket's path has 107 bytes; the internal one's first name takes 19 of them, with the slash before it. */
const DATA_DIR_MAX_BYTES = 88;
const LOOPBACK = /^(?:localhost|::1|127(?:\.\d{1,3}){3})$/i;
const MIB = 1024 * 1024;
const MAX_BYTES = 10 ** 15 - 1;

const Env = z.object({
  NODE_ENV: z
    .enum(['development', 'test', 'production'], { error: 'must be development, test or production' })
    .default('development')
    .describe('`production` refuses what is unsafe there'),
  HTTP_PORT: wholeNumber(0, 65_535).default(8000).describe('Port to listen on; 0 takes a free one and prints it'),
  HOST: z.string().default('127.0.0.1').describe('Address to listen on'),
  SOCKET_DIR: z
    .string()
    .transform((path) => resolve(path))
    .refine((path) => Buffer.byteLength(path) <= 91, { error: 'must be at most 91 bytes long, for sockets to fit' })
    .optional()
    .describe('When set, worker N listens on `worker-N.sock` in this folder (N from 1) instead of the port'),
  INTERNAL_PORT: wholeNumber(1, 65_535)
    .optional()
    .describe('Port of the internal listener, for metrics; default: the unix socket `internal.sock` in `DATA_DIR`'),
  INTERNAL_HOST: z
    .string()
    .default('127.0.0.1')
    .describe(
      'Address of the internal listener, with `INTERNAL_PORT`; one that is not loopback needs `INTERNAL_TOKEN`',
    ),
  INTERNAL_TOKEN: Token.optional().describe(
    'When set, every request to the internal listener needs it as `Authorization: Bearer`',
  ),
  WORKERS: wholeNumber(1, 256).optional().describe('Number of worker processes; default: the cores it may use'),
  STORAGE_URL: z
    .string()
    .refine(isStorageUrl, { error: 'must be sqlite:PATH or mongodb://…' })
    .default('sqlite:./data/hushbox.db')
    .describe('Where secrets are kept: `sqlite:PATH` or `mongodb://…`'),
  DATA_DIR: z
    .string()
    .optional()
    .describe("Folder for what else is kept on disk; default: SQLite's folder, else `./data`"),
  FENCE_FILE: z
    .string()
    .optional()
    .describe(
      'File that tells at the start whether the database was put back to an older state; best on another disk than ' +
        'the database. Default: `fence.json` in `DATA_DIR`',
    ),
  MASTER_KEY: MasterKeys.optional().describe(
    '32 bytes as hex or base64url. Without one, development makes a key in `DATA_DIR`; production refuses to start. ' +
      'More keys, each on a line of its own, are older ones, accepted for reading',
  ),
  MASTER_KEY_PREVIOUS: z
    .string()
    .transform((text) => text.split(','))
    .pipe(z.array(MasterKey))
    .default([])
    .describe('Comma-separated older master keys, still accepted for reading'),
  PUBLIC_URL: z
    .string()
    .refine(isPublicUrl, { error: 'must be an http or https URL without query, fragment or credentials' })
    .transform((url) => url.replace(/\/+$/, ''))
    .optional()
    .describe('What links are built on; default: the address the browser used'),
  TRUSTED_PROXIES: z
    .string()
    .transform((text) => text.split(',').map((range) => range.trim()))
    .refine((ranges) => ranges.every(parseRange), { error: 'must be addresses or CIDRs, separated by commas' })
    .default([])
    .describe(
      'Comma-separated addresses and CIDRs of proxies whose `X-Forwarded-For` counts; who comes through `SOCKET_DIR` is trusted anyway',
    ),
  LIMITS: z
    .enum(['on', 'off'], { error: 'must be on or off' })
    .default('on')
    .describe('`off` lifts the three limits per client below, never those on sizes, bytes stored or tries'),
  CREATES_PER_MINUTE: wholeNumber(1, 1_000_000)
    .default(1000)
    .describe(
      'Secrets a client may create a minute: so many at once, and they grow back evenly over the minute. A client is an IPv4 address or an IPv6 /64',
    ),
  CLIENT_MAX_SECRETS: wholeNumber(1, 999_999_999)
    .default(10_000)
    .describe('Secrets of one client that may wait at a time'),
  CLIENT_MAX_BYTES: wholeNumber(1, MAX_BYTES)
    .default(100 * MIB)
    .describe('Bytes that the waiting secrets of one client may take in the store'),
  STORAGE_MAX_BYTES: wholeNumber(1, MAX_BYTES)
    .default(10 * 1024 * MIB)
    .describe('Bytes that everything in the store may take; then creating is refused and reading goes on'),
  CREATE_TOKEN: Token.optional().describe(
    'When set, `POST /generate` needs it as `Authorization: Bearer`; reading stays open',
  ),
  EGRESS_ALLOW: z
    .string()
    .transform((text, context) => parseAllowList(text) ?? rejectList(context, 'hosts, host:port or CIDRs'))
    .default([])
    .describe(
      'Comma-separated `host`, `host:port` and CIDRs that requests may be sent to, though they lead into a private network; a host with whatever it resolves to',
    ),
  EGRESS_DNS: z
    .string()
    .transform((text, context) => parseServers(text) ?? rejectList(context, 'addresses or address:port'))
    .default([])
    .describe(
      "Comma-separated name servers, `address` or `address:port`, that strangers' destinations are looked up with; default: the system's",
    ),
  JWT_HEX_SECRET: JwtKey.optional().describe(
    'What `x-my-jwt` is signed with: at least 64 bytes as hex digits, blanks ignored. Without it, development makes a ' +
      'key in `DATA_DIR`; production serves neither `/proxy/` nor `/server/`',
  ),
  PROXY_USER: z
    .string()
    .regex(/^\P{C}{1,256}$/u, { error: 'must be 1 to 256 printable characters' })
    .default('username')
    .describe('The user that `x-my-jwt` names'),
  PROXY_TOKEN: Token.optional().describe(
    'When set, `POST /proxy/` needs it as `Proxy-Authorization: Bearer`. Production serves no proxy without it',
  ),
  PROXY_OPEN: z
    .enum(['true', 'false'], { error: 'must be true or false' })
    .default('false')
    .describe('`true` lets production serve the proxy to everybody who reaches it, without `PROXY_TOKEN`'),
  SECRET_MAX_BYTES: wholeNumber(1, 8_388_608)
    .default(65_536)
    .describe('Longest secret, in bytes of UTF-8; at most 8 MiB'),
  SECRET_TTL_MAX_SECONDS: wholeNumber(60, 31_536_000)
    .default(604_800)
    .describe('Longest lifetime a client may ask for, and the default one, in seconds'),
  LOG_LEVEL: z
    .enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'], { error: 'must be a level of pino' })
    .default('info')
    .describe('`debug` adds a line for each request'),
});

type Values = z.infer<typeof Env>;
export type Config = Readonly<
  Omit<Values, 'DATA_DIR' | 'FENCE_FILE' | 'MASTER_KEY'> & {
    DATA_DIR: string;
    FENCE_FILE: string;
    /** The one that seals; older ones beside it are in `MASTER_KEY_PREVIOUS`. */
    MASTER_KEY?: Buffer;
    /** Of the variables that were given as files, where these are. */
    files: Readonly<Partial<Record<SecretBearing, string>>>;
    /** The file, where the engine is SQLite. */
    sqlitePath: string | undefined;
  }
>;

/** A variable as the documentation lists it. */
export type Setting = { name: string; description: string; defaultValue: string; canBeFile: boolean };

export type Reading = {
  /** What is good of it. */
  values: Partial<Config>;
  /** A sentence for each bad variable, without its value. */
  problems: readonly string[];
};

/** Looks at every variable by itself, so that a bad one hides no other. An empty variable counts as absent. */
export function parseEnvironment(env: Readonly<Record<string, string | undefined>>): Reading {
  const problems = new Set<string>();
  const { given, fromFile } = withFiles(env, problems);
  const values: Record<string, unknown> & { JWT_HEX_SECRET?: Buffer } = {};
  for (const [name, schema] of Object.entries(Env.shape)) {
    const result = schema.safeParse(given[name]);
    if (!result.success) {
      const source = fromFile.has(name) ? `${name}_FILE` : name;
      for (const issue of result.error.issues) problems.add(`${source} ${plain(issue)}`);
    } else if (result.data !== undefined) values[name] = result.data;
  }
  if (given.NODE_ENV === 'production' && given.MASTER_KEY === undefined && !given.MASTER_KEY_FILE) {
    problems.add('MASTER_KEY must be set in production');
  }
  if (given.NODE_ENV === 'production' && values.JWT_HEX_SECRET?.equals(Buffer.from(DEMO_JWT_KEY, 'hex'))) {
    problems.add('JWT_HEX_SECRET must not be the one of the demonstration in production');
  }
  if (given.PROXY_OPEN === 'true' && given.PROXY_TOKEN) {
    problems.add('PROXY_OPEN and PROXY_TOKEN must not both be set');
  }
  const files = Object.fromEntries([...fromFile].map((name) => [name, resolve(given[`${name}_FILE`] as string)]));
  const complete = { ...refine(values as Partial<Values>), files };
  for (const problem of findInternalProblems(complete, given)) problems.add(problem);
  return { values: Object.freeze(complete), problems: [...problems] };
}

/** What is wrong only because of another variable, about the internal listener. */
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
    ...(dataDir && { DATA_DIR: resolve(dataDir) }),
    ...(fenceFile && { FENCE_FILE: resolve(fenceFile) }),
    ...(current && { MASTER_KEY: current }),
    ...(previous && { MASTER_KEY_PREVIOUS: [...older, ...previous] }),
    sqlitePath,
  };
}

/** Every variable with what it means: docs/configuration.md is made of this. */
export function listSettings(): Setting[] {
  return Object.entries(Env.shape).map(([name, schema]) => ({
    name,
    description: schema.description ?? '',
    defaultValue: defaultOf(schema),
    canBeFile: (SECRET_BEARING as readonly string[]).includes(name),
  }));
}

/** @returns 32 bytes, or undefined. */
export function decodeKey(text: string): Buffer | undefined {
  if (/^[0-9a-f]{64}$/i.test(text)) return Buffer.from(text, 'hex');
  if (/^[A-Za-z0-9_-]{43}=?$/.test(text)) return Buffer.from(text, 'base64url');
  return undefined;
}

/** Keys on a line each. @returns undefined unless all of them are. */
export function decodeKeys(text: string): Buffer[] | undefined {
  const keys = text
    .trim()
    .split('\n')
    .map((line) => decodeKey(line.trim()));
  return keys.every((key) => key !== undefined) ? keys : undefined;
}

/** Hex digits, blanks between them or not. @returns undefined unless they spell 64 to 1024 bytes. */
export function decodeJwtKey(text: string): Buffer | undefined {
  const digits = text.replaceAll(/\s/g, '');
  return /^(?:[0-9a-f]{2}){64,1024}$/i.test(digits) ? Buffer.from(digits, 'hex') : undefined;
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
      if (text !== '' || name !== 'MASTER_KEY_PREVIOUS') given[name] = text; // there can be none
      fromFile.add(name);
    } catch {
      problems.add(`${name}_FILE cannot be read`);
    }
  }
  return { given, fromFile };
}

function isStorageUrl(url: string): boolean {
  if (url.startsWith(SQLITE_PREFIX)) return url.length > SQLITE_PREFIX.length && !url.includes(':memory:');
  const { hosts, database } =
    /^mongodb(?:\+srv)?:\/\/(?:[^/@]*@)?(?<hosts>[^/?@]+)(?:\/(?<database>[^?]*))?(?:\?|$)/.exec(url)?.groups ?? {};
  // A socket, or a name and a port, which a URL of the web has the same way.
  const areHosts = hosts?.split(',').every((host) => /^%2F/i.test(host) || URL.canParse(`http://${host}`));
  return areHosts === true && isDatabaseName(decode(database ?? '')) && decode(url) !== undefined;
}

/** MongoDB's rules for names on all platforms. */
function isDatabaseName(name: string | undefined): boolean {
  return name !== undefined && Buffer.byteLength(name) <= 63 && !/[/\\. "$*<>:|?\0]/.test(name);
}

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

function isPublicUrl(url: string): boolean {
  const parsed = /^https?:\/\/[^\s?#]+$/i.test(url) ? URL.parse(url) : null;
  return parsed !== null && !parsed.username && !parsed.password;
}

function rejectList(context: z.RefinementCtx, what: string): never {
  context.addIssue({ code: 'custom', message: `must be ${what}, separated by commas` });
  return z.NEVER;
}

function reject(context: z.RefinementCtx, message: string): never {
  context.addIssue({ code: 'custom', message });
  return z.NEVER;
}

// Our own messages begin with "must"; zod's say what was expected and never quote the value.
function plain({ message }: z.core.$ZodIssue): string {
  return message.startsWith('must') ? message : `is not valid: ${message}`;
}

function defaultOf(schema: z.ZodType): string {
  const { defaultValue } = (schema as { def: { defaultValue?: unknown } }).def;
  return defaultValue === undefined || Array.isArray(defaultValue) ? '' : String(defaultValue);
}
