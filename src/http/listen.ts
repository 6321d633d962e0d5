import { randomBytes } from 'node:crypto';
import { chmodSync, renameSync } from 'node:fs';
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeFolder } from '../files/make-folder.ts';

export type Address =
  | { port: number; host: string }
  | {
      socketPath: string;
      /** Set where all workers of a program share the socket: the name it has until the first of them listens. */
      firstName?: string;
    };

export type DrainOptions = {
  /** How long connections may still be taken while those from before are answered. */
  acceptMs: number;
  /** When it fires, whatever is not answered is cut. */
  cut: AbortSignal;
};

export type Listener = {
  /** Stops listening without cutting a request whose head has arrived. Resolves when no connection is left. */
  drain(options: DrainOptions): Promise<void>;
  /** Open connections. */
  readonly size: number;
};

/** Resolves when the server listens. @throws the listen error. */
export async function listen(server: Server, address: Address): Promise<Listener> {
  const connections = trackConnections(server);
  if (!('socketPath' in address)) await listenOn(server, address);
  else if (address.firstName) await listenOnSharedPath(server, address.socketPath, address.firstName);
  else await listenOnPath(server, address.socketPath);
  return {
    drain: (options) => drain(server, connections, options),
    get size() {
      return connections.open.size;
    },
  };
}

type Connections = { open: Map<Socket, TakenAt>; lastTakenAt: TakenAt };
type TakenAt = number;

function trackConnections(server: Server): Connections {
  const connections: Connections = { open: new Map(), lastTakenAt: 0 };
  server.on('connection', (socket) => {
    connections.lastTakenAt = performance.now();
    connections.open.set(socket, connections.lastTakenAt);
    socket.once('close', () => connections.open.delete(socket));
  });
  return connections;
}

/**
 * Binds under another name and renames: no EADDRINUSE after a crash, no moment without a socket, and a leaving
 * predecessor, which unlinks only the name it bound, cannot take ours away.
 */
async function listenOnPath(server: Server, path: string): Promise<void> {
  makeFolder(dirname(path));
  // Short, for the name of a socket has 107 bytes at most; and at random, for process ids come again.
  const temporary = join(dirname(path), `.${randomBytes(6).toString('hex')}`);
  await listenOn(server, { path: temporary, exclusive: true }); // else the cluster's primary would bind it for us
  chmodSync(temporary, 0o660);
  renameSync(temporary, path);
}

/**
 * The cluster's primary binds the socket for the first worker that asks, and gives the same one to all others: so it
 * goes on while one of them lives. Renamed as above: no EADDRINUSE, and of two programs on one folder the last has it.
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

/** What reached us before the order can still wait in the kernel's queue: it is empty when no more came for so long. */
const QUIET_MS = 100;
/** So long, idle connections stay: who uses one is answered and told to connect elsewhere. */
const GRACE_MS = 1_000;
const CHECK_MS = 25;

async function drain(server: Server, connections: Connections, { acceptMs, cut }: DrainOptions): Promise<void> {
  const startedAt = performance.now();
  const fromBefore = [...connections.open];
  // Whoever asks meanwhile, a load balancer for our health say, is answered instead of refused.
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
    // Not server.closeAllConnections(): it does not know those that the HTTP parser let go of.
    if (cut.aborted) for (const socket of connections.open.keys()) socket.destroy();
    else closeUnused(server, connections.open);
  }
}

/** Closes connections on which nothing was asked for a while, or nothing since the last answer. */
function closeUnused(server: Server, sockets: Iterable<[Socket, TakenAt]>): void {
  server.closeIdleConnections();
  const now = performance.now();
  for (const [socket, takenAt] of sockets) {
    // To Node these are not idle. A new one gets its time: on a busy machine the request comes well after the connection.
    if (socket.bytesRead === 0 && now - takenAt > GRACE_MS) socket.destroy();
  }
}
