import { repeat } from '../../clock.ts';
import { type Config, needsMasterKey } from '../../config/config.ts';
import { createFence, type Fence, type FenceReport } from '../../fence/fence.ts';
import { startHeartbeat } from '../../fence/heartbeat.ts';
import { MAX_PLACES } from '../../hashing/gate.ts';
import { createHashing, type Hashing, LANES } from '../../hashing/hashing.ts';
import type { Slots } from '../../hashing/slots.ts';
import { bodyLimitBytes } from '../../http/body-limit.ts';
import type { Connections } from '../../http/connection-limit.ts';
import { bindAgain, type DrainOptions, type Listener, listen } from '../../http/listen.ts';
import { createHttpServer } from '../../http/server.ts';
import type { Bound, SocketAddress } from '../../http/socket-file.ts';
import { loadMasterKeys, watchMasterKeys } from '../../keys/master-keys.ts';
import { loadTokenKey } from '../../keys/token-key.ts';
import { createAudit } from '../../ops/audit.ts';
import type { Log } from '../../ops/log.ts';
import type { Samples } from '../../ops/metrics/families.ts';
import { measureProcess, measureStores } from '../../ops/metrics/measure.ts';
import type { Meters } from '../../ops/metrics/meters.ts';
import type { OutboxStore } from '../../outbox/store.ts';
import { createKeyRing, type KeyRing } from '../../sealing/key-ring.ts';
import { openStorage } from '../../storage/open.ts';
import type { Storage } from '../../storage/storage.ts';
import type { Addresses } from '../addresses.ts';
import type { Door } from '../ipc.ts';
import { connectionLimits, readDescriptorLimit } from './descriptors.ts';
import type { Jobs } from './jobs.ts';
import { createService } from './service.ts';

const PING_INTERVAL_MS = 500;
/** How often a storage that does not answer at the start is reported. */
const AWAY_REPORT_MS = 60_000;
const COUNT_WAITING_MS = 15_000;

export type WorkerParts = {
  config: Config;
  addresses: Addresses;
  workerNumber: number;
  slots: Slots;
  meters: Meters;
  /** The counts of all workers. */
  readTotals(): Promise<Samples>;
  log: Log;
  onLost(error: Error): void;
  /** Called whenever a socket has been bound. */
  onBound(door: Door, address: SocketAddress, bound: Bound): void;
};

export type RunningWorker = {
  /** Resolves once the storage answers and the fence knows which secrets to refuse. */
  ready: Promise<void>;
  /** Binds a socket again whose file was removed or replaced. @param firstName of the internal socket. */
  bindAgain(door: Door, firstName?: string): Promise<void>;
  /** Answers the requests that are there, then closes everything in reverse order. */
  stop(options: DrainOptions): Promise<void>;
};

/** Opens the parts, listens, and at the end drains and closes. */
export async function startWorker(parts: WorkerParts): Promise<RunningWorker> {
  const { config, addresses, meters, log, readTotals, onBound } = parts;
  let isStarting = true;
  let isDraining = false;
  const storage = await openMeasuredStorage(parts);
  const ring = needsMasterKey(config) ? openRing(parts) : undefined; // not before: no key is made for a storage that cannot be opened
  const fence = openFence(parts, storage.fence);
  const heartbeat = startHeartbeat(fence);
  const hashing = openHashing(parts);
  const service = createService({
    ...{
      config,
      storage,
      ring,
      fence,
      hashing,
      tokenKey: config.SERVICES.includes('proxy') ? loadTokenKey(config) : undefined,
    },
    ...{ clock: Date.now, random: Math.random, log, meters, readTotals },
    ...{ isStarting: () => isStarting, isDraining: () => isDraining },
  });
  const limits = connectionLimits(readDescriptorLimit());
  const servers = {
    internal: createHttpServer(service.internalApp.callback()),
    public: createHttpServer(service.app.callback(), service.onRefused, bodyLimitBytes(config.SECRET_MAX_BYTES)),
  };
  const open = async (door: Door): Promise<Listener> => {
    const address = addresses[door];
    const listener = await listen(servers[door], address, limits[door]);
    if ('socketPath' in address && listener.bound) onBound(door, address, listener.bound);
    return listener;
  };
  const internal = await open('internal');
  const listener = await open('public');
  watchConnections(meters, listener.connections);
  measureProcess(meters, String(parts.workerNumber));
  const ready = Promise.all([waitForStorage(storage.ping, log), heartbeat.known]).then(() => {});
  let jobs: Jobs | undefined;
  void ready.then(() => {
    isStarting = false;
    if (!isDraining) jobs = service.startJobs();
  });
  return {
    ready,
    async bindAgain(door, firstName) {
      const address = addresses[door];
      if (isDraining || !('socketPath' in address)) return;
      const again = { ...address, ...(firstName !== undefined && { firstName }) };
      onBound(door, again, await bindAgain(servers[door], again));
    },
    async stop(options) {
      isDraining = true;
      const stopped = jobs?.stop(); // its last step may take as long as a request
      await listener.drain(options);
      await internal.drain(options); // until now it shows how the drain goes
      await stopped;
      await hashing.close(options.cut);
      await service.stop(options.cut);
      await heartbeat.stop();
      await storage.close();
    },
  };
}

function watchConnections(meters: Meters, connections: Connections): void {
  meters.watch('hushbox_http_connections', '', () => connections.open.size);
  meters.watch('hushbox_http_connections_max', '', () => connections.max);
  meters.watch('hushbox_http_connections_closed_total', '', () => connections.closedForPlace);
}

async function openMeasuredStorage({ config, log, meters, workerNumber, onLost }: WorkerParts): Promise<Storage> {
  const opened = await openStorage(config, {
    onLost,
    onWarning: (warning) => log.warn(warning),
    onCommit: (calls) => meters.observe('hushbox_storage_batch_calls', '', calls),
  });
  const storage = measureStores(meters, opened);
  // One worker counts for all.
  if (workerNumber === 1) {
    watchWaiting(meters, storage.events, ['hushbox_webhook_events_waiting', 'hushbox_webhook_oldest_event_seconds']);
    watchWaiting(meters, storage.mails, ['hushbox_mails_waiting', 'hushbox_mail_oldest_seconds']);
  }
  return storage;
}

type Watched = Parameters<Meters['watch']>[0];

function watchWaiting(
  meters: Meters,
  store: Pick<OutboxStore<never>, 'countWaiting'>,
  [waitingName, oldestName]: readonly [waiting: Watched, oldest: Watched],
): void {
  let waiting: Awaited<ReturnType<typeof store.countWaiting>> = { events: 0, oldestAt: undefined };
  const look = async (): Promise<void> => {
    waiting = await store.countWaiting();
  };
  void repeat(COUNT_WAITING_MS, () => look().catch(() => {})); // the store's own metrics show failures
  meters.watch(waitingName, '', () => waiting.events);
  meters.watch(oldestName, '', () =>
    waiting.oldestAt === undefined ? 0 : Math.max(0, Date.now() - waiting.oldestAt) / 1000,
  );
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
    isMarker: workerNumber === 1, // of the workers that share a fence file, one moves the mark
    report: reportTo(log),
  });
  meters.watch('hushbox_fence_refused_secrets', '', () => fence.refusedCount() ?? 0);
  return fence;
}

/** Refused secrets are reported on stderr too, because the log can be silent. */
function reportTo(log: Log): FenceReport {
  const audit = createAudit(log);
  return {
    refusing(refused, refusedUntil) {
      const until = new Date(refusedUntil).toISOString();
      const message = 'the database was restored to an older state; secrets created before then are refused';
      log.error({ refused, refusedUntil: until }, message);
      const secrets = refused === 1 ? '1 secret' : `${refused ?? 'some'} secrets`;
      process.stderr.write(`Hushbox refuses ${secrets} created until ${until}: ${message}\n`);
    },
    lifted: () => audit('fence.lifted'),
    away: (err) => log.error({ reason: reasonOf(err) }, 'the storage is away: requests get 503'),
    back: () => log.info('the storage is back'),
    warning: (message, err) => log.warn({ err }, message),
  };
}

function openHashing({ slots, meters }: WorkerParts): Hashing {
  const hashing = createHashing(slots);
  for (const lane of LANES) {
    meters.watch('hushbox_hash_queue_places', lane, () => MAX_PLACES);
    meters.watch('hushbox_hash_queue_places_taken', lane, () => hashing.gates[lane].size);
    meters.watch('hushbox_hash_queue_waiting', lane, () => hashing.lanes[lane].waiting);
    meters.watch('hushbox_hash_queue_rejected_total', lane, () => hashing.gates[lane].rejected);
  }
  return hashing;
}

async function waitForStorage(ping: () => Promise<void>, log: Log): Promise<void> {
  for (let nextReportAt = 0; ; ) {
    try {
      return await ping();
    } catch (err) {
      if (performance.now() >= nextReportAt) {
        log.warn({ reason: reasonOf(err) }, 'storage does not answer yet');
        nextReportAt = performance.now() + AWAY_REPORT_MS;
      }
    }
    await new Promise((resolve) => setTimeout(resolve, PING_INTERVAL_MS).unref());
  }
}

/** Of a chain of causes the innermost one says what happened. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'an unknown failure';
  return error.cause instanceof Error ? reasonOf(error.cause) : error.message;
}
