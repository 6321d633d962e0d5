import { Agent, type IncomingHttpHeaders, request } from 'node:http';
import { PassThrough, type Readable } from 'node:stream';
import { rememberBody, rememberHeaders } from '../process/leaks.ts';

/** Where to send to: `http://…`, or `unix:` and the path of a socket. */
export type Target = string;
export type Answer = { status: number; headers: IncomingHttpHeaders; body: Record<string, unknown> };
export type SendOptions = {
  method?: string;
  headers?: Record<string, string>;
  agent?: Agent;
  timeoutMs?: number;
  /** The server asks for the body: it has read the head. */
  onContinue?: () => void;
};

/** A connection of its own for every request. */
export const oneShot = new Agent({ keepAlive: false });

/**
 * One request: a POST of JSON, when there is a body, else a GET. A stream is sent as it comes.
 * @throws what broke the connection; never retries.
 */
export function send(
  target: Target,
  path: string,
  body?: object | Readable,
  options: SendOptions = {},
): Promise<Answer> {
  const { method = body === undefined ? 'GET' : 'POST', headers = {}, agent = oneShot, timeoutMs = 30_000 } = options;
  const where = target.startsWith('unix:') ? { socketPath: target.slice('unix:'.length) } : addressOf(target);
  rememberHeaders(headers);
  rememberBody(body);
  return new Promise((resolve, reject) => {
    const outgoing = request({ ...where, path, method, headers, agent, timeout: timeoutMs }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('close', () => {
        if (!response.complete) return reject(new Error('the answer broke off'));
        const text = Buffer.concat(chunks).toString();
        const isJson = text !== '' && response.headers['content-type']?.startsWith('application/json'); // none to HEAD
        rememberBody(text);
        resolve({
          status: response.statusCode as number,
          headers: response.headers,
          body: isJson ? (JSON.parse(text) as Record<string, unknown>) : { text },
        });
      });
    });
    outgoing.on('error', reject);
    if (options.onContinue) outgoing.once('continue', options.onContinue);
    outgoing.on('timeout', () => outgoing.destroy(new Error(`no answer within ${timeoutMs} ms`)));
    if (body && 'pipe' in body) body.pipe(outgoing);
    else outgoing.end(body && JSON.stringify(body));
  });
}

/** Creates a secret. @returns its key. @throws when the answer is not 201. */
export async function createSecret(target: Target, body: object, options?: SendOptions): Promise<string> {
  const { status, body: answer } = await send(target, '/generate', body, options);
  if (status !== 201) throw new Error(`${status} ${JSON.stringify(answer)}`);
  return answer.secret_key as string;
}

export function readSecret(target: Target, key: string, body: object = {}, options?: SendOptions): Promise<Answer> {
  return send(target, `/secrets/${key}`, body, options);
}

function addressOf(target: string): { host: string; port: string } {
  const { hostname, port } = new URL(target);
  return { host: hostname.replace(/^\[|\]$/g, ''), port };
}

export type Upload = {
  write(text: string): void;
  /** Sends the rest. @throws what broke the connection. */
  finish(text: string): Promise<Answer>;
};

/** Begins a POST and leaves its body open. Resolves when the head has been read at the other end. */
export function openUpload(target: Target, path: string): Promise<Upload> {
  const body = new PassThrough();
  return new Promise((resolve, reject) => {
    const answer = send(target, path, body, {
      headers: { expect: '100-continue' },
      onContinue: () =>
        resolve({
          write: (text) => void body.write(text),
          finish: (text) => {
            body.end(text);
            return answer;
          },
        }),
    });
    answer.catch(reject);
  });
}
