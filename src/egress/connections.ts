import type { Socket } from 'node:net';
import { Client } from 'undici';
import { type Connect, dial, peerOf, type Target } from './dial.ts';

/** Connections kept open without a request; the one that has been idle longest is closed first. */
const MAX_IDLE = 256;
/** If the other side does not say how long it waits: less than servers usually do (5 s, as Node). */
const IDLE_MS = 4_000;
const MAX_IDLE_MS = 30_000;
/** Taken off the time that the other side says. */
const IDLE_MARGIN_MS = 1_000;
const MAX_HEADER_BYTES = 16_384;

/** For one request at a time. */
export type Connection = {
  client: Client;
  key: string;
  target: Target;
  /** The address it is connected to; empty while it is not. */
  peer: string;
  /** Set while it is being dialled. */
  giveUp: ((error: Error) => void) | undefined;
};

export type Connections = {
  /**
   * An idle connection to an address that may still be dialled, or a new one that dials when it has a request.
   * @param key connections with the same key may serve each other's requests.
   * @param isFresh asks for a new one.
   */
  take(key: string, target: Target, isFresh: boolean): Connection;
  /** To be called when its request is over. */
  put(connection: Connection, isReusable: boolean): void;
  close(): Promise<void>;
};

/**
 * Connections that are kept for later requests. Each is an undici client of its own, so that no request waits behind
 * another, and none is sent twice.
 */
export function createConnections(connect: Connect): Connections {
  const resting = new Map<string, Connection[]>();
  const inOrder = new Set<Connection>();

  function open(key: string, target: Target): Connection {
    const client = new Client(target.destination.origin, {
      connect(_options, done) {
        connection.giveUp = dial(connection.target, connect, (error, socket) => {
          connection.giveUp = undefined;
          if (!socket) return done(error as Error, null);
          connection.peer = peerOf(socket as Socket);
          done(null, socket);
        });
      },
      allowH2: false,
      pipelining: 1,
      keepAliveTimeout: IDLE_MS,
      keepAliveMaxTimeout: MAX_IDLE_MS,
      keepAliveTimeoutThreshold: IDLE_MARGIN_MS,
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: 0, // src/egress/deadlines.ts has them
      bodyTimeout: 0,
    });
    const connection: Connection = { client, key, target, peer: '', giveUp: undefined };
    client.on('disconnect', () => {
      connection.peer = '';
      if (inOrder.has(connection)) drop(connection);
    });
    return connection;
  }

  function forget(connection: Connection): void {
    inOrder.delete(connection);
    const others = resting.get(connection.key)?.filter((other) => other !== connection) ?? [];
    if (others.length > 0) resting.set(connection.key, others);
    else resting.delete(connection.key);
  }

  function drop(connection: Connection): void {
    forget(connection);
    void connection.client.destroy();
  }

  return {
    take(key, target, isFresh) {
      const rested = isFresh ? undefined : resting.get(key)?.findLast(({ peer }) => target.addresses.includes(peer));
      if (!rested) return open(key, target);
      forget(rested);
      rested.target = target;
      return rested;
    },
    put(connection, isReusable) {
      if (!isReusable || connection.peer === '') return drop(connection);
      const others = resting.get(connection.key);
      if (others) others.push(connection);
      else resting.set(connection.key, [connection]);
      inOrder.add(connection);
      const [oldest] = inOrder.size > MAX_IDLE ? inOrder : [];
      if (oldest) drop(oldest);
    },
    async close() {
      await Promise.all([...inOrder].map(({ client }) => client.destroy()));
    },
  };
}
