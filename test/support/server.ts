import { randomBytes } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import type { ExecutionContext } from 'ava';
import { createApp } from '../../src/app.ts';
import { createGate } from '../../src/hashing/gate.ts';
import { createHashQueue } from '../../src/hashing/hash-queue.ts';
import { createHashThreads } from '../../src/hashing/threads.ts';
import { listen } from '../../src/http/listen.ts';
import { createHttpServer } from '../../src/http/server.ts';
import { createFailureLog } from '../../src/ops/failure-log.ts';
import { createLog } from '../../src/ops/log.ts';
import { createKeyRing } from '../../src/secrets/key-ring.ts';
import { createSecrets } from '../../src/secrets/secrets.ts';
import type { Storage } from '../../src/storage/open.ts';
import { expectNoLeaks, remember, rememberBody, rememberHeaders } from './leaks.ts';
import { createLocalSlots } from './slots.ts';
import type { Place } from './storage.ts';

export type TestClock = {
  now: number;
  advance(step: { seconds?: number; minutes?: number; hours?: number; days?: number }): void;
};

/** 2066-01-01 at noon, until moved: in the future, for MongoDB's TTL monitor knows only the real time. */
export function createTestClock(): TestClock {
  return {
    now: Date.UTC(2066, 0, 1, 12),
    advance({ seconds = 0, minutes = 0, hours = 0, days = 0 }) {
      this.now += (((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1000;
    },
  };
}

export type TestServerOptions = {
  place: Place;
  clock?: TestClock;
  masterKeys?: readonly [Buffer, ...Buffer[]];
  createToken?: string;
  publicUrl?: string;
  secretMaxBytes?: number;
  ttlMaxSeconds?: number;
  refusedUntil?: () => number;
};

export type TestServer = {
  base: string;
  port: number;
  clock: TestClock;
  storage: Storage;
  /** Everything logged so far, at level trace. */
  logged(): string;
  request(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Response>;
  /** POST; a body that is no string is sent as JSON. */
  post(path: string, body?: unknown, headers?: Record<string, string>): Promise<Response>;
  get(path: string, headers?: Record<string, string>): Promise<Response>;
  /** Creates and expects 201. */
  create(body: object): Promise<{ secret_key: string; receipt_key: string; expires_at: string }>;
};

/** The whole application on a free port: real HTTP, real engine, a clock of its own. */
export async function startServer(t: ExecutionContext, options: TestServerOptions): Promise<TestServer> {
  const {
    place,
    clock = createTestClock(),
    masterKeys = [randomBytes(32)],
    secretMaxBytes = 65_536,
    ttlMaxSeconds = 604_800,
  } = options;
  const lines: string[] = [];
  const log = createLog('trace', { write: (line: string) => void lines.push(line) });
  const storage = await place.open();
  const threads = createHashThreads();
  const gate = createGate(createHashQueue(createLocalSlots(2), threads.hashAll));
  const secrets = createSecrets({
    store: storage.secrets,
    ring: createKeyRing(masterKeys),
    gate,
    clock: () => clock.now,
    refusedUntil: options.refusedUntil ?? (() => 0),
  });
  const app = createApp({
    secrets,
    limits: { secretMaxBytes, ttlMaxSeconds },
    createToken: options.createToken,
    publicUrl: options.publicUrl,
    requestLog: {
      served: (request) => log.debug(request, 'request'),
      failed: createFailureLog(log),
      broken: (err) => log.debug({ err }, 'connection broken'),
    },
    ping: storage.ping,
    isDraining: () => false,
  });
  const server = createHttpServer(app.callback());
  await listen(server, { port: 0, host: '127.0.0.1' });
  t.teardown(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await threads.close();
    remember(options.createToken);
    expectNoLeaks(lines.join(''));
  });
  const { port } = server.address() as AddressInfo;
  const base = `http://127.0.0.1:${port}`;
  const request: TestServer['request'] = async (method, path, body, headers = {}) => {
    rememberHeaders(headers);
    rememberBody(body);
    const response = await fetch(base + path, {
      method,
      headers,
      ...(body !== undefined && {
        body:
          typeof body === 'string' || body instanceof Uint8Array
            ? (body as RequestInit['body'] & {})
            : JSON.stringify(body),
      }),
    });
    rememberBody(await response.clone().text());
    return response;
  };
  return {
    base,
    port,
    clock,
    storage,
    logged: () => lines.join(''),
    request,
    post: (path, body, headers) => request('POST', path, body, headers),
    get: (path, headers) => request('GET', path, undefined, headers),
    async create(body) {
      const response = await request('POST', '/generate', body);
      if (response.status !== 201) throw new Error(`${response.status} ${await response.text()}`);
      return (await response.json()) as Awaited<ReturnType<TestServer['create']>>;
    },
  };
}
