import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ExecutionContext } from 'ava';

export type Received = { method: string; path: string; headers: IncomingHttpHeaders; body: string };
/** A function writes to the response itself, or breaks it off. */
export type Reply =
  | { status?: number; headers?: Record<string, string>; body?: unknown }
  | ((to: ServerResponse) => void);

/**
 * A server that answers whatever the test wants, lies included.
 * @param reply is given the request and its number, from 1.
 */
export async function startScriptedServer(
  t: ExecutionContext,
  reply: (request: Received, count: number) => Reply | Promise<Reply>,
): Promise<{ base: string; received: Received[] }> {
  const received: Received[] = [];
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const { method = '', url: path = '', headers } = request;
    const one = { method, path, headers, body: Buffer.concat(chunks).toString() };
    received.push(one);
    const answer = await reply(one, received.length);
    if (typeof answer === 'function') return answer(response);
    const { status = 200, body = {}, headers: more = {} } = answer;
    response.writeHead(status, { 'content-type': 'application/json', ...more });
    response.end(typeof body === 'string' ? body : JSON.stringify(body));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return { base: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, received };
}

/** Breaks the answer off after half of it. */
export function breakOff(body: string): Reply {
  return (to) => {
    to.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) });
    to.write(body.slice(0, body.length / 2), () => to.destroy());
  };
}
