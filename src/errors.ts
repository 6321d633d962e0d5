/** Every failure a client may see. A code, once released, never changes its meaning. */
export const ERRORS = {
  INVALID_REQUEST: { status: 400, title: 'The request is not valid' },
  INVALID_DPOP_PROOF: { status: 400, title: 'The DPoP proof is not valid' },
  UNAUTHORIZED: { status: 401, title: 'A valid token is required' },
  INVALID_CREDENTIALS: { status: 401, title: 'The address or the password is wrong' },
  REPLAY_DETECTED: {
    status: 401,
    title: 'This token was used without its cookie, or once more, and its session has ended',
  },
  PROOF_REQUIRED: {
    status: 403,
    title: 'This secret is only for somebody with the whole link: the part after the # is missing or damaged',
  },
  PHRASE_REQUIRED: { status: 403, title: 'This secret needs a phrase' },
  CSRF_FAILED: { status: 403, title: 'This needs the header X-CSRFToken, with the value of the cookie csrftoken' },
  WRONG_PHRASE: { status: 403, title: 'Incorrect phrase' },
  FOREIGN_ORIGIN: { status: 403, title: 'Pages of other websites may not send requests to this server' },
  HTTPS_REQUIRED: { status: 403, title: 'This needs HTTPS' },
  DESTINATION_FORBIDDEN: { status: 403, title: 'Requests to this destination are not allowed' },
  REGISTRATION_OFF: { status: 403, title: 'Nobody can register this address here' },
  MAIL_OFF: { status: 403, title: 'This server sends no mail' },
  NOTIFY_FORBIDDEN: {
    status: 403,
    title: 'This server does not accept `notify`, because anyone can create secrets on it',
  },
  NOT_FOUND: { status: 404, title: 'Path not found' },
  KEY_NOT_FOUND: { status: 404, title: 'Key not found' },
  UNKNOWN_ID: { status: 404, title: 'There is nothing with this id' },
  METHOD_NOT_ALLOWED: { status: 405, title: 'This path does not accept this method' },
  PROXY_AUTHENTICATION_REQUIRED: { status: 407, title: 'A valid token for the proxy is required' },
  REQUEST_TIMEOUT: { status: 408, title: 'The request took too long to arrive' },
  NOT_ANSWERED: { status: 409, title: 'This request is not answered yet' },
  STILL_WAITING: {
    status: 409,
    title: 'This is a secret that waits to be read, and not a request that can be withdrawn',
  },
  NOT_WAITING: { status: 409, title: 'This secret is no longer waiting' },
  TOKEN_REPLAYED: { status: 409, title: 'This token was already used' },
  LINK_GONE: { status: 410, title: 'This link was used before, has expired, or never existed' },
  TOO_LARGE: { status: 413, title: 'The request is too large' },
  UNSUPPORTED_ENCODING: { status: 415, title: 'Compressed request bodies are not supported' },
  EXPECTATION_FAILED: { status: 417, title: 'The only supported expectation is 100-continue' },
  MISDIRECTED: { status: 421, title: 'This server does not answer for this host' },
  TOO_MANY_TRIES: { status: 429, title: 'Too many incorrect phrases for this secret' },
  RATE_LIMITED: { status: 429, title: 'Too many requests in a short time' },
  QUOTA_EXCEEDED: { status: 429, title: 'Too many secrets are already waiting' },
  HEADERS_TOO_LARGE: { status: 431, title: 'The request headers are too large' },
  INTERNAL: { status: 500, title: 'Something went wrong on our side' },
  UPSTREAM_FAILED: { status: 502, title: 'The destination cannot be reached, or its answer was broken' },
  AUTH_UNAVAILABLE: { status: 503, title: 'Tokens cannot be checked right now' },
  BUSY: { status: 503, title: 'This server has too much to do right now' },
  DESTINATION_BUSY: { status: 503, title: 'Too many requests to this destination are in progress' },
  DRAINING: { status: 503, title: 'This process is shutting down' },
  STORAGE_UNAVAILABLE: { status: 503, title: 'Storage is not responding' },
  TOTALS_UNAVAILABLE: { status: 503, title: 'Status is temporarily unavailable' },
  MASTER_KEY_UNAVAILABLE: { status: 503, title: 'This server does not have the master key that this secret needs' },
  UPSTREAM_TIMEOUT: { status: 504, title: 'The destination took too long to answer' },
  STORAGE_FULL: { status: 507, title: 'Storage is full' },
  LOOP_DETECTED: { status: 508, title: 'Proxy loop detected' },
} as const;

/** Codes that only nginx in front answers with (nginx/nginx.conf), and their statuses. */
export const PROXY_CODES = { TOO_MANY_REQUESTS: 429, NO_WORKER: 502, WORKER_TIMEOUT: 504 } as const;

export type ErrorCode = keyof typeof ERRORS;

export const PUBLIC_CODES = Object.keys(ERRORS);

type Details = {
  /** A public sentence in place of the code's title. It never repeats what the client sent. */
  detail?: string;
  /** For the log only. */
  cause?: unknown;
  /** Seconds the client should wait: the `Retry-After` header. */
  retryAfterSeconds?: number;
  /** Of a storage that refused or failed: the write surely did not happen. Otherwise nobody knows. */
  isNotWritten?: boolean;
  /** Members added to the answer, beside `Error`, `code` and `request_id`. */
  members?: Readonly<Record<string, string | number>>;
};

/** A failure meant for the client. */
export class AppError extends Error {
  override readonly name = 'AppError';
  readonly code: ErrorCode;
  readonly retryAfterSeconds: number | undefined;
  readonly isNotWritten: boolean;
  readonly members: Details['members'];
  constructor(code: ErrorCode, { detail, cause, retryAfterSeconds, isNotWritten = false, members }: Details = {}) {
    super(detail ?? ERRORS[code].title, { cause });
    this.code = code;
    this.retryAfterSeconds = retryAfterSeconds;
    this.isNotWritten = isNotWritten;
    this.members = members;
  }
}
