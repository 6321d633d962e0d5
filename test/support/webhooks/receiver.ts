import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import type { ExecutionContext } from 'ava';
import { findFreePort } from '../process/free-port.ts';
import { rememberCall } from '../process/leaks.ts';

export type Call = { path: string | undefined; headers: IncomingHttpHeaders; body: string };
export type Receiver = { url: string; calls: Call[]; answer: { status: number; headers?: Record<string, string> } };

/** A real receiver on loopback. It keeps its calls and gives each the current answer. */
export async function startReceiver(t: ExecutionContext): Promise<Receiver> {
  const receiver: Receiver = { url: '', calls: [], answer: { status: 204 } };
  const server = createServer(async (request, response) => {
    const { url: path, headers } = request;
    rememberCall(headers);
    receiver.calls.push({ path, headers, body: await text(request) });
    response.writeHead(receiver.answer.status, receiver.answer.headers).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  receiver.url = urlAt((server.address() as AddressInfo).port);
  return receiver;
}

/** The URL of a receiver that is gone: nothing else listens there meanwhile. */
export async function findGoneReceiver(): Promise<string> {
  return urlAt(await findFreePort());
}

function urlAt(port: number): string {
  return `http://127.0.0.1:${port}/hook?a=1`;
}
