import { randomUUID } from 'node:crypto';
import {
  createServer,
  type IncomingMessage,
  METHODS,
  type RequestListener,
  type Server,
  type ServerResponse,
  STATUS_CODES,
} from 'node:http';
import type { Duplex } from 'node:stream';
import { AppError, ERRORS, type ErrorCode } from '../errors.ts';
import { Answer } from './answer.ts';
import { afterPending, askWhenRead, begin, closeAfter, isAnswering, isOver } from './connections.ts';
import { errorBody, jsonAnswer } from './respond.ts';
import { lingerBehindRefusal } from './rest-of-body.ts';

/** Refusals of the HTTP parser, by Node's error code; anything else malformed is INVALID_REQUEST. */
const PARSER_ERRORS: Readonly<Record<string, ErrorCode>> = {
  HPE_HEADER_OVERFLOW: 'HEADERS_TOO_LARGE',
  ERR_HTTP_REQUEST_TIMEOUT: 'REQUEST_TIMEOUT',
};

/** Answers a request. Never rejects. */
type Answerer = (request: IncomingMessage, response: ServerResponse) => Promise<void>;
type ParserError = NodeJS.ErrnoException & { rawPacket?: Buffer };

/** For a request that is refused before its path is known. */
const ALLOW = { allow: 'GET, HEAD, POST, DELETE, OPTIONS' } as const;

const REQUEST_MS = 60_000;
/** The slowest rate at which the largest body still arrives in time. */
const SLOWEST_BYTES_PER_MS = 256;

/**
 * An HTTP server that limits the size and duration of everything a client sends.
 * @param onRefused called for requests that are refused before `answer` gets them.
 * @param bodyMaxBytes how large a body may be: a request may take a minute, or longer where the body can be very large.
 */
export function createHttpServer(
  answer: Answerer,
  onRefused: (code: ErrorCode) => void = () => {},
  bodyMaxBytes = 0,
): Server {
  const take: RequestListener = (request, response) => {
    if (!begin(request, response)) return;
    if (isHttp1(request) && hasSoundEncoding(request) && hasSoundTarget(request)) void answer(request, response);
    else refuse(response, 'INVALID_REQUEST', onRefused);
  };
  const server = createServer(
    {
      ServerResponse: Answer as typeof ServerResponse,
      maxHeaderSize: 16_384,
      headersTimeout: 10_000,
      requestTimeout: Math.max(REQUEST_MS, Math.ceil(bodyMaxBytes / SLOWEST_BYTES_PER_MS)),
      connectionsCheckingInterval: 2_000,
      keepAliveTimeout: 75_000, // longer than the 60 s nginx keeps an idle upstream connection
      requireHostHeader: false, // checked below, because Node's own refusal has no body
      noDelay: true,
    },
    take,
  );
  server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
    askWhenRead(request, response);
    take(request, response);
  });
  server.timeout = 65_000; // idle in both directions; longer than any answer takes
  // A client that closes its side after the request still waits for the answer.
  Object.assign(server, { httpAllowHalfOpen: true });
  server.on('checkExpectation', (request: IncomingMessage, response: ServerResponse) => {
    if (!begin(request, response)) return;
    refuse(response, 'EXPECTATION_FAILED', onRefused);
  });
  const refused = new WeakSet<Duplex>();
  server.on('clientError', (error: ParserError, socket: Duplex) => {
    if (refused.has(socket)) return; // the parser refuses what follows too
    refused.add(socket);
    afterPending(socket, () => {
      if (isUnknownMethod(error)) answerRaw(socket, 'METHOD_NOT_ALLOWED', onRefused, ALLOW);
      else answerRaw(socket, PARSER_ERRORS[error.code ?? ''] ?? 'INVALID_REQUEST', onRefused);
    });
  });
  server.on('connect', (_request, socket: Duplex) => {
    socket.on('error', () => socket.destroy()); // nothing else listens for errors from here on
    afterPending(socket, () => answerRaw(socket, 'METHOD_NOT_ALLOWED', onRefused, ALLOW));
  });
  return server;
}

/** RFC 9110 §7.2: a name or an address, with an optional port. */
const HOST = /^(?:[\w.~%!$&'()*+,;=-]+|\[[\w:.%]+\])(?::\d{0,5})?$/;

/** Whether a URL can have this host and port: an address of 127.0.0.256 or a port of 99999 has the form alone. */
export function isHost(text: string): boolean {
  return HOST.test(text) && URL.canParse(`http://${withoutZone(text)}`);
}

/** The zone of an address means something to its sender alone, and is no part of a URL (RFC 6874 §1). */
export function withoutZone(host: string): string {
  return host.replace(/^(\[[^%\]]*)%[^\]]*\]/, '$1]'); // anchored: a long row of % is looked at once
}

/** RFC 9112 §3.2: exactly one Host in HTTP/1.1. Given two, a proxy on the way may have used the other one. */
function isHttp1({ rawHeaders, httpVersion }: IncomingMessage): boolean {
  let count = 0;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] as string;
    if (name.length !== 4 || name.toLowerCase() !== 'host') continue;
    if (!HOST.test(rawHeaders[index + 1] as string)) return false;
    count += 1;
  }
  return httpVersion === '1.1' ? count === 1 : httpVersion === '1.0' && count <= 1;
}

/**
 * RFC 9112 §6.1: chunked or nothing, and in HTTP/1.0 nothing. Node accepts anything that ends in "chunked", and hands over
 * a request with another encoding before it finds that it cannot read the body.
 */
function hasSoundEncoding({ headers, httpVersion }: IncomingMessage): boolean {
  const encoding = headers['transfer-encoding'];
  return encoding === undefined || (encoding.toLowerCase() === 'chunked' && httpVersion === '1.1');
}

/** RFC 9112 §3.2: a path, the asterisk, or a whole URL, without credentials (RFC 9110 §4.2.4). */
function hasSoundTarget({ url = '' }: IncomingMessage): boolean {
  return url.startsWith('/') || url === '*' || (/^https?:\/\/[^/?#@]+(?:[/?#]|$)/i.test(url) && URL.canParse(url));
}

/** A well-formed request with an unknown method, as opposed to noise such as TLS. */
function isUnknownMethod({ code, rawPacket }: ParserError): boolean {
  if (code !== 'HPE_INVALID_METHOD') return false;
  const method = /^([A-Z-]+) \S+ HTTP\/1\.[01]\r\n/.exec(rawPacket?.toString('latin1') ?? '')?.[1];
  return method !== undefined && !METHODS.includes(method); // with a known method, something after it was refused
}

type OnRefused = (code: ErrorCode) => void;

function refuse(response: ServerResponse, code: ErrorCode, onRefused: OnRefused): void {
  onRefused(code);
  const requestId = randomUUID();
  const { headers, text } = jsonAnswer(errorBody(new AppError(code), requestId), requestId);
  closeAfter(response);
  response.writeHead(ERRORS[code].status, headers).end(text);
}

/** Answers on the bare socket when there is no request object, unless the last answer was given; then closes it. */
function answerRaw(socket: Duplex, code: ErrorCode, onRefused: OnRefused, extra: Record<string, string> = {}): void {
  if (!socket.writable || socket.destroyed || isAnswering(socket)) {
    socket.destroy();
    return;
  }
  if (isOver(socket)) socket.end();
  else {
    onRefused(code);
    socket.end(rawAnswer(code, extra));
  }
  lingerBehindRefusal(socket);
}

function rawAnswer(code: ErrorCode, extra: Record<string, string>): string {
  const requestId = randomUUID();
  const { status } = ERRORS[code];
  const { headers, text } = jsonAnswer(errorBody(new AppError(code), requestId), requestId);
  const all = Object.entries({ ...headers, ...extra, connection: 'close' });
  const head = all.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  return `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${head}\r\n${text}`;
}
