import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createApp } from './app.ts';
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

export type WorkerParts = { config: Config; address: Address; slots: Slots; log: Log; onLost(error: Error): void };
export type RunningWorker = {
  /** Resolves as soon as the storage answers. */
  ready: Promise<void>;
  /** Answers what is there, then closes everything in reverse order. */
  stop(options: DrainOptions): Promise<void>;
};

/** Opens the storage, builds the parts, listens. */
export async function startWorker({ config, address, slots, log, onLost }: WorkerParts): Promise<RunningWorker> {
  let isDraining = false;
  const storage = await openStorage(config, onLost, (warning) => log.warn(warning));
  const masterKeys = loadMasterKeys(config); // not made for a storage that is none
  const threads = createHashThreads();
  const gate = createGate(createHashQueue(slots, threads.hashAll));
  const lookForKeys = watchMasterKeys(config, (err) => log.error({ err }, 'the changed master keys cannot be read'));
  const ring = createKeyRing(masterKeys, lookForKeys);
  const clock = Date.now;
  const app = createApp({
    secrets: createSecrets({ store: storage.secrets, ring, gate, clock }),
    limits: { secretMaxBytes: config.SECRET_MAX_BYTES, ttlMaxSeconds: config.SECRET_TTL_MAX_SECONDS },
    createToken: config.CREATE_TOKEN,
    publicUrl: config.PUBLIC_URL,
    requestLog: {
      served: (request) => log.debug(request, 'request'),
      failed: createFailureLog(log),
      broken: (err) => log.debug({ err }, 'connection broken'),
    },
    ping: storage.ping,
    isDraining: () => isDraining,
  });
  const server = createHttpServer(app.callback());
  const listener = await listen(server, address);
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
      await stopped;
      // What a client that left had asked for is under way all the same, and must not find its threads gone.
      while (gate.size > 0 && !options.cut.aborted) await sleep(GATE_CHECK_MS);
      await threads.close();
      await storage.close();
    },
  };
}

/** Where worker N listens. */
export function addressOf(config: Config, workerNumber: number): Address {
  const { SOCKET_DIR, HTTP_PORT, HOST } = config;
  return SOCKET_DIR ? { socketPath: join(SOCKET_DIR, `worker-${workerNumber}.sock`) } : { port: HTTP_PORT, host: HOST };
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
