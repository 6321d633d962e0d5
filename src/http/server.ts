import { randomUUID } from 'node:crypto';
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
  STATUS_CODES,
} from 'node:http';
import type { Duplex } from 'node:stream';
import { AppError, ERRORS, type ErrorCode } from '../errors.ts';
import { errorBody, jsonAnswer } from './respond.ts';

/** What the HTTP parser refuses, by Node's error code; anything else malformed is INVALID_REQUEST. */
const PARSER_ERRORS: Readonly<Record<string, ErrorCode>> = {
  HPE_HEADER_OVERFLOW: 'HEADERS_TOO_LARGE',
  ERR_HTTP_REQUEST_TIMEOUT: 'REQUEST_TIMEOUT',
};

/** An HTTP server with a limit on everything a client can draw out. */
export function createHttpServer(listener: RequestListener): Server {
  /** The newest two answers of each connection, sent or not: only the last one's request can still be incomplete. */
  const newest = new WeakMap<Duplex, [ServerResponse | undefined, ServerResponse]>();
  const remember = (socket: Duplex, response: ServerResponse): void => {
    newest.set(socket, [newest.get(socket)?.[1], response]);
  };
  const server = createServer(
    {
      maxHeaderSize: 16_384,
      headersTimeout: 10_000,
      requestTimeout: 60_000,
      connectionsCheckingInterval: 1_000,
      keepAliveTimeout: 75_000, // longer than the 60 s nginx keeps an idle upstream connection
      requireHostHeader: false, // checked below: Node would answer without a body
      noDelay: true,
    },
    (request, response) => {
      remember(request.socket, response);
      if (request.headers.host === undefined && request.httpVersion === '1.1') refuse(response, 'INVALID_REQUEST');
      else listener(request, response);
    },
  );
  // A client that has said all it wanted to say, and closes its side, still waits for the answer.
  Object.assign(server, { httpAllowHalfOpen: true });
  server.on('checkExpectation', (request: IncomingMessage, response: ServerResponse) => {
    remember(request.socket, response);
    refuse(response, 'EXPECTATION_FAILED');
  });
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Duplex) => {
    afterPending(socket, () => answerRaw(socket, PARSER_ERRORS[error.code ?? ''] ?? 'INVALID_REQUEST'));
  });
  server.on('connect', (_request, socket: Duplex) => {
    socket.on('error', () => socket.destroy()); // from here on nobody else listens for it
    afterPending(socket, () => answerRaw(socket, 'METHOD_NOT_ALLOWED', { allow: 'GET, HEAD, POST, DELETE, OPTIONS' }));
  });

  /** What is said on the bare socket must not be taken for the answer to an earlier request that is still under way. */
  function afterPending(socket: Duplex, answer: () => void): void {
    const [previous, last] = newest.get(socket) ?? [];
    const pending = last?.req.complete ? last : previous;
    if (!pending || pending.writableFinished || pending.destroyed) answer();
    else pending.once('close', answer);
  }
  return server;
}

function refuse(response: ServerResponse, code: ErrorCode): void {
  const requestId = randomUUID();
  const { headers, text } = jsonAnswer(errorBody(new AppError(code), requestId), requestId);
  response.writeHead(ERRORS[code].status, { ...headers, connection: 'close' }).end(text);
}

/** Answers on the bare socket, where there is no request to answer, and closes it. */
function answerRaw(socket: Duplex, code: ErrorCode, extra: Record<string, string> = {}): void {
  if (!socket.writable || socket.destroyed) {
    socket.destroy();
    return;
  }
  const requestId = randomUUID();
  const { status } = ERRORS[code];
  const { headers, text } = jsonAnswer(errorBody(new AppError(code), requestId), requestId);
  const all = Object.entries({ ...headers, ...extra, connection: 'close' });
  const head = all.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${head}\r\n${text}`);
}
