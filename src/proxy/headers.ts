import type { IncomingMessage } from 'node:http';

/** What we call ourselves in `Via` (RFC 9110 §7.6.3). */
const OWN_NAME = 'hushbox';

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

/** Headers between the client and us (where to, its credentials), and those that we set ourselves. */
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
]);

/** Headers with which a stranger's answer could harm our origin, and those that we set (RFC 9110 §7.6: all others return). */
const NOT_RETURNED: ReadonlySet<string> = new Set([
  'set-cookie',
  'set-cookie2',
  'clear-site-data',
  'alt-svc',
  'strict-transport-security',
  'nel',
  'report-to',
  'content-security-policy',
  'content-security-policy-report-only',
  'cache-control',
  'x-content-type-options',
  'referrer-policy',
  'x-request-id',
]);
/** nginx in front would obey the second: its own files, other limits. */
const NOT_RETURNED_PREFIX = /^(?:access-control|x-accel)-/;

/** The headers that we add to every answer that is passed back. */
export const ADDED_TO_ANSWERS: readonly string[] = ['Content-Security-Policy', 'sandbox', 'Via', `1.1 ${OWN_NAME}`];

/**
 * The headers of a request that is sent on, in a flat list: those of the client in their order, then ours.
 * @param token ours: no other token is passed on.
 */
export function headersToSend({ rawHeaders, httpVersion }: IncomingMessage, token: string): string[] {
  const sent: string[] = [];
  const named = namedByConnection(pairsOf(rawHeaders));
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] as string;
    const plain = plainName(name);
    // The length is kept even if `Connection` names it: without it the body would be a different one.
    if (plain !== 'content-length' && (isOfConnection(plain, named) || NOT_SENT.has(plain))) continue;
    sent.push(name, rawHeaders[index + 1] as string);
  }
  sent.push('Via', `${httpVersion} ${OWN_NAME}`, 'x-my-jwt', token);
  return sent;
}

/**
 * The headers of an answer that is passed back, in a flat list, without those that every answer has.
 * @param status with 204, a length means nothing.
 * @throws TypeError if the body has an encoding that nobody asked for, and that the client would not learn of.
 */
export function headersToReturn(headers: readonly Pair[], status: number): string[] {
  const returned: string[] = [];
  const named = namedByConnection(headers);
  for (const [name, value] of headers) {
    const plain = plainName(name);
    if (plain === 'transfer-encoding' && value.toLowerCase() !== 'chunked')
      throw new TypeError('a transfer encoding other than chunked');
    if (plain === 'content-length') {
      if (status !== 204) returned.push(name, value);
    } else if (!isOfConnection(plain, named) && !NOT_RETURNED.has(plain) && !NOT_RETURNED_PREFIX.test(plain)) {
      returned.push(name, value);
    }
  }
  returned.push(...ADDED_TO_ANSWERS);
  return returned;
}

/** Whether a request has been here before. */
export function isLoop({ rawHeaders }: IncomingMessage): boolean {
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] as string;
    if (name.length === 3 && name.toLowerCase() === 'via' && isOurs(rawHeaders[index + 1] as string)) return true;
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

/** Servers that turn headers into variables take `X_My_JWT` for `X-My-JWT`: we do too. */
function plainName(name: string): string {
  return name.toLowerCase().replaceAll('_', '-');
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

/** `Via: 1.0 fred, HTTP/1.1 hushbox:80 (a comment)`: one of the names is ours. Comments do not count. */
function isOurs(via: string): boolean {
  return withoutComments(via)
    .split(',')
    .some((hop) => {
      const [version = '', by = version] = hop.trim().split(/\s+/); // a name alone is invalid, but still a name
      return by.replace(/:\d*$/, '').toLowerCase() === OWN_NAME;
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
