import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type AppParts, createApp, createInternalApp } from './app.ts';
import { createCallsOut } from './calls-out.ts';
import type { Config } from './config.ts';
import { createEgress, type Egress, OUTCOMES, PURPOSES } from './egress/egress.ts';
import { createFence, type FenceReport } from './fence/fence.ts';
import { startHeartbeat } from './fence/heartbeat.ts';
import { createGate, type Gate, MAX_PLACES } from './hashing/gate.ts';
import { createHashQueue } from './hashing/hash-queue.ts';
import type { Slots } from './hashing/slots.ts';
import { createHashThreads } from './hashing/threads.ts';
import { createNetworkFinder } from './http/client-address.ts';
import { type Address, type DrainOptions, type Listener, listen } from './http/listen.ts';
import { createHttpServer } from './http/server.ts';
import { internalSocketPath } from './internal-socket.ts';
import { type Jobs, startJobs } from './jobs.ts';
import { loadMasterKeys, watchMasterKeys } from './master-keys.ts';
import type { Samples } from './ops/families.ts';
import type { Log } from './ops/log.ts';
import { measureProcess, measureVerbs } from './ops/measure.ts';
import type { Meters } from './ops/meters.ts';
import type { HealthParts } from './ops/routes.ts';
import { createStatus } from './ops/status.ts';
import { createKeyRing, type KeyRing } from './sealing/key-ring.ts';
import { randomBytes } from './sealing/random.ts';
import { createClientIds } from './secrets/clients.ts';
import { createSecrets } from './secrets/secrets.ts';
import { openStorage } from './storage/open.ts';
import { createTelemetry, type Telemetry } from './telemetry.ts';
import { createCallClaims } from './tokens/sign.ts';
import { createAttempt } from './webhooks/attempt.ts';
import { createDispatcher, type Dispatcher } from './webhooks/dispatcher.ts';
import type { EventStore } from './webhooks/store.ts';
import { createWebhooks } from './webhooks/webhooks.ts';

const PING_INTERVAL_MS = 500;
const GATE_CHECK_MS = 10;
const COUNT_WAITING_MS = 15_000;

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
  const { config, log, meters } = parts;
  let isDraining = false;
  const telemetry = createTelemetry(meters, log, parts.onCounted);
  const storage = await openStorage(config, {
    onLost: parts.onLost,
    onWarning: (warning) => log.warn(warning),
    onCommit: (calls) => meters.observe('hushbox_storage_batch_calls', '', calls),
  });
  const masterKeys = loadMasterKeys(config); // not made for a storage that is none
  const clock = Date.now;
  const fence = createFence({
    store: storage.fence,
    path: config.FENCE_FILE,
    clock,
    uptime: () => performance.now(),
    isMarker: parts.workerNumber === 1, // one of those that share a fence file
    report: reportTo(log),
  });
  const heartbeat = startHeartbeat(fence);
  const hashing = createHashing(parts);
  const lookForKeys = watchMasterKeys(config, (err) => log.error({ err }, 'the changed master keys cannot be read'));
  const ring = createKeyRing(masterKeys, lookForKeys);
  const store = measureVerbs(meters, storage.secrets);
  const egress = openEgress(parts);
  const dispatcher = openDispatcher(parts, { ring, egress, telemetry, events: storage.events });
  const secrets = createSecrets({
    store,
    ring,
    gate: hashing.gate,
    clock,
    onEvent: telemetry.secretEvent,
    notifier: createWebhooks({
      ring,
      egress,
      isOpen: config.NODE_ENV !== 'production' || config.CREATE_TOKEN !== undefined,
    }),
    delivery: dispatcher,
    refusedUntil: fence.refusedUntil,
  });
  const ping = async () => {
    await storage.ping();
    fence.refusedUntil();
  };
  const health = { ping, isDraining: () => isDraining };
  meters.watch('hushbox_fence_refused_secrets', '', () => fence.refusedCount() ?? 0);
  const identify = config.LIMITS === 'on' ? createIdentify(config, ring) : () => undefined;
  const sinkStore = measureVerbs(meters, storage.sink);
  const { sink, proxy } = createCallsOut({ config, sinkStore, clock, send: egress.send });
  const listeners = await openListeners(parts, telemetry, { secrets, sink, proxy, identify }, health);
  const answers = untilItAnswers(storage.ping, (err) => log.warn({ err }, 'storage does not answer yet'));
  const ready = Promise.all([answers, heartbeat.known]).then(() => {});
  let jobs: Jobs | undefined;
  void ready.then(() => {
    if (isDraining) return;
    dispatcher.start();
    jobs = startJobs({
      secrets: store,
      sink: sinkStore,
      clock,
      refusedUntil: fence.refusedUntil,
      refreshKeys: ring.refresh,
      onExpired(count) {
        meters.count('hushbox_secrets_expired_total', '', count);
        dispatcher.wake(); // some of them may have an event
      },
      onError: (err) => log.warn({ err }, 'sweep failed, will be tried again'),
    });
  });
  return {
    ready,
    async stop(options) {
      isDraining = true;
      const stopped = jobs?.stop(); // its last step may take as long as a request
      await listeners.public.drain(options);
      await listeners.internal.drain(options); // until now it tells how the end goes on
      await stopped;
      await hashing.settle(options.cut);
      await dispatcher.stop(options.cut);
      await egress.close();
      await heartbeat.stop();
      await hashing.close();
      await storage.close();
    },
  };
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

function openEgress({ config, meters }: WorkerParts): Egress {
  for (const purpose of PURPOSES) {
    for (const outcome of OUTCOMES) meters.count('hushbox_egress_attempts_total', `${purpose} ${outcome}`, 0);
  }
  const egress = createEgress({
    allowed: config.EGRESS_ALLOW,
    servers: config.EGRESS_DNS,
    onAttempt: (purpose, outcome) => meters.count('hushbox_egress_attempts_total', `${purpose} ${outcome}`),
  });
  meters.watch('hushbox_egress_under_way', '', () => egress.size);
  meters.watch('hushbox_egress_waiting', '', () => egress.waiting);
  return egress;
}

type DispatcherNeeds = { ring: KeyRing; egress: Egress; telemetry: Telemetry; events: EventStore };

function openDispatcher(
  { config, log, meters, workerNumber }: WorkerParts,
  { ring, egress, telemetry, events }: DispatcherNeeds,
): Dispatcher {
  const clock = Date.now;
  const store = measureVerbs(meters, events);
  const onError = (err: unknown): void => log.warn({ err }, 'an event was not delivered, will be tried again');
  const claimsFor = createCallClaims({ clock, randomBytes });
  const attempt = createAttempt({ ring, egress, clock, onError, createClaims: () => claimsFor(config.PROXY_USER) });
  if (workerNumber === 1) watchWaiting(meters, events); // one worker counts for all
  return createDispatcher({
    store,
    attempt,
    clock,
    random: Math.random,
    onResult: (result, { occurredAt }) => telemetry.webhookResult(result, clock() - occurredAt),
    onError,
  });
}

function watchWaiting(meters: Meters, events: EventStore): void {
  let waiting: Awaited<ReturnType<EventStore['countWaiting']>> = { events: 0, oldestAt: undefined };
  const look = async (): Promise<void> => {
    waiting = await events.countWaiting();
  };
  setInterval(() => void look().catch(() => {}), COUNT_WAITING_MS).unref(); // the store's own metrics tell of failures
  meters.watch('hushbox_webhook_events_waiting', '', () => waiting.events);
  meters.watch('hushbox_webhook_oldest_event_seconds', '', () =>
    waiting.oldestAt === undefined ? 0 : Math.max(0, Date.now() - waiting.oldestAt) / 1000,
  );
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
