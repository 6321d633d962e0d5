import { AppError } from '../errors.ts';

/** Where a request may go, as its sender says. */
export type Rules = {
  /** Each purpose has its own connections, look-ups and places. */
  purpose: 'proxy' | 'webhooks';
  /** Plain http everywhere; otherwise only to destinations that `EGRESS_ALLOW` lists. */
  anyPlainHttp: boolean;
  /** The caller's name for the URL, for the sentence that says what is wrong with it: `Destination`, `notify`. */
  member: string;
};

export type Destination = {
  origin: string;
  isTls: boolean;
  /** Small letters, Punycode; an address without brackets; no dot at the end. */
  host: string;
  port: number;
  /** With the query. */
  path: string;
};

export const MAX_URL_LENGTH = 8_192;
const LEAST_FREE_PORT = 1024;
/** Ports from 1024 up that fetch refuses (WHATWG Fetch, "bad port"): their services may take a request for their own protocol. */
const BAD_PORTS: ReadonlySet<number> = new Set([
  1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
]);

/**
 * @throws AppError INVALID_REQUEST unless it is an http or https URL with a host, without credentials, not longer than
 * MAX_URL_LENGTH.
 */
export function parseDestination(text: string, { member }: Rules): Destination {
  if (text.length > MAX_URL_LENGTH) {
    throw new AppError('INVALID_REQUEST', { detail: `${member} must be at most ${MAX_URL_LENGTH} characters long` });
  }
  // URL drops blanks around the text, and tabs and line ends anywhere: a text with these means something else.
  const hasBlanks = /[\0- ]/.test(text);
  const url = hasBlanks ? null : URL.parse(text);
  const isTls = url?.protocol === 'https:';
  const host = url?.hostname.replace(/^\[|\.$|\]$/g, '');
  if (!url || !host || url.username || url.password || !(isTls || url.protocol === 'http:')) {
    throw new AppError('INVALID_REQUEST', { detail: `${member} must be an http or https URL without credentials` });
  }
  const port = Number(url.port || (isTls ? 443 : 80));
  return { origin: url.origin, isTls, host, port, path: url.pathname + url.search };
}

/** Whether it needs no entry in `EGRESS_ALLOW`. */
export function isOrdinary({ isTls, port }: Destination, { anyPlainHttp }: Rules): boolean {
  if (!isTls && !anyPlainHttp) return false;
  return port === 80 || port === 443 || (port >= LEAST_FREE_PORT && !BAD_PORTS.has(port));
}
