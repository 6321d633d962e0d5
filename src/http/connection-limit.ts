import type { IncomingMessage, Server } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Answer } from './answer.ts';

/** The open connections of one listener. There are never more than its limit. */
export type Connections = {
  /** Each with the time when it was accepted, oldest first. */
  readonly open: ReadonlyMap<Socket, number>;
  readonly lastTakenAt: number;
  readonly max: number;
  /** Connections that were closed because a newer one needed the place. */
  readonly closedForPlace: number;
};

/** Above this share of the limit, answers close their connection, so that no client sends on one that is being closed. */
const CROWDED = 7 / 8;

/**
 * No connection is closed sooner than this for a newer one, on average: its request may be on its way. Node cannot stop
 * accepting, so the process sleeps instead, and new connections wait in the kernel.
 */
const MIN_IDLE_MS = 200;
const sleeper = new Int32Array(new SharedArrayBuffer(4));

const crowdOf = new WeakMap<Duplex, Connections>();

/** Whether the listener of this connection has few places left. */
export function isCrowded(socket: Duplex): boolean {
  const crowd = crowdOf.get(socket);
  return crowd !== undefined && crowd.open.size > crowd.max * CROWDED;
}

/**
 * Tracks the connections of a server. One above the limit takes the place of the connection that has been idle longest:
 * without a request, or with only a part of a head. If none is idle, it is closed itself. So a flood of idle connections
 * takes neither descriptors nor memory without limit, and no request that has begun is cut.
 */
export function limitConnections(server: Server, max: number): Connections {
  const open = new Map<Socket, number>();
  /** Without a request in progress, each with the time since then, longest first. */
  const idle = new Map<Socket, number>();
  /** How many requests are in progress: clients may send several without waiting for the answers. */
  const inProgress = new Map<Socket, number>();
  const connections = { open, lastTakenAt: 0, max, closedForPlace: 0 };

  const watcher = { finish };

  function begin({ socket }: IncomingMessage, response: Answer): void {
    idle.delete(socket);
    inProgress.set(socket, (inProgress.get(socket) ?? 0) + 1);
    response.watcher = watcher;
  }

  /** A request ends with its answer, or with its body if that takes longer. */
  function finish(request: IncomingMessage): void {
    const { socket } = request;
    if (!request.complete && !socket.destroyed) {
      request.once('end', () => finish(request));
      return;
    }
    const left = (inProgress.get(socket) ?? 0) - 1;
    if (left > 0) inProgress.set(socket, left);
    else {
      inProgress.delete(socket);
      if (open.has(socket)) idle.set(socket, performance.now());
    }
  }

  server.on('connection', (socket: Socket) => {
    connections.lastTakenAt = performance.now();
    open.set(socket, connections.lastTakenAt);
    idle.set(socket, connections.lastTakenAt);
    crowdOf.set(socket, connections);
    socket.once('close', () => forget(socket));
    if (open.size <= max) return;
    const [longest, since] = idle.entries().next().value ?? [socket, 0]; // never empty: this one is in it
    if (connections.lastTakenAt - since < MIN_IDLE_MS) Atomics.wait(sleeper, 0, 0, MIN_IDLE_MS / max);
    connections.closedForPlace += 1;
    longest.destroy();
    forget(longest); // its descriptor is free now, its event comes later
  });
  // Before the listener that may answer at once.
  for (const event of ['request', 'checkContinue', 'checkExpectation']) server.prependListener(event, begin);

  function forget(socket: Socket): void {
    open.delete(socket);
    idle.delete(socket);
    inProgress.delete(socket);
  }
  return connections;
}
