import { chmodSync, mkdirSync, renameSync } from 'node:fs';
import type { Server as HttpServer } from 'node:http';
import { Server as NetServer, type Server } from 'node:net';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export type Address = { port: number; host: string } | { socketPath: string };

/** Resolves when the server listens. @throws the listen error. */
export async function listen(server: Server, address: Address): Promise<void> {
  if (!('socketPath' in address)) return listenOn(server, address);
  const { socketPath } = address;
  mkdirSync(dirname(socketPath), { recursive: true });
  // Bound under another name, then renamed: no EADDRINUSE after a crash, no moment without a socket, and a leaving
  // predecessor, which unlinks only the name it bound, cannot take ours away. Exclusive: else the cluster's primary
  // would accept for us.
  const temporary = `${socketPath}.${process.pid}`;
  await listenOn(server, { path: temporary, exclusive: true });
  chmodSync(temporary, 0o660);
  renameSync(temporary, socketPath);
}

function listenOn(server: Server, options: object): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(options, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

/** While clients learn that they must go elsewhere, requests on open connections are still answered. */
const GRACE_MS = 1_000;
const IDLE_CHECK_MS = 25;

/**
 * Ends a server without cutting a request whose head has arrived. For one second every answer says
 * `Connection: close` (the caller sees to that), then what is idle is closed, and what is busy waited for.
 * @param deadlineMs when whatever is left is cut.
 */
export async function drain(server: HttpServer, deadlineMs: number): Promise<void> {
  const deadline = performance.now() + deadlineMs;
  const graceEnd = performance.now() + GRACE_MS;
  while (performance.now() < graceEnd && (await countConnections(server)) > 0) await sleep(IDLE_CHECK_MS);
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  const isClosed = closed.then(() => true);
  while (!(await Promise.race([isClosed, sleep(IDLE_CHECK_MS, false)]))) {
    server.closeIdleConnections();
    if (performance.now() > deadline) server.closeAllConnections();
  }
}

function countConnections(server: HttpServer): Promise<number> {
  return new Promise((resolve, reject) => {
    NetServer.prototype.getConnections.call(server, (error, count) => (error ? reject(error) : resolve(count)));
  });
}
