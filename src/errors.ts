/** Every failure a client may see. A code, once released, never changes its meaning. */
export const ERRORS = {
  INVALID_REQUEST: { status: 400, title: 'The request is not valid' },
  UNAUTHORIZED: { status: 401, title: 'This needs a valid token' },
  PHRASE_REQUIRED: { status: 403, title: 'This secret needs a phrase' },
  WRONG_PHRASE: { status: 403, title: 'Wrong phrase' },
  DESTINATION_FORBIDDEN: { status: 403, title: 'Requests are not sent to this destination' },
  NOTIFY_FORBIDDEN: { status: 403, title: 'This server takes no address to notify, for anybody can create secrets' },
  NOT_FOUND: { status: 404, title: 'There is nothing at this path' },
  KEY_NOT_FOUND: { status: 404, title: 'Key not found' },
  METHOD_NOT_ALLOWED: { status: 405, title: 'This path does not take this method' },
  PROXY_AUTHENTICATION_REQUIRED: { status: 407, title: 'This needs a valid token for the proxy' },
  REQUEST_TIMEOUT: { status: 408, title: 'The request took too long to arrive' },
  NOT_WAITING: { status: 409, title: 'This secret is no longer waiting' },
  TOKEN_REPLAYED: { status: 409, title: 'This token was received before' },
  TOO_LARGE: { status: 413, title: 'The request is too large' },
  UNSUPPORTED_ENCODING: { status: 415, title: 'Compressed request bodies are not read' },
  EXPECTATION_FAILED: { status: 417, title: 'Only 100-continue can be expected' },
  TOO_MANY_TRIES: { status: 429, title: 'Too many wrong phrases for this secret' },
  RATE_LIMITED: { status: 429, title: 'Too many secrets created in too short a time' },
  QUOTA_EXCEEDED: { status: 429, title: 'Too many secrets are waiting already' },
  HEADERS_TOO_LARGE: { status: 431, title: 'The request headers are too large' },
  INTERNAL: { status: 500, title: 'Something failed on our side' },
  UPSTREAM_FAILED: { status: 502, title: 'The destination cannot be reached, or its answer was broken' },
  BUSY: { status: 503, title: 'Too many phrases are being checked right now' },
  DESTINATION_BUSY: { status: 503, title: 'Too many requests to this destination are under way' },
  DRAINING: { status: 503, title: 'This process is about to end' },
  STORAGE_UNAVAILABLE: { status: 503, title: 'The storage does not answer right now' },
  TOTALS_UNAVAILABLE: { status: 503, title: 'What all workers counted is not at hand right now' },
  MASTER_KEY_UNAVAILABLE: { status: 503, title: 'This secret needs a master key this server does not have' },
  UPSTREAM_TIMEOUT: { status: 504, title: 'The destination took too long' },
  STORAGE_FULL: { status: 507, title: 'There is no room for another secret' },
  LOOP_DETECTED: { status: 508, title: 'This request has been here before' },
} as const;

/** What only nginx in front answers with (nginx/nginx.conf), by status. */
export const PROXY_CODES = { TOO_MANY_REQUESTS: 429, NO_WORKER: 502, WORKER_TIMEOUT: 504 } as const;

export type ErrorCode = keyof typeof ERRORS;

export const PUBLIC_CODES = Object.keys(ERRORS);

type Details = {
  /** Public sentence in place of the code's title. Never holds what the client sent. */
  detail?: string;
  /** For the log only. */
  cause?: unknown;
  /** Seconds the client should wait: the `Retry-After` header. */
  retryAfterSeconds?: number;
  /** Members added to the answer, beside `Error`, `code` and `request_id`. */
  members?: Readonly<Record<string, string | number>>;
};

/** A failure meant for the client. */
export class AppError extends Error {
  override readonly name = 'AppError';
  readonly code: ErrorCode;
  readonly retryAfterSeconds: number | undefined;
  readonly members: Details['members'];
  constructor(code: ErrorCode, { detail, cause, retryAfterSeconds, members }: Details = {}) {
    super(detail ?? ERRORS[code].title, { cause });
    this.code = code;
    this.retryAfterSeconds = retryAfterSeconds;
    this.members = members;
  }
}
