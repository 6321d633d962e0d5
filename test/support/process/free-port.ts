import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { threadId } from 'node:worker_threads';

/** Below 20000, where the program chooses its port, and below 32768, where Linux takes those of outgoing connections. */
const FROM = 10_000;
const RANGES = 100;
/** In a range. Each test file has its own range, so that no other one gets a port before its server. */
const PORTS = 100;

let range: Promise<number> | undefined;
let given = 0;

/** @returns the first of `count` ports in a row that no process listens on. */
export async function findFreePort(count = 1): Promise<number> {
  range ??= claimRange();
  const from = await range;
  for (let tries = 0; tries < PORTS; tries++) {
    if (given + count > PORTS) given = 0;
    given ||= 1; // the first one shows whose range it is
    const first = from + given;
    given += count;
    const ports = Array.from({ length: count }, (_, n) => first + n);
    if ((await Promise.all(ports.map(isFree))).every(Boolean)) return first;
  }
  throw new Error('no port is free');
}

/** Listens on the first port of a range for as long as this file runs. However that ends, the port is free again. */
async function claimRange(): Promise<number> {
  for (let tries = 0; tries < RANGES; tries++) {
    const from = FROM + ((process.pid + threadId + tries) % RANGES) * PORTS;
    const server = await listen(from);
    server?.unref();
    if (server) return from;
  }
  throw new Error('every range of ports is taken');
}

async function isFree(port: number): Promise<boolean> {
  const server = await listen(port);
  if (!server) return false;
  server.close();
  await once(server, 'close');
  return true;
}

async function listen(port: number): Promise<Server | undefined> {
  const server = createServer().listen(port, '127.0.0.1');
  try {
    await once(server, 'listening');
    return server;
  } catch {
    return undefined;
  }
}
