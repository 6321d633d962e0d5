import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type AppParts, createApp, createInternalApp } from '../../app.ts';
import type { Config } from '../../config/config.ts';
import { createFence, type Fence, type FenceReport } from '../../fence/fence.ts';
import { type Heartbeat, startHeartbeat } from '../../fence/heartbeat.ts';
import { createGate, type Gate, MAX_PLACES } from '../../hashing/gate.ts';
import { createHashQueue } from '../../hashing/hash-queue.ts';
import type { Slots } from '../../hashing/slots.ts';
import { createHashThreads } from '../../hashing/threads.ts';
import { createNetworkFinder } from '../../http/client-address.ts';
import { type Address, type DrainOptions, type Listener, listen } from '../../http/listen.ts';
import { createHttpServer } from '../../http/server.ts';
import { loadMasterKeys, watchMasterKeys } from '../../keys/master-keys.ts';
import { createClientIds } from '../../limits/clients.ts';
import type { Log } from '../../ops/log.ts';
import type { Samples } from '../../ops/metrics/families.ts';
import { measureProcess, measureVerbs } from '../../ops/metrics/measure.ts';
import type { Meters } from '../../ops/metrics/meters.ts';
import type { HealthParts } from '../../ops/routes.ts';
import { createStatus } from '../../ops/status.ts';
import { createKeyRing, type KeyRing } from '../../sealing/key-ring.ts';
import { createSecrets } from '../../secrets/secrets.ts';
import { openStorage } from '../../storage/open.ts';
import type { Storage } from '../../storage/storage.ts';
import { internalSocketPath } from '../internal-socket.ts';
import { createCallsOut } from './calls-out.ts';
import { createDelivery, type Delivery } from './delivery.ts';
import { type Jobs, startJobs } from './jobs.ts';
import { createTelemetry, type Telemetry } from './telemetry.ts';

const PING_INTERVAL_MS = 500;
const GATE_CHECK_MS = 10;

export type WorkerParts = {
  config: Config;
  addresses: Addresses;
  workerNumber: number;
  slots: Slots;
  meters: Meters;
  /** What all workers counted. */
  readTotals(): Promise<Samples>;
  /** There is something new in the meters that others may ask for. */
  onCounted(): void;
  log: Log;
  onLost(error: Error): void;
};
export type Addresses = { public: Address; internal: Address };
/** What tells a worker from the others, and what it shares with them. */
export type Place = { number: number; internalFirstName: string };
export type RunningWorker = {
  /** Resolves as soon as the storage answers, and it is known what of it must be refused. */
  ready: Promise<void>;
  /** Answers what is there, then closes everything in reverse order. */
  stop(options: DrainOptions): Promise<void>;
};

/** Opens the storage, builds the parts, listens. */
export async function startWorker(parts: WorkerParts): Promise<RunningWorker> {
  const { config, meters } = parts;
  let isDraining = false;
  const telemetry = createTelemetry(meters, parts.log, parts.onCounted);
  const storage = await openMeasuredStorage(parts);
  const ring = openRing(parts); // not made for a storage that is none
  const fence = openFence(parts, storage.fence);
  const heartbeat = startHeartbeat(fence);
  const hashing = createHashing(parts);
  const delivery = createDelivery(parts, { ring, telemetry, events: storage.events });
  const secrets = createSecrets({
    store: storage.secrets,
    ring,
    gate: hashing.gate,
    clock: Date.now,
    onEvent: telemetry.secretEvent,
    notifier: delivery.notifier,
    delivery: delivery.dispatcher,
    refusedUntil: fence.refusedUntil,
  });
  const ping = async (): Promise<void> => {
    await storage.ping();
    fence.refusedUntil();
  };
  const identify = config.LIMITS === 'on' ? createIdentify(config, ring) : () => undefined;
  const callsOut = createCallsOut({ config, sinkStore: storage.sink, clock: Date.now, send: delivery.egress.send });
  const health = { ping, isDraining: () => isDraining };
  const listeners = await openListeners(parts, telemetry, { secrets, ...callsOut, identify }, health);
  const ready = Promise.all([untilItAnswers(storage.ping, parts.log), heartbeat.known]).then(() => {});
  let jobs: Jobs | undefined;
  void ready.then(() => {
    if (isDraining) return;
    delivery.dispatcher.start();
    jobs = startWorkerJobs(parts, { storage, ring, fence, delivery });
  });
  return {
    ready,
    async stop(options) {
      isDraining = true;
      await close(options, { listeners, jobs, hashing, delivery, heartbeat, storage });
    },
  };
}

async function openMeasuredStorage({ config, log, meters, onLost }: WorkerParts): Promise<Storage> {
  const storage = await openStorage(config, {
    onLost,
    onWarning: (warning) => log.warn(warning),
    onCommit: (calls) => meters.observe('hushbox_storage_batch_calls', '', calls),
  });
  return {
    ...storage,
    secrets: measureVerbs(meters, storage.secrets),
    events: measureVerbs(meters, storage.events),
    sink: measureVerbs(meters, storage.sink),
  };
}

function openRing({ config, log }: WorkerParts): KeyRing {
  const masterKeys = loadMasterKeys(config);
  const lookForKeys = watchMasterKeys(config, (err) => log.error({ err }, 'the changed master keys cannot be read'));
  return createKeyRing(masterKeys, lookForKeys);
}

function openFence({ config, log, meters, workerNumber }: WorkerParts, store: Storage['fence']): Fence {
  const fence = createFence({
    store,
    path: config.FENCE_FILE,
    clock: Date.now,
    uptime: () => performance.now(),
    isMarker: workerNumber === 1, // one of those that share a fence file
    report: reportTo(log),
  });
  meters.watch('hushbox_fence_refused_secrets', '', () => fence.refusedCount() ?? 0);
  return fence;
}

type JobNeeds = { storage: Storage; ring: KeyRing; fence: Fence; delivery: Delivery };

function startWorkerJobs({ log, meters }: WorkerParts, { storage, ring, fence, delivery }: JobNeeds): Jobs {
  return startJobs({
    secrets: storage.secrets,
    sink: storage.sink,
    clock: Date.now,
    refusedUntil: fence.refusedUntil,
    refreshKeys: ring.refresh,
    onExpired(count) {
      meters.count('hushbox_secrets_expired_total', '', count);
      delivery.dispatcher.wake(); // some of them may have an event
    },
    onError: (err) => log.warn({ err }, 'sweep failed, will be tried again'),
  });
}

type Closing = {
  listeners: Listeners;
  jobs: Jobs | undefined;
  hashing: Hashing;
  delivery: Delivery;
  heartbeat: Heartbeat;
  storage: Storage;
};

async function close(options: DrainOptions, parts: Closing): Promise<void> {
  const stopped = parts.jobs?.stop(); // its last step may take as long as a request
  await parts.listeners.public.drain(options);
  await parts.listeners.internal.drain(options); // until now it tells how the end goes on
  await stopped;
  await parts.hashing.settle(options.cut);
  await parts.delivery.stop(options.cut);
  await parts.heartbeat.stop();
  await parts.hashing.close();
  await parts.storage.close();
}

type Hashing = {
  gate: Gate;
  /** Waits for what a client that left had asked for: it is under way all the same, and must not find its threads gone. */
  settle(cut: AbortSignal): Promise<void>;
  close(): Promise<void>;
};

function createHashing({ slots, meters }: WorkerParts): Hashing {
  const threads = createHashThreads();
  const queue = createHashQueue(slots, threads.hashAll);
  const gate = createGate(queue.hash);
  meters.watch('hushbox_hash_queue_places', '', () => MAX_PLACES);
  meters.watch('hushbox_hash_queue_places_taken', '', () => gate.size);
  meters.watch('hushbox_hash_queue_waiting', '', () => queue.waiting);
  meters.watch('hushbox_hash_queue_rejected_total', '', () => gate.rejected);
  return {
    gate,
    async settle(cut) {
      while (gate.size > 0 && !cut.aborted) await sleep(GATE_CHECK_MS);
    },
    close: threads.close,
  };
}

type Listeners = { public: Listener; internal: Listener };

async function openListeners(
  { config, addresses, workerNumber, meters, readTotals }: WorkerParts,
  { requestLog, internalRequestLog, refused }: Telemetry,
  service: Pick<AppParts, 'secrets' | 'sink' | 'proxy' | 'identify'>,
  health: HealthParts,
): Promise<Listeners> {
  const app = createApp({
    ...service,
    limits: { secretMaxBytes: config.SECRET_MAX_BYTES, ttlMaxSeconds: config.SECRET_TTL_MAX_SECONDS },
    createToken: config.CREATE_TOKEN,
    proxyToken: config.PROXY_TOKEN,
    isProduction: config.NODE_ENV === 'production',
    readStatus: createStatus(readTotals, Date.now),
    publicUrl: config.PUBLIC_URL,
    requestLog,
    ...health,
  });
  const internalApp = createInternalApp({
    token: config.INTERNAL_TOKEN,
    requestLog: internalRequestLog,
    readTotals,
    ...health,
  });
  const internal = await listen(createHttpServer(internalApp.callback()), addresses.internal);
  const listener = await listen(createHttpServer(app.callback(), refused), addresses.public);
  measureProcess(meters, String(workerNumber));
  meters.watch('hushbox_http_connections', '', () => listener.size);
  return { public: listener, internal };
}

/** Where a worker listens. */
export function addressesOf(config: Config, { number, internalFirstName }: Place): Addresses {
  const { SOCKET_DIR, HTTP_PORT, HOST, INTERNAL_PORT, INTERNAL_HOST, DATA_DIR } = config;
  return {
    public: SOCKET_DIR ? { socketPath: join(SOCKET_DIR, `worker-${number}.sock`) } : { port: HTTP_PORT, host: HOST },
    internal: INTERNAL_PORT
      ? { port: INTERNAL_PORT, host: INTERNAL_HOST }
      : { socketPath: internalSocketPath(DATA_DIR), firstName: internalFirstName },
  };
}

/** That secrets are refused is said at every level of the log. */
function reportTo(log: Log): FenceReport {
  return {
    refusing(refused, refusedUntil) {
      const until = new Date(refusedUntil).toISOString();
      const message = 'the database was put back to an older state: what was created before is refused';
      log.error({ refused, refusedUntil: until }, message);
      process.stderr.write(`Hushbox refuses ${refused ?? 'some'} secrets created until ${until}: ${message}\n`);
    },
    warning: (message, err) => log.warn({ err }, message),
  };
}

function createIdentify({ TRUSTED_PROXIES, SOCKET_DIR }: Config, ring: KeyRing): AppParts['identify'] {
  const findNetwork = createNetworkFinder({ proxies: TRUSTED_PROXIES, isPeerProxy: SOCKET_DIR !== undefined });
  const idOf = createClientIds(ring);
  return (request) => idOf(findNetwork(request));
}

async function untilItAnswers(ping: () => Promise<void>, log: Log): Promise<void> {
  for (let isFirst = true; ; isFirst = false) {
    try {
      return await ping();
    } catch (err) {
      if (isFirst) log.warn({ err }, 'storage does not answer yet');
    }
    await new Promise((resolve) => setTimeout(resolve, PING_INTERVAL_MS).unref());
  }
}
