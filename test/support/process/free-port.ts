import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';

/** Below 32768, where Linux takes ports for outgoing connections: one of those could get the port before its server. */
const [FROM, TO] = [20_000, 27_000];

/** @returns the first of `count` ports in a row that no process listens on; another one could, until they are used. */
export async function findFreePort(count = 1): Promise<number> {
  for (;;) {
    const first = randomInt(FROM, TO);
    const ports = Array.from({ length: count }, (_, n) => first + n);
    if ((await Promise.all(ports.map(isFree))).every(Boolean)) return first;
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen(port, '127.0.0.1');
  try {
    await once(server, 'listening');
  } catch {
    return false;
  }
  server.close();
  await once(server, 'close');
  return true;
}
