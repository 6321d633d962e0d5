import { once } from 'node:events';
import { createServer } from 'node:net';
import { threadId } from 'node:worker_threads';

/** Each test file has its own, so that no other one gets a port before its server. */
const PORTS = 100;
/** Below 20000, where the program chooses its port, and below 32768, where Linux takes those of outgoing connections. */
const FROM = 10_000 + ((process.pid + threadId) % 100) * PORTS;
let given = 0;

/** @returns the first of `count` ports in a row that no process listens on. */
export async function findFreePort(count = 1): Promise<number> {
  for (;;) {
    if (given + count > PORTS) given = 0;
    const first = FROM + given;
    given += count;
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
