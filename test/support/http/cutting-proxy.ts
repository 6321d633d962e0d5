import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import type { ExecutionContext } from 'ava';

export type CuttingProxyOptions = {
  /** Where connections go. */
  port: number;
  /** How many answers to POST requests are cut. */
  cuts: number;
  /** How much of such an answer arrives. */
  afterBytes: number;
};

/** Passes connections on, and resets the first of them in the middle of the answer to a POST. Ends with the test. */
export async function startCuttingProxy(
  t: ExecutionContext,
  { port, cuts, afterBytes }: CuttingProxyOptions,
): Promise<{ base: string; cut(): number }> {
  let cut = 0;
  const sockets = new Set<Socket>();
  const proxy = createServer((client) => {
    const server = connect(port, '127.0.0.1');
    let left = Number.POSITIVE_INFINITY;
    for (const socket of [client, server]) {
      sockets.add(socket);
      socket.on('error', () => {}).on('close', () => [client, server].map((one) => one.destroy()));
    }
    client.on('data', (chunk) => {
      const isPost = /^POST /m.test(chunk.toString('latin1'));
      if (isPost) left = cut < cuts ? afterBytes : Number.POSITIVE_INFINITY;
      server.write(chunk);
    });
    server.on('data', (chunk) => {
      if (chunk.length <= left) {
        left -= chunk.length;
        client.write(chunk);
        return;
      }
      cut += 1;
      client.write(chunk.subarray(0, left), () => client.resetAndDestroy());
    });
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    proxy.close();
    for (const socket of sockets) socket.destroy();
  });
  return { base: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`, cut: () => cut };
}
