import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createApp, createInternalApp } from './app.ts';
import type { Config } from './config.ts';
import { createGate } from './hashing/gate.ts';
import { createHashQueue } from './hashing/hash-queue.ts';
import type { Slots } from './hashing/slots.ts';
import { createHashThreads } from './hashing/threads.ts';
import { type Address, type DrainOptions, listen } from './http/listen.ts';
import { createHttpServer } from './http/server.ts';
import { type Jobs, startJobs } from './jobs.ts';
import { loadMasterKeys, watchMasterKeys } from './master-keys.ts';
import { createFailureLog } from './ops/failure-log.ts';
import type { Log } from './ops/log.ts';
import { createKeyRing } from './secrets/key-ring.ts';
import { createSecrets } from './secrets/secrets.ts';
import { openStorage } from './storage/open.ts';

const PING_INTERVAL_MS = 500;
const GATE_CHECK_MS = 10;

export type WorkerParts = { config: Config; addresses: Addresses; slots: Slots; log: Log; onLost(error: Error): void };
export type Addresses = { public: Address; internal: Address };
/** What tells a worker from the others, and what it shares with them. */
export type Place = { number: number; internalFirstName: string };
export type RunningWorker = {
  /** Resolves as soon as the storage answers. */
  ready: Promise<void>;
  /** Answers what is there, then closes everything in reverse order. */
  stop(options: DrainOptions): Promise<void>;
};

/** Opens the storage, builds the parts, listens. */
export async function startWorker({ config, addresses, slots, log, onLost }: WorkerParts): Promise<RunningWorker> {
  let isDraining = false;
  const storage = await openStorage(config, onLost, (warning) => log.warn(warning));
  const masterKeys = loadMasterKeys(config); // not made for a storage that is none
  const threads = createHashThreads();
  const gate = createGate(createHashQueue(slots, threads.hashAll));
  const lookForKeys = watchMasterKeys(config, (err) => log.error({ err }, 'the changed master keys cannot be read'));
  const ring = createKeyRing(masterKeys, lookForKeys);
  const clock = Date.now;
  const health = { ping: storage.ping, isDraining: () => isDraining };
  const requestLog = {
    failed: createFailureLog(log),
    broken: (err: unknown) => log.debug({ err }, 'connection broken'),
  };
  const app = createApp({
    secrets: createSecrets({ store: storage.secrets, ring, gate, clock }),
    limits: { secretMaxBytes: config.SECRET_MAX_BYTES, ttlMaxSeconds: config.SECRET_TTL_MAX_SECONDS },
    createToken: config.CREATE_TOKEN,
    publicUrl: config.PUBLIC_URL,
    requestLog: { ...requestLog, served: (request) => log.debug(request, 'request') },
    ...health,
  });
  const internalApp = createInternalApp({
    token: config.INTERNAL_TOKEN,
    requestLog: { ...requestLog, served: (request) => log.debug(request, 'internal request') },
    ...health,
  });
  const internalListener = await listen(createHttpServer(internalApp.callback()), addresses.internal);
  const listener = await listen(createHttpServer(app.callback()), addresses.public);
  const ready = untilItAnswers(storage.ping, (err) => log.warn({ err }, 'storage does not answer yet'));
  let jobs: Jobs | undefined;
  void ready.then(() => {
    if (isDraining) return;
    jobs = startJobs({
      secrets: storage.secrets,
      clock,
      refreshKeys: ring.refresh,
      onError: (err) => log.warn({ err }, 'sweep failed, will be tried again'),
    });
  });
  return {
    ready,
    async stop(options) {
      isDraining = true;
      const stopped = jobs?.stop(); // its last step may take as long as a request
      await listener.drain(options);
      await internalListener.drain(options); // until now it tells how the end goes on
      await stopped;
      // What a client that left had asked for is under way all the same, and must not find its threads gone.
      while (gate.size > 0 && !options.cut.aborted) await sleep(GATE_CHECK_MS);
      await threads.close();
      await storage.close();
    },
  };
}

/** Where a worker listens. */
export function addressesOf(config: Config, { number, internalFirstName }: Place): Addresses {
  const { SOCKET_DIR, HTTP_PORT, HOST, INTERNAL_PORT, INTERNAL_HOST, DATA_DIR } = config;
  return {
    public: SOCKET_DIR ? { socketPath: join(SOCKET_DIR, `worker-${number}.sock`) } : { port: HTTP_PORT, host: HOST },
    internal: INTERNAL_PORT
      ? { port: INTERNAL_PORT, host: INTERNAL_HOST }
      : { socketPath: join(DATA_DIR, 'internal.sock'), firstName: internalFirstName },
  };
}

async function untilItAnswers(ping: () => Promise<void>, onFailure: (error: unknown) => void): Promise<void> {
  for (let isFirst = true; ; isFirst = false) {
    try {
      return await ping();
    } catch (error) {
      if (isFirst) onFailure(error);
    }
    await new Promise((resolve) => setTimeout(resolve, PING_INTERVAL_MS).unref());
  }
}
