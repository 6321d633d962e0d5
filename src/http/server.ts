import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type RequestListener, type Server, STATUS_CODES } from 'node:http';
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
      if (request.headers.host === undefined && request.httpVersion === '1.1') {
        answerRaw(request.socket, 'INVALID_REQUEST');
      } else listener(request, response);
    },
  );
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Duplex) => {
    answerRaw(socket, PARSER_ERRORS[error.code ?? ''] ?? 'INVALID_REQUEST');
  });
  server.on('checkExpectation', (_request: IncomingMessage, response) => {
    answerRaw(response.socket as Duplex, 'EXPECTATION_FAILED');
  });
  return server;
}

/** Answers on the bare socket, where there is no request to answer, and closes it. */
function answerRaw(socket: Duplex, code: ErrorCode): void {
  if (!socket.writable || socket.destroyed) {
    socket.destroy();
    return;
  }
  const requestId = randomUUID();
  const { status } = ERRORS[code];
  const { headers, text } = jsonAnswer(errorBody(new AppError(code), requestId), requestId);
  const lines = Object.entries({ ...headers, connection: 'close' }).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines.join('')}\r\n${text}`);
}
