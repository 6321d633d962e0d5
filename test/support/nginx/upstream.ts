import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';

/** A server of the test in the place of a worker: `worker-N.sock` in the folder. */
export async function startUpstream(
  t: ExecutionContext,
  sockets: string,
  number: number,
  listener: RequestListener,
): Promise<Server> {
  mkdirSync(sockets, { recursive: true });
  const server = createServer({ requireHostHeader: false }, listener).listen(join(sockets, `worker-${number}.sock`));
  await once(server, 'listening');
  t.teardown(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return server;
}

/** Answers with the request that it got. */
export const echo: RequestListener = (request, response) => {
  let body = '';
  request.setEncoding('latin1').on('data', (text) => {
    body += text;
  });
  request.on('end', () => {
    const { method, url, headers, rawHeaders } = request;
    response.setHeader('content-type', 'application/json');
    response.end(
      JSON.stringify({ method, url, headers, names: rawHeaders.filter((_, index) => index % 2 === 0), body }),
    );
  });
};
