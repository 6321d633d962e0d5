import { randomBytes } from 'node:crypto';
import { chmodSync, renameSync } from 'node:fs';
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeFolder } from '../files/make-folder.ts';
import { type Connections, limitConnections } from './connection-limit.ts';

export type Address =
  | { port: number; host: string }
  | {
      socketPath: string;
      /** Set if all workers of a program share the socket: its name until the first of them listens. */
      firstName?: string;
    };

export type DrainOptions = {
  /** How long new connections are accepted while earlier ones are answered. */
  acceptMs: number;
  /** When it fires, requests that are not answered yet are cut. */
  cut: AbortSignal;
};

export type Listener = {
  /** Stops listening without cutting a request whose head has arrived. Resolves when no connection is left. */
  drain(options: DrainOptions): Promise<void>;
  readonly connections: Connections;
};

/**
 * Resolves when the server listens.
 * @param maxConnections see `limitConnections`.
 * @throws the listen error.
 */
export async function listen(server: Server, address: Address, maxConnections: number): Promise<Listener> {
  const connections = limitConnections(server, maxConnections);
  if (!('socketPath' in address)) await listenOn(server, address);
  else if (address.firstName) await listenOnSharedPath(server, address.socketPath, address.firstName);
  else await listenOnPath(server, address.socketPath);
  return { connections, drain: (options) => drain(server, connections, options) };
}

/**
 * Binds under another name and renames: no EADDRINUSE after a crash, no moment without a socket, and a leaving
 * predecessor, which unlinks only the name it bound, cannot take ours away.
 */
async function listenOnPath(server: Server, path: string): Promise<void> {
  makeFolder(dirname(path));
  // Short, because a socket's path has at most 107 bytes; random, because process ids are used again.
  const temporary = join(dirname(path), `.${randomBytes(6).toString('hex')}`);
  await listenOn(server, { path: temporary, exclusive: true }); // otherwise the cluster's primary would bind it for us
  chmodSync(temporary, 0o660);
  renameSync(temporary, path);
}

/**
 * The cluster's primary binds the socket for the first worker that asks, and hands the same one to all others, so it works
 * as long as one of them lives. Renamed as above: no EADDRINUSE, and of two programs on one folder the last one has it.
 */
async function listenOnSharedPath(server: Server, path: string, firstName: string): Promise<void> {
  const temporary = join(dirname(path), firstName);
  await listenOn(server, { path: temporary });
  try {
    chmodSync(temporary, 0o600);
    renameSync(temporary, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error; // another worker was first
  }
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

/** Connections from before the order may still wait in the kernel's queue. After this time without a new one it is empty. */
const QUIET_MS = 100;
/** How long idle connections stay open while draining. A client that uses one is answered with `Connection: close`. */
const GRACE_MS = 1_000;
const CHECK_MS = 25;

async function drain(server: Server, connections: Connections, { acceptMs, cut }: DrainOptions): Promise<void> {
  const startedAt = performance.now();
  const fromBefore = [...connections.open];
  // Requests that arrive meanwhile, such as a load balancer's health check, are answered instead of refused.
  for (;;) {
    await sleep(CHECK_MS);
    const now = performance.now();
    const isGraceOver = now - startedAt > GRACE_MS;
    const isQuiet = now - Math.max(startedAt, connections.lastTakenAt) > QUIET_MS;
    if (cut.aborted || now - startedAt > acceptMs) break;
    if ((isGraceOver || isQuiet) && fromBefore.every(([{ destroyed }]) => destroyed)) break;
    if (isGraceOver) closeUnused(server, fromBefore);
  }
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  const isClosed = closed.then(() => true);
  while (!(await Promise.race([isClosed, sleep(CHECK_MS, false)]))) {
    // Not server.closeAllConnections(): it does not know connections that the HTTP parser has let go of.
    if (cut.aborted) for (const socket of connections.open.keys()) socket.destroy();
    else closeUnused(server, connections.open);
  }
}

/** Closes connections without a request in progress. */
function closeUnused(server: Server, sockets: Iterable<[Socket, takenAt: number]>): void {
  server.closeIdleConnections();
  const now = performance.now();
  for (const [socket, takenAt] of sockets) {
    // Node does not count these as idle. A new one gets time: on a busy machine its request arrives well after it.
    if (socket.bytesRead === 0 && now - takenAt > GRACE_MS) socket.destroy();
  }
}
