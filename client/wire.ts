/** One request and its answer, and the repeats of a request that was cut off. */
import { HushboxError } from './sealing.ts';

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
  method?: 'POST' | 'DELETE';
  body?: Blob;
  headers?: Record<string, string>;
  signal?: AbortSignal | undefined;
  onUpload?: Progress | undefined;
  onDownload?: Progress | undefined;
};

/** What the server answered, not yet checked. */
export type Answer = { readonly [member: string]: unknown };

/**
 * Sends one request: no cookies, no referrer, no cache; redirects are not followed.
 * @throws HushboxError with the server's code, UNREACHABLE or UNTRUSTED; the signal's reason if it was aborted.
 */
export async function call(url: string, { method, body, headers, ...options }: Call, send?: typeof fetch) {
  options.signal?.throwIfAborted();
  const silence = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const wait = (ms: number) => {
    clearTimeout(timer);
    timer = setTimeout(() => silence.abort(), ms);
  };
  const signal = options.signal ? AbortSignal.any([options.signal, silence.signal]) : silence.signal;
  const onUpload = (fraction: number) => {
    wait(SILENCE_MS);
    options.onUpload?.(fraction);
  };
  try {
    wait(SILENCE_MS + (body?.size ?? 0) / SLOWEST_BYTES_PER_MS);
    const request = {
      method: method ?? 'GET',
      headers: { accept: 'application/json', ...(body && { 'content-type': 'application/json' }), ...headers },
      ...(body && { body }),
      signal,
      redirect: 'manual',
      credentials: 'omit',
      referrerPolicy: 'no-referrer',
      cache: 'no-store',
    } as const;
    const isWatched = body && options.onUpload && !send && 'XMLHttpRequest' in globalThis;
    const response = await (isWatched ? upload(url, request, onUpload) : (send ?? fetch)(url, request));
    options.onUpload?.(1);
    return check(response, await read(response, () => wait(SILENCE_MS), options.onDownload));
  } catch (error) {
    options.signal?.throwIfAborted();
    if (error instanceof HushboxError) throw error;
    // The error itself may quote the address, and so the key.
    const { code = '' } = ((error as Error).cause ?? {}) as { code?: string };
    throw new HushboxError('UNREACHABLE', code ? { message: `The server gave no answer (${code}).` } : {});
  } finally {
    clearTimeout(timer);
  }
}

type Request = { method: string; headers: Record<string, string>; body?: Blob; signal: AbortSignal };

/** What a browser has for it: `fetch` does not show how much of a body is sent. */
declare class XMLHttpRequest {
  readonly upload: { onprogress: ((event: { loaded: number; total: number }) => void) | null };
  responseType: 'blob';
  readonly response: Blob;
  readonly responseURL: string;
  readonly status: number;
  onload: (() => void) | null;
  onerror: (() => void) | null;
  onabort: (() => void) | null;
  open(method: string, url: string): void;
  setRequestHeader(name: string, value: string): void;
  getResponseHeader(name: string): string | null;
  send(body?: Blob): void;
  abort(): void;
}

function upload(url: string, { method, headers, body, signal }: Request, onProgress: Progress): Promise<Response> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open(method, url);
    request.responseType = 'blob';
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.upload.onprogress = ({ loaded, total }) => onProgress(loaded / total);
    request.onerror = request.onabort = () => reject(new Error('cut off'));
    request.onload = () => {
      const { response, status, responseURL } = request;
      const retryAfter = request.getResponseHeader('retry-after');
      if (responseURL !== url) reject(redirected());
      else resolve(new Response(response, { status, headers: retryAfter ? { 'retry-after': retryAfter } : {} }));
    };
    signal.addEventListener('abort', () => request.abort());
    request.send(body);
  });
}

function redirected(): HushboxError {
  return new HushboxError('UNTRUSTED', { message: 'The server sends elsewhere, which is not followed.' });
}

async function read(response: Response, onBytes: () => void, onProgress?: Progress): Promise<string> {
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  const total = Number(response.headers.get('content-length'));
  let bytes = 0;
  const reader = response.body?.getReader();
  for (;;) {
    onBytes();
    const { value } = (await reader?.read()) ?? {};
    if (!value) return new Blob(chunks).text();
    bytes += value.length;
    if (bytes > ANSWER_MAX_BYTES) {
      await reader?.cancel();
      throw new HushboxError('UNTRUSTED');
    }
    chunks.push(value);
    if (total) onProgress?.(Math.min(1, bytes / total));
  }
}

/** A server must not say what only the client can know. */
const CODE = /^(?!(?:SPOILT_LINK|UNREACHABLE|UNTRUSTED|NEEDS_HTTPS|CUT_OFF)$)[A-Z][A-Z_]{1,63}$/;

function check(response: Response, text: string): Answer {
  const { ok, status, type } = response;
  if (type === 'opaqueredirect' || (status >= 300 && status < 400)) throw redirected();
  if (status === 204) return {};
  const answer = parse(text);
  if (ok && answer) return answer;
  const { Error: sentence, code, tries_left: triesLeft } = answer ?? {};
  // A proxy in between says so when the server behind it does not answer.
  if (status >= 502 && !code) throw new HushboxError('UNREACHABLE', { status });
  if (ok || typeof code !== 'string' || !CODE.test(code)) throw new HushboxError('UNTRUSTED', { status });
  const seconds = Number(response.headers.get('retry-after'));
  throw new HushboxError(code, {
    message: typeof sentence === 'string' ? sentence.slice(0, 300).replace(/\p{C}/gu, ' ') : '',
    status,
    ...(seconds > 0 && { retryAfterSeconds: seconds }),
    ...(typeof triesLeft === 'number' && { triesLeft }),
  });
}

function parse(text: string): Answer | undefined {
  try {
    const answer: unknown = JSON.parse(text);
    return typeof answer === 'object' && !Array.isArray(answer) ? ((answer ?? undefined) as Answer) : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Repeats a request that carries an `Idempotency-Key`, until an answer arrives.
 * @throws HushboxError CUT_OFF if it may have been carried out and no repeat was answered.
 */
export async function repeat(attempt: () => Promise<Answer>, signal?: AbortSignal): Promise<Answer> {
  const end = Date.now() + REPEAT_MS;
  let wasCutOff = false;
  for (let waitMs = 500; ; waitMs = Math.min(2 * waitMs, 8000)) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof HushboxError)) throw error;
      const { code, status = 500 } = error;
      wasCutOff ||= ['UNREACHABLE', 'STORAGE_UNAVAILABLE', 'INTERNAL'].includes(code);
      if (!wasCutOff || status < 500) throw error;
      if (Date.now() + waitMs > end) throw new HushboxError('CUT_OFF');
    }
    await sleep(waitMs, signal);
  }
}

function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener('abort', () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}
