import type { Server } from 'node:http';
import { Server as NetServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Connections, limitConnections } from './connection-limit.ts';
import { type Bound, bindSocket, listenOn, type SocketAddress } from './socket-file.ts';

export type Address = { port: number; host: string } | SocketAddress;

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
  /** What became of the path of its socket; undefined for a port. */
  readonly bound: Bound | undefined;
};

/**
 * Resolves when the server listens.
 * @param maxConnections see `limitConnections`.
 * @throws the listen error.
 */
export async function listen(server: Server, address: Address, maxConnections: number): Promise<Listener> {
  const connections = limitConnections(server, maxConnections);
  const bound = 'socketPath' in address ? await bindSocket(server, address) : await listenOn(server, address);
  return { connections, bound: bound ?? undefined, drain: (options) => drain(server, connections, options) };
}

/** Listens on a new socket in place of the one whose file is gone. Open connections stay. */
export function bindAgain(server: Server, address: SocketAddress): Promise<Bound> {
  if (server.listening) NetServer.prototype.close.call(server); // that of node:http closes idle connections too
  return bindSocket(server, address);
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
