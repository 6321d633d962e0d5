import type { ClientRequest, IncomingMessage } from 'node:http';
import type { Progress } from '../wire.ts';

/** Of a request's body, sent and counted at once. */
const STEP_BYTES = 256 << 10;

type Init = {
  method: string;
  headers: Record<string, string>;
  body: Blob | null;
  signal: AbortSignal;
};

/**
 * What the library needs of `fetch`, on Node's own HTTP: it loads in a third of the time, and shows how much of a body
 * is sent. It follows no redirect and keeps no cookie.
 */
export function createFetch(onUpload?: Progress): typeof fetch {
  return (async (url: string, { method, headers, body, signal }: Init) => {
    // An `import` would load all that the module names, WebSocket and with it the whole of `fetch` included.
    // The first releases of Node 22 have nothing else.
    const name = url.startsWith('https:') ? 'node:https' : 'node:http';
    const { getBuiltinModule } = process as Partial<typeof process>;
    const { request } = (getBuiltinModule?.(name) ?? (await import(name))) as typeof import('node:http');
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const length = body ? { 'content-type': body.type, 'content-length': body.size } : {};
      const outgoing = request(url, { method, headers: { ...headers, ...length }, signal });
      outgoing.on('response', resolve);
      // After an answer nothing comes of it. What reads the answer notices when that breaks off.
      outgoing.on('error', (cause) => reject(signal.aborted ? cause : new Error('the request failed', { cause })));
      // Without an answer and without an error: the server wants to speak another protocol.
      outgoing.on('close', () => reject(new Error('the connection was closed')));
      if (body) sendBody(outgoing, body, onUpload).catch(reject);
      else outgoing.end();
    });
    return responseOf(response);
  }) as unknown as typeof fetch;
}

async function sendBody(outgoing: ClientRequest, body: Blob, onUpload?: Progress): Promise<void> {
  for (let at = 0; at < body.size; at += STEP_BYTES) {
    onUpload?.(at / body.size);
    const piece = new Uint8Array(await body.slice(at, at + STEP_BYTES).arrayBuffer());
    await new Promise<void>((resolve, reject) => {
      outgoing.write(piece, (error) => (error ? reject(error) : resolve()));
    });
    piece.buffer.transfer(0); // gives the memory back at once: a second body would be there before it is collected
  }
  outgoing.end();
}

function responseOf(response: IncomingMessage) {
  const status = response.statusCode ?? 0;
  const chunks = response[Symbol.asyncIterator]();
  return {
    ok: status >= 200 && status < 300,
    status,
    headers: { get: (name: string) => response.headers[name] ?? null },
    body: { getReader: () => ({ read: () => chunks.next() }) },
  };
}
