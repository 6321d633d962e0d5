import {
  Agent,
  createServer as createHttp,
  request as httpRequest,
  type IncomingMessage,
  type RequestListener,
} from 'node:http';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import type { ExecutionContext } from 'ava';
import { startServer, type TestServer, type TestServerOptions } from '../support/http/server.ts';
import { SQLITE } from '../support/storage/storage.ts';

export const KEY_BYTES = Buffer.alloc(64, 0x6b);

export type Answer = { status: number; raw: string[]; headers: IncomingMessage['headers']; body: Buffer };
type Options = { method?: string; path?: string; headers?: Record<string, string | string[]>; body?: string | Buffer };

/** One request as it is; fetch would join headers and follow redirects. @throws what broke the answer. */
export function call({ port }: TestServer, options: Options = {}): Promise<Answer> {
  const { method = 'POST', path = '/proxy/', headers = {}, body = '' } = options;
  return new Promise((resolve, reject) => {
    const outgoing = httpRequest({ port, method, path, headers, agent: new Agent() }, async (response) => {
      const chunks: Buffer[] = [];
      try {
        for await (const chunk of response) chunks.push(chunk);
      } catch (error) {
        reject(error);
      }
      const { statusCode: status = 0, rawHeaders: raw } = response;
      resolve({ status, raw, headers: response.headers, body: Buffer.concat(chunks) });
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

export function codeOf({ body }: Answer): string {
  return (JSON.parse(body.toString()) as { code: string }).code;
}

/** A request on the wire, with whatever follows its head. */
export const head = (destination: string, ...lines: string[]): string =>
  ['POST /proxy/ HTTP/1.1', 'Host: localhost', `Destination: ${destination}`, ...lines, '', ''].join('\r\n');

/** The whole service, with the real time at its start and a proxy that may call loopback. */
export async function startProxy(
  t: ExecutionContext,
  { env, ...others }: Partial<TestServerOptions> = {},
): Promise<TestServer> {
  return startServer(t, {
    place: await SQLITE.place(t),
    clock: { now: Date.now(), advance: () => {} },
    env: { EGRESS_ALLOW: '127.0.0.1', JWT_HEX_SECRET: KEY_BYTES.toString('hex'), ...env },
    ...others,
  });
}

export type Upstream = { url: string; port: number; sockets: ReadonlySet<Socket> };

/** A destination that speaks HTTP. */
export async function httpUpstream(t: ExecutionContext, listener: RequestListener): Promise<Upstream> {
  return open(t, createHttp({ keepAliveTimeout: 60_000 }, listener));
}

/** A destination that says what it likes. `onHead` is called when the head of a request has arrived, with what followed. */
export async function rawUpstream(
  t: ExecutionContext,
  onHead: (socket: Socket, head: string, rest: Buffer) => void,
): Promise<Upstream> {
  return open(
    t,
    createServer({ noDelay: true }, (socket) => {
      let received = Buffer.alloc(0);
      let isOver = false;
      socket.on('error', () => {});
      socket.on('data', (chunk) => {
        if (isOver) return;
        received = Buffer.concat([received, chunk]);
        const end = received.indexOf('\r\n\r\n');
        if (end < 0) return;
        isOver = true;
        onHead(socket, received.subarray(0, end).toString('latin1'), received.subarray(end + 4));
      });
    }),
  );
}

async function open(t: ExecutionContext, server: ReturnType<typeof createServer>): Promise<Upstream> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}/`, port, sockets };
}
