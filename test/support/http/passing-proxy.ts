import {
  createServer as createPlainServer,
  type IncomingHttpHeaders,
  type Server,
  request as sendRequest,
} from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { ExecutionContext } from 'ava';

export type PassingProxyOptions = {
  /** Where requests go. */
  port: number;
  /** A path that the service has behind this proxy alone. */
  prefix?: string;
  /** Where it listens; default: on a free port. */
  listenPort?: number;
  tls?: { key: string; cert: string };
  changeHeaders?: (headers: IncomingHttpHeaders) => IncomingHttpHeaders;
};

/** A proxy of somebody else before the service. It ends with the test. @returns its port. */
export async function startPassingProxy(t: ExecutionContext, options: PassingProxyOptions): Promise<number> {
  const { port, prefix = '', tls, listenPort = 0, changeHeaders = (headers) => headers } = options;
  const proxy: Server = tls ? createTlsServer(tls) : createPlainServer();
  proxy.on('request', (incoming, outgoing) => {
    const { method, url = '/' } = incoming;
    const path = url.startsWith(`${prefix}/`) ? url.slice(prefix.length) : url;
    const forwarded = sendRequest({ port, path, method, headers: changeHeaders(incoming.headers) }, (answer) => {
      outgoing.writeHead(answer.statusCode as number, answer.headers);
      answer.pipe(outgoing);
    });
    forwarded.on('error', () => outgoing.destroy());
    incoming.pipe(forwarded);
  });
  await new Promise<void>((resolve) => proxy.listen(listenPort, '127.0.0.1', resolve));
  t.teardown(() => proxy.close().closeAllConnections());
  return (proxy.address() as AddressInfo).port;
}
