import { resolve } from 'node:path';
import { z } from 'zod';
import { decodeJwtKey, decodeKey, decodeKeys } from '../keys/formats.ts';
import { parseRange } from '../network/addresses.ts';
import { parseAllowList, parseServers } from '../network/allow-list.ts';
import { parseEmail } from '../network/email.ts';
import { parseKafkaUrl } from '../network/kafka-url.ts';
import { parseMailAddress, parseSmtpUrl } from '../network/mail-server.ts';
import { readLogo } from './logo.ts';
import { faultOfSqlitePath } from './sqlite-path.ts';

/** Variables that can be given as `NAME_FILE`, the path of a file that holds the value. */
export const SECRET_BEARING = [
  'MASTER_KEY',
  'MASTER_KEY_PREVIOUS',
  'STORAGE_URL',
  'CREATE_TOKEN',
  'INTERNAL_TOKEN',
  'JWT_HEX_SECRET',
  'PROXY_TOKEN',
  'SMTP_URL',
  'KAFKA_URL',
] as const;
export type SecretBearing = (typeof SECRET_BEARING)[number];

/** What a program can serve. */
export const SERVICES = ['secrets', 'proxy', 'auth', 'business', 'kafka'] as const;
/** Kafka needs a broker. */
const DEFAULT_SERVICES = SERVICES.filter((service) => service !== 'kafka');
export type Service = (typeof SERVICES)[number];

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
const WebAddress = z
  .string()
  .transform((text) => (/^https?:\/\//i.test(text) ? URL.parse(text) : null))
  .refine((url) => url !== null && !url.username && !url.password && url.href.length <= 2048, {
    error: 'must be an http or https URL without credentials',
  })
  .transform((url) => (url as URL).href);
const LOGO_FORM = 'must be the path of an SVG or PNG file of at most 100 KiB';
const MASTER_KEY_FORM = 'must be 32 bytes, as 64 hex digits or as base64url';
const JWT_KEY_FORM = 'must be 128 to 2048 hex digits (openssl rand -hex 64)';
const SERVICES_FORM = `must be a list of ${SERVICES.join(', ')}, separated by commas`;
const AUTH_URL_FORM = 'must be http://host:port, https://host:port or unix:/path';
const SMTP_URL_FORM =
  'must be smtp://host:port or smtps://host:port, with or without user:password@ (percent-encoded) before the host';
const REGISTRATION_FORM = 'must be open, off, or a list of domains, separated by commas';
const MAIL_FROM_FORM = 'must be an address, or Name <address>';
export const SQLITE_PREFIX = 'sqlite:';
/** The path of a socket ends with a zero, which is the 108th byte. */
const SOCKET_MAX_BYTES = 107;
const MIB = 1024 * 1024;
const MAX_BYTES = 10 ** 15 - 1;

/** Every variable. docs/configuration.md is made from the descriptions. */
export const Env = z.object({
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
  SERVICES: z
    .string()
    .transform((text, context) => parseServices(text) ?? reject(context, SERVICES_FORM))
    .prefault(DEFAULT_SERVICES.join())
    .describe(
      'Comma-separated: what this program serves, of `secrets`, `proxy`, `auth` (log-in, sessions), `business` (data, customers) and `kafka` (verifies tokens over Kafka, needs `KAFKA_URL`). Default: all but `kafka`. `business` alone needs no `MASTER_KEY`',
    ),
  KAFKA_URL: z
    .string()
    .transform((text, context) => {
      const parsed = parseKafkaUrl(text);
      return typeof parsed === 'string' ? reject(context, parsed) : parsed;
    })
    .optional()
    .describe(
      'The brokers for `kafka` in `SERVICES`, which alone uses it: `kafka://host:port,host:port`, or with TLS `kafkas://user:password@host:port` (SCRAM-SHA-512; another mechanism as `?sasl=PLAIN`). See [kafka.md](kafka.md)',
    ),
  AUTH_URL: z
    .string()
    .transform((text, context) => parseAuthUrl(text) ?? reject(context, AUTH_URL_FORM))
    .optional()
    .describe(
      'Where `business` and `proxy` ask whether a token is good: the internal listener of a program that serves `auth`, `http://host:port`, `https://host:port` or `unix:/path`, which gets `INTERNAL_TOKEN`. Default: the one of this program',
    ),
  STORAGE_URL: z
    .string()
    .superRefine((url, context) => {
      const fault = faultOfStorageUrl(url);
      if (fault) reject(context, fault);
    })
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
      'File that shows at the start whether the database was restored to an older state; best on another disk than ' +
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
    .describe(
      'What links are built on; default: the address the client used. On a loopback address, the one host name that requests may use beside `localhost`',
    ),
  TRUSTED_PROXIES: z
    .string()
    .transform((text) => text.split(',').map((range) => range.trim()))
    .refine((ranges) => ranges.every(parseRange), { error: 'must be addresses or CIDRs, separated by commas' })
    .default([])
    .describe(
      'Comma-separated addresses and CIDRs of proxies whose `X-Forwarded-For`, `X-Forwarded-Host` and `X-Forwarded-Proto` count; clients of `SOCKET_DIR` are always trusted',
    ),
  CORS_ORIGINS: z
    .string()
    .transform((text, context) => parseOrigins(text) ?? rejectList(context, 'origins such as https://app.example'))
    .default([])
    .describe(
      'Comma-separated origins, such as `https://app.example`, of other websites whose pages may send requests and read the answers; never with cookies',
    ),
  LIMITS: z
    .enum(['on', 'off'], { error: 'must be on or off' })
    .default('on')
    .describe(
      '`off` lifts the three limits per client below and those on log-ins and bad tokens, never those on sizes, bytes stored or tries',
    ),
  CREATES_PER_MINUTE: wholeNumber(1, 1_000_000)
    .default(1000)
    .describe(
      'Secrets a client may create a minute: all of them at once, and they grow back evenly over the minute. A client is an IPv4 address or an IPv6 /64',
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
    'When set, `POST /generate` and `POST /requests` need it as `Authorization: Bearer`; reading and answering stay open',
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
    .describe('`true` lets production serve the proxy to anyone who reaches it, without `PROXY_TOKEN`'),
  SECRET_MAX_BYTES: wholeNumber(1, 11 * MIB)
    .default(MIB)
    .describe(
      'Longest secret, in bytes of UTF-8 (of a sealed one, of its ciphertext); at most 11 MiB, because a document of MongoDB holds 16 MB',
    ),
  BODIES_MAX_BYTES: wholeNumber(1, MAX_BYTES)
    .default(256 * MIB)
    .describe(
      'Bytes that bodies not yet stored and answers not yet sent may take in one worker, one client at most a quarter of them; then those above 64 KiB get 503 `BUSY`. At least one body: 6 × (`SECRET_MAX_BYTES` + 1 KiB) + 4 KiB',
    ),
  SECRET_TTL_MAX_SECONDS: wholeNumber(60, 31_536_000)
    .default(604_800)
    .describe('Longest lifetime a client may ask for, and the default one, in seconds'),
  SESSION_IDLE_SECONDS: wholeNumber(1, 31_536_000)
    .default(1800)
    .describe('How long a session lives after its token was last used: that long, or up to a tenth shorter'),
  BROWSER_IDLE_SECONDS: wholeNumber(1, 31_536_000)
    .default(1800)
    .describe('As `SESSION_IDLE_SECONDS`, for sessions of browsers'),
  SESSION_MAX_SECONDS: wholeNumber(1, 31_536_000)
    .default(43_200)
    .describe('How long a session lives at most after its log-in'),
  SINGLE_SESSION: z
    .enum(['true', 'false'], { error: 'must be true or false' })
    .default('false')
    .describe('`true` lets a log-in end all other sessions of its account'),
  REGISTRATION: z
    .string()
    .transform((text, context) => parseRegistration(text) ?? reject(context, REGISTRATION_FORM))
    .optional()
    .describe(
      'Which addresses can register: `open`, `off`, or a comma-separated list of the domains of addresses that can. Default: `open` in development, `off` in production, where all but `off` needs `SMTP_URL`, `MAIL_FROM` and `PUBLIC_URL`',
    ),
  SMTP_URL: z
    .string()
    .transform((text, context) => parseSmtpUrl(text) ?? reject(context, SMTP_URL_FORM))
    .optional()
    .describe(
      'The server that mail is given to: `smtp://host:port`, with TLS where the server offers it, or `smtps://host:port`; `user:password@` before the host signs in. Without it, development prints links to its log, and production sends no mail',
    ),
  MAIL_FROM: z
    .string()
    .transform((text, context) => parseMailAddress(text) ?? reject(context, MAIL_FROM_FORM))
    .optional()
    .describe('The sender of mail: an address, or `Name <address>`. Production needs it where `SMTP_URL` is set'),
  OPERATOR_NAME: z
    .string()
    .regex(/^\P{C}{1,60}$/u, { error: 'must be 1 to 60 printable characters' })
    .optional()
    .describe('The name at the top of every page. Default: Hushbox'),
  OPERATOR_LOGO: z
    .string()
    .transform((path, context) => {
      const logo = readLogo(path);
      return logo === 'bad' ? reject(context, LOGO_FORM) : logo;
    })
    .optional()
    .describe('Path of the picture beside the name, read at the start: an SVG or PNG file of at most 100 KiB'),
  IMPRINT_URL: WebAddress.optional().describe('Where the link “Imprint” at the foot of every page leads'),
  PRIVACY_URL: WebAddress.optional().describe('Where the link “Privacy” at the foot of every page leads'),
  LOG_LEVEL: z
    .enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'], {
      error: 'must be trace, debug, info, warn, error, fatal or silent',
    })
    .default('info')
    .describe(
      'One of `trace`, `debug`, `info`, `warn`, `error`, `fatal`, `silent`. `debug` adds a line for each request',
    ),
});

export type Values = z.infer<typeof Env>;

function faultOfStorageUrl(url: string): string | undefined {
  if (url.startsWith(SQLITE_PREFIX)) return faultOfSqlitePath(url.slice(SQLITE_PREFIX.length));
  return isMongoUrl(url) ? undefined : 'must be sqlite:PATH or mongodb://…';
}

function isMongoUrl(url: string): boolean {
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

/** @returns each once; undefined if one is unknown. */
function parseServices(text: string): Service[] | undefined {
  const names = new Set(text.split(',').map((name) => name.trim()));
  const known = SERVICES.filter((name) => names.has(name));
  return known.length === names.size ? known : undefined;
}

/** The domains of their addresses, in the form of `parseEmail`. */
export type Registration = 'open' | 'off' | readonly string[];

function parseRegistration(text: string): Registration | undefined {
  const trimmed = text.trim();
  if (trimmed === 'open' || trimmed === 'off') return trimmed;
  const domains = trimmed.split(',').map((name) => parseEmail(`x@${name.trim()}`)?.slice(2));
  // With a point: a mistyped word is no domain.
  const isList = domains.every((domain) => domain?.includes('.'));
  return isList ? (domains as string[]) : undefined;
}

/** Where the service is that knows tokens. */
export type AuthUrl = { socketPath: string } | { protocol: 'http:' | 'https:'; hostname: string; port: number };

function parseAuthUrl(text: string): AuthUrl | undefined {
  const [, socketPath] = /^unix:(\/[^\0]+)$/.exec(text) ?? [];
  if (socketPath !== undefined) return Buffer.byteLength(socketPath) <= SOCKET_MAX_BYTES ? { socketPath } : undefined;
  const url = isPublicUrl(text) ? URL.parse(text) : null;
  if (url?.pathname !== '/') return undefined;
  const protocol = url.protocol as 'http:' | 'https:';
  const port = Number(url.port || (protocol === 'https:' ? 443 : 80));
  return { protocol, hostname: url.hostname.replace(/^\[|\]$/g, ''), port };
}

/** @returns the origins as browsers write them; undefined if a part is not an origin. */
function parseOrigins(text: string): string[] | undefined {
  const urls = text.split(',').map((part) => (isPublicUrl(part.trim()) ? URL.parse(part.trim()) : null));
  // Browsers know no patterns, though a URL may have an asterisk.
  const origins = urls.map((url) => (url?.pathname === '/' && !url.host.includes('*') ? url.origin : undefined));
  return origins.every((origin) => origin !== undefined) ? origins : undefined;
}

function rejectList(context: z.RefinementCtx, what: string): never {
  context.addIssue({ code: 'custom', message: `must be ${what}, separated by commas` });
  return z.NEVER;
}

function reject(context: z.RefinementCtx, message: string): never {
  context.addIssue({ code: 'custom', message });
  return z.NEVER;
}
