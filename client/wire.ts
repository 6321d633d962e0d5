/** One request and its answer, and the repeats of a request that was cut off. */
import { distrust, HushboxError, OWN_CODES, pause } from './sealing.ts';

/** Without a byte for this long, an answer counts as cut off. */
const SILENCE_MS = 30_000;
/** How slow a connection may be that takes a request in. */
const SLOWEST_BYTES_PER_MS = 8;
/** More than the largest secret takes, each byte of it written as an escape. */
const ANSWER_MAX_BYTES = 80 << 20;
/** A repeat of a read or an answer works for 60 s. */
const REPEAT_MS = 55_000;

export type Progress = (fraction: number) => void;

export type Call = {
  method?: 'DELETE';
  body?: Blob;
  headers?: Record<string, string>;
  signal?: AbortSignal | undefined;
  onUpload?: Progress | undefined;
  onDownload?: Progress | undefined;
};

/** What the server answered, not yet checked. */
export type Answer = { readonly [member: string]: unknown };

/**
 * Sends one request: no cookies, no referrer; redirects are not followed.
 * @throws HushboxError with the server's code, UNREACHABLE or UNTRUSTED, and for what no header can carry UNAUTHORIZED or
 *   INVALID_REQUEST; the signal's reason if it was aborted.
 */
export async function call(url: string, { method, body, headers, ...options }: Call, send?: typeof fetch) {
  options.signal?.throwIfAborted();
  // A read that is stopped here is no lost connection. Of a token, the server would say the same.
  if (/[^ -~]/.test(Object.values(headers ?? {}).join(''))) {
    throw new HushboxError(headers?.authorization ? 'UNAUTHORIZED' : 'INVALID_REQUEST');
  }
  const end = new AbortController();
  const { signal } = end;
  options.signal?.addEventListener('abort', () => end.abort(), { signal });
  let timer: ReturnType<typeof setTimeout> | undefined;
  const wait = (ms = SILENCE_MS) => {
    clearTimeout(timer);
    timer = setTimeout(() => end.abort(), ms);
  };
  const onUpload = (fraction: number) => {
    wait();
    options.onUpload?.(fraction);
  };
  try {
    wait(SILENCE_MS + (body?.size ?? 0) / SLOWEST_BYTES_PER_MS);
    const request = {
      method: method ?? (body ? 'POST' : 'GET'),
      headers: { accept: 'application/json', ...headers },
      body: body ?? null,
      signal,
      redirect: 'manual',
      credentials: 'omit',
      referrerPolicy: 'no-referrer',
    } as const;
    const isWatched = options.onUpload && !send && 'XMLHttpRequest' in globalThis;
    const response = await (isWatched ? upload(url, request, onUpload) : (send ?? fetch)(url, request));
    onUpload(1);
    return check(response, await read(response, wait, options.onDownload));
  } catch (error) {
    options.signal?.throwIfAborted();
    if (error instanceof HushboxError) throw error;
    // The error itself may quote the address, and so the key.
    const { code } = ((error as Error).cause ?? {}) as { code?: string };
    throw new HushboxError('UNREACHABLE', code && `${OWN_CODES.UNREACHABLE} (${code})`);
  } finally {
    clearTimeout(timer);
    end.abort();
  }
}

type Request = { method: string; headers: Record<string, string>; body: Blob | null; signal: AbortSignal };

/** What a browser has for it: `fetch` does not show how much of a body is sent. */
declare class XMLHttpRequest {
  readonly upload: { onprogress: (event: { loaded: number; total: number }) => void };
  readonly responseText: string;
  readonly responseURL: string;
  readonly status: number;
  onloadend: (event: unknown) => void;
  open(method: string, url: string): void;
  setRequestHeader(name: string, value: string): void;
  getResponseHeader(name: string): string | null;
  send(body: Blob | null): void;
  abort(): void;
}

async function upload(url: string, { method, headers, body, signal }: Request, onProgress: Progress) {
  const request = new XMLHttpRequest();
  request.open(method, url);
  for (const header of Object.entries(headers)) request.setRequestHeader(...header);
  request.upload.onprogress = ({ loaded, total }) => onProgress(loaded / total);
  signal.onabort = () => request.abort();
  await new Promise((resolve) => {
    request.onloadend = resolve;
    request.send(body);
  });
  // No answer has the status 0, which Response refuses. A redirect was followed, but its answer does not count.
  const status = request.responseURL && request.responseURL !== url ? 302 : request.status;
  return new Response(request.responseText, {
    status,
    headers: { [RETRY_AFTER]: request.getResponseHeader(RETRY_AFTER) ?? '' },
  });
}

const RETRY_AFTER = 'retry-after';

async function read({ body, headers }: Response, onBytes: () => void, onProgress?: Progress): Promise<string> {
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  const total = Number(headers.get('content-length'));
  const reader = body?.getReader();
  for (let bytes = 0; ; ) {
    onBytes();
    const { value } = (await reader?.read()) ?? {};
    if (!value) return new Blob(chunks).text();
    bytes += value.length;
    if (bytes > ANSWER_MAX_BYTES) distrust();
    chunks.push(value);
    if (total) onProgress?.(Math.min(1, bytes / total));
  }
}

function check({ ok, status, headers }: Response, text: string): Answer {
  // A browser shows the status 0 for a redirect.
  if (!ok && status < 400) {
    throw new HushboxError('UNTRUSTED', 'A redirect.');
  }
  const answer = parse(text || '{}');
  if (ok && answer) return answer;
  const { Error: sentence, code, tries_left: triesLeft } = answer ?? {};
  if (ok || typeof code !== 'string' || !/^[A-Z_]+$/.test(code) || code in OWN_CODES) {
    // A proxy in between says so when the server behind it does not answer.
    if (status >= 500) throw new HushboxError('UNREACHABLE', undefined, { status });
    distrust();
  }
  const wait = headers.get(RETRY_AFTER) ?? '';
  const message = typeof sentence === 'string' ? sentence : code;
  throw new HushboxError(code, message.slice(0, 300).replace(/\p{C}/gu, ' '), {
    status,
    retryAfterSeconds: /^[1-9]\d{0,8}$/.test(wait) ? Number(wait) : undefined,
    triesLeft: Number.isInteger(triesLeft) ? (triesLeft as number) : undefined,
  });
}

function parse(text: string): Answer | undefined {
  try {
    return Object(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/**
 * Repeats a request that carries an `Idempotency-Key`, until an answer arrives.
 * @throws HushboxError CUT_OFF if it may have been carried out and no repeat was answered.
 */
export async function repeat(attempt: () => Promise<Answer>): Promise<Answer> {
  const end = Date.now() + REPEAT_MS;
  let wasCutOff = false;
  for (let waitMs = 500; ; waitMs = Math.min(2 * waitMs, 4000)) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof HushboxError)) throw error;
      const { code, status = 500 } = error;
      // NO_WORKER and WORKER_TIMEOUT are nginx's: the worker may have carried it out. TOO_MANY_REQUESTS is nginx's too.
      wasCutOff ||= /UNREACHABLE|STORAGE_UN|INTERNAL|WORKER/.test(code);
      if (!wasCutOff || (!/REQUESTS/.test(code) && status < 500)) throw error;
      if (Date.now() + waitMs > end) throw new HushboxError('CUT_OFF');
    }
    await pause(waitMs);
  }
}
