import type { IncomingMessage } from 'node:http';

type Pair = readonly [name: string, value: string];

/** RFC 9110 §7.6.1, and `Proxy-…`: meant only for the next hop. */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
]);

/** Headers between the client and us (where to, its credentials, what proxies report about it), and those that we set. */
const NOT_SENT: ReadonlySet<string> = new Set([
  'host',
  'destination',
  'cookie',
  'cookie2',
  'authorization',
  'token',
  'dpop',
  'x-csrftoken',
  'x-my-jwt',
  'expect',
  'forwarded',
  'x-real-ip',
  'proxy', // CGI turns it into HTTP_PROXY
]);
const NOT_SENT_PREFIX = /^x-forwarded-/;

/**
 * Headers with which a stranger's answer could harm our origin, many of them beyond that answer, and those that we set
 * (RFC 9110 §7.6: all others return).
 */
const NOT_RETURNED: ReadonlySet<string> = new Set([
  'set-cookie',
  'set-cookie2',
  'set-login',
  'clear-site-data',
  'alt-svc',
  'strict-transport-security',
  'public-key-pins',
  'expect-ct',
  'nel',
  'report-to',
  'reporting-endpoints',
  'accept-ch',
  'accept-ch-lifetime',
  'critical-ch',
  'sec-session-registration',
  'secure-session-registration',
  'secure-session-challenge',
  'service-worker-allowed',
  'use-as-dictionary',
  'x-sendfile',
  'x-lighttpd-send-file',
  'content-security-policy',
  'content-security-policy-report-only',
  'cache-control',
  'x-content-type-options',
  'referrer-policy',
  'x-request-id',
]);
/** nginx in front would obey the second: its own files, other limits. */
const NOT_RETURNED_PREFIX = /^(?:access-control|x-accel)-/;
/** A browser asks for a password, and sends it to our origin from then on. In doubt (`realm="a, Basic b"`) it is one. */
const BASIC_CHALLENGE = /(?:^|,)[\t ]*basic(?:[\t ,]|$)/i;

/** The headers that we add to every answer that is passed back, in a flat list. */
export function addedToAnswers(ownName: string): readonly string[] {
  return ['Content-Security-Policy', 'sandbox', 'Via', `1.1 ${ownName}`];
}

/**
 * The headers of a request that is sent on, in a flat list: those of the client in their order, then ours.
 * @param token ours: no other token is passed on.
 */
export function headersToSend({ rawHeaders, httpVersion }: IncomingMessage, token: string, ownName: string): string[] {
  const sent: string[] = [];
  const named = namedByConnection(pairsOf(rawHeaders));
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] as string;
    const plain = plainName(name);
    const isSent =
      plain === 'content-length'
        ? isLength(name)
        : !isOfConnection(plain, named) && !NOT_SENT.has(plain) && !NOT_SENT_PREFIX.test(plain);
    if (isSent) sent.push(name, rawHeaders[index + 1] as string);
  }
  sent.push('Via', `${httpVersion} ${ownName}`, 'x-my-jwt', token);
  return sent;
}

/**
 * The headers of an answer that is passed back, in a flat list, without those that every answer has.
 * @param status with 204, a length means nothing.
 * @throws TypeError if the body has an encoding that nobody asked for, and that the client would not learn of.
 */
export function headersToReturn(headers: readonly Pair[], status: number, ownName: string): string[] {
  const returned: string[] = [];
  const named = namedByConnection(headers);
  for (const [name, value] of headers) {
    const plain = plainName(name);
    if (name.toLowerCase() === 'transfer-encoding' && value.toLowerCase() !== 'chunked')
      throw new TypeError('a transfer encoding other than chunked');
    if (plain === 'content-length') {
      if (status !== 204 && isLength(name)) returned.push(name, value);
    } else if (!isOfConnection(plain, named) && isReturned(plain, value)) {
      returned.push(name, value);
    }
  }
  returned.push(...addedToAnswers(ownName));
  return returned;
}

function isReturned(plain: string, value: string): boolean {
  if (plain === 'www-authenticate') return !BASIC_CHALLENGE.test(value);
  return !NOT_RETURNED.has(plain) && !NOT_RETURNED_PREFIX.test(plain);
}

/** The length is kept even if `Connection` names it: without it the body would be a different one. An alias is not. */
function isLength(name: string): boolean {
  return name.toLowerCase() === 'content-length';
}

/** Whether a request has been here before. */
export function isLoop({ rawHeaders }: IncomingMessage, ownName: string): boolean {
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] as string;
    if (name.length === 3 && name.toLowerCase() === 'via' && names(rawHeaders[index + 1] as string, ownName))
      return true;
  }
  return false;
}

/** The values of a header, one for each time it occurs. */
export function valuesOf({ rawHeaders }: IncomingMessage, wanted: string): string[] {
  const values: string[] = [];
  for (let index = 0; index < rawHeaders.length; index += 2) {
    if ((rawHeaders[index] as string).toLowerCase() === wanted) values.push(rawHeaders[index + 1] as string);
  }
  return values;
}

/** Servers that turn headers into variables take `X_My_JWT` and `X.My.JWT` for `X-My-JWT`: we do too. */
function plainName(name: string): string {
  return name.toLowerCase().replace(/[_.]/g, '-');
}

function isOfConnection(name: string, named: ReadonlySet<string> | undefined): boolean {
  return HOP_BY_HOP.has(name) || name.startsWith('proxy-') || named?.has(name) === true;
}

/** Names in `Connection`, except those that every client sends. */
function namedByConnection(headers: Iterable<Pair>): ReadonlySet<string> | undefined {
  let named: Set<string> | undefined;
  for (const [name, value] of headers) {
    if (name.length !== 10 || name.toLowerCase() !== 'connection' || /^(?:close|keep-alive)$/i.test(value)) continue;
    named ??= new Set();
    for (const field of value.split(',')) named.add(plainName(field.trim()));
  }
  return named;
}

function* pairsOf(rawHeaders: readonly string[]): Generator<Pair> {
  for (let index = 0; index < rawHeaders.length; index += 2) {
    yield [rawHeaders[index] as string, rawHeaders[index + 1] as string];
  }
}

/** `Via: 1.0 fred, HTTP/1.1 hushbox-1a2b3c4d:80 (a comment)`: this name is there. Comments do not count. */
function names(via: string, ownName: string): boolean {
  return withoutComments(via)
    .split(',')
    .some((hop) => {
      const [version = '', by = version] = hop.trim().split(/\s+/); // a name alone is invalid, but still a name
      return by.replace(/:\d*$/, '').toLowerCase() === ownName;
    });
}

/** RFC 9110 §5.6.5: comments can be nested, and a backslash escapes the next character. */
function withoutComments(text: string): string {
  let depth = 0;
  let rest = '';
  for (let index = 0; index < text.length; index++) {
    const character = text[index] as string;
    if (depth > 0 && character === '\\') index += 1;
    else if (character === '(') depth += 1;
    else if (character === ')' && depth > 0) depth -= 1;
    else if (depth === 0) rest += character;
  }
  return depth > 0 ? text.replaceAll(/[()]/g, ' , x ') : rest; // a comment never ends: better find a loop too many
}
