import { once } from 'node:events';
import { createServer, connect as dial, type Socket } from 'node:net';
import type { ExecutionContext } from 'ava';
import { BSON } from 'mongodb';
import { findFreePort } from '../../support/process/free-port.ts';
import { WAITS } from '../../support/storage/storage.ts';

type Document = BSON.Document;
type Edit = (command: Document, answer: Document) => Document | undefined;

/** Stands between the driver and the server, and can do what networks and servers do. */
export type MongoProxy = {
  /** The server's URL, by way of the proxy, with the program's own waits. */
  url: string;
  /** Every command to the store so far: not the driver's own, which go to `admin`. And those on replica sets. */
  commands: readonly Document[];
  /** Connections break, new ones are refused. */
  cut(): Promise<void>;
  /** Nothing arrives any more, on either side. */
  stall(): void;
  /** Commands to the store arrive, the answers to these (default: all that change something) do not; the driver's own go on. */
  swallowAnswers(isLost?: (command: Document) => boolean): void;
  /** Answers to commands to the store arrive as `edit` returns them, or as they are where it returns nothing. */
  editAnswers(edit: Edit): void;
  /** As at the beginning; connections that missed something break. */
  heal(): Promise<void>;
};

/** Commands that change something. */
export const WRITES = ['insert', 'update', 'delete', 'findAndModify', 'createIndexes'];
const HEADER_BYTES = 16;
const OP_MSG = 2013;
/** Flags (4 bytes) and the kind of the first section (1 byte). */
const BODY_START = HEADER_BYTES + 5;

export async function startMongoProxy(t: ExecutionContext, serverUrl: string): Promise<MongoProxy> {
  const target = new URL(serverUrl);
  const sockets = new Set<Socket>();
  const commands: Document[] = [];
  let mode: 'passing' | 'stalled' | 'swallowing' = 'passing';
  let edit: Edit | undefined;
  let isSwallowed = isWrite;

  const listener = createServer((client) => {
    const server = dial(Number(target.port), target.hostname);
    const asked = new Map<number, Document>();
    for (const socket of [client, server]) {
      sockets.add(socket);
      socket.on('error', () => {}); // 'close' follows
      socket.on('close', () => {
        sockets.delete(socket);
        client.destroy();
        server.destroy();
      });
    }
    onMessages(client, (message) => {
      if (mode === 'stalled') return;
      const command = bodyOf(message);
      if (command && (command.$db !== 'admin' || /^replSet/.test(Object.keys(command)[0] ?? ''))) {
        commands.push(command);
        asked.set(message.readInt32LE(4), command);
      }
      server.write(message);
    });
    onMessages(server, (message) => {
      const command = asked.get(message.readInt32LE(8));
      if (mode === 'stalled' || (mode === 'swallowing' && command && isSwallowed(command))) return;
      const answer = command && bodyOf(message);
      const edited = answer && edit?.(command, answer);
      client.write(edited ? withBody(message, edited) : message);
    });
  });

  const port = await findFreePort(); // nobody takes it while connections are refused
  const listen = (): Promise<unknown> => once(listener.listen(port, '127.0.0.1'), 'listening');
  const breakConnections = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  const cut = async (): Promise<void> => {
    const closed = new Promise((resolve) => listener.close(resolve));
    breakConnections();
    await closed;
  };

  await listen();
  t.teardown(async () => {
    if (listener.listening) await cut();
  });
  const url = new URL(serverUrl);
  url.hostname = '127.0.0.1';
  url.port = String(port);
  for (const name of WAITS) url.searchParams.delete(name);
  return {
    url: url.href,
    commands,
    cut,
    stall() {
      mode = 'stalled';
    },
    swallowAnswers(isLost = isWrite) {
      mode = 'swallowing';
      isSwallowed = isLost;
    },
    editAnswers(by) {
      edit = by;
    },
    async heal() {
      if (mode !== 'passing') breakConnections();
      mode = 'passing';
      edit = undefined;
      if (!listener.listening) await listen();
    },
  };
}

/** Whether a command changes something. */
export function isWrite(command: Document): boolean {
  return WRITES.some((name) => name in command);
}

function onMessages(socket: Socket, take: (message: Buffer) => void): void {
  let rest = Buffer.alloc(0);
  socket.on('data', (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= HEADER_BYTES && rest.length >= rest.readInt32LE(0)) {
      const length = rest.readInt32LE(0);
      take(rest.subarray(0, length));
      rest = rest.subarray(length);
    }
  });
}

function bodyOf(message: Buffer): Document | undefined {
  if (message.readInt32LE(12) !== OP_MSG) return undefined; // a handshake in the older form
  const length = message.readInt32LE(BODY_START);
  return BSON.deserialize(message.subarray(BODY_START, BODY_START + length));
}

function withBody(message: Buffer, body: Document): Buffer {
  const edited = Buffer.concat([message.subarray(0, BODY_START), BSON.serialize(body)]);
  edited.writeInt32LE(edited.length, 0);
  edited.writeUInt32LE(0, HEADER_BYTES); // no checksum follows, and no further answer
  return edited;
}
