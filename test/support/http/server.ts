import { randomBytes } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import type { ExecutionContext } from 'ava';
import { type AppParts, createApp } from '../../../src/app.ts';
import { createEgress } from '../../../src/egress/egress.ts';
import { createGate } from '../../../src/hashing/gate.ts';
import { createHashQueue } from '../../../src/hashing/hash-queue.ts';
import { createHashThreads } from '../../../src/hashing/threads.ts';
import { listen } from '../../../src/http/listen.ts';
import { createHttpServer } from '../../../src/http/server.ts';
import { parseAllowList } from '../../../src/network/allow-list.ts';
import { createLog } from '../../../src/ops/log.ts';
import { writeExposition } from '../../../src/ops/metrics/exposition.ts';
import type { Samples } from '../../../src/ops/metrics/families.ts';
import { measureVerbs } from '../../../src/ops/metrics/measure.ts';
import { createMeters } from '../../../src/ops/metrics/meters.ts';
import { createTotals } from '../../../src/ops/metrics/totals.ts';
import { createStatus } from '../../../src/ops/status.ts';
import { createDispatcher } from '../../../src/outbox/dispatcher.ts';
import { createTelemetry } from '../../../src/processes/worker/telemetry.ts';
import { createKeyRing } from '../../../src/sealing/key-ring.ts';
import { createSecrets } from '../../../src/secrets/secrets.ts';
import type { StoreLimits } from '../../../src/secrets/store.ts';
import { createSink, type SinkParts } from '../../../src/sink/sink.ts';
import type { Storage } from '../../../src/storage/storage.ts';
import { createCallClaims } from '../../../src/tokens/calls/sign.ts';
import { createAttempt } from '../../../src/webhooks/attempt.ts';
import { createWebhooks } from '../../../src/webhooks/webhooks.ts';
import { expectNoLeaks, remember } from '../process/leaks.ts';
import { createLocalSlots } from '../process/slots.ts';
import type { Place } from '../storage/storage.ts';
import { type Api, createApi } from './api.ts';

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
  proxyToken?: string;
  isProduction?: boolean;
  /** Default: none. */
  proxy?: AppParts['proxy'];
  /** Default: no token is right. */
  verify?: SinkParts['verify'];
  /** Default: nobody's limits count. */
  identify?: AppParts['identify'];
  storeLimits?: Partial<StoreLimits>;
  publicUrl?: string;
  secretMaxBytes?: number;
  ttlMaxSeconds?: number;
  refusedUntil?: () => number;
  /** In place of what this server counts. */
  readTotals?: () => Promise<Samples>;
  /** As the variable. */
  egressAllow?: string;
  takesNotify?: boolean;
};

export type TestServer = Api & {
  port: number;
  clock: TestClock;
  storage: Storage;
  /** Looks for events that are due. */
  wake(): void;
  /** Delivers no more events; a store that it shares has them for others. */
  stopDelivery(): Promise<void>;
  /** Everything logged so far, at level trace. */
  logged(): string;
  /** As Prometheus reads them. */
  metrics(): string;
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
  const storage = await place.open(options.storeLimits);
  const threads = createHashThreads();
  const gate = createGate(createHashQueue(createLocalSlots(2), threads.hashAll).hash);
  const meters = createMeters();
  const telemetry = createTelemetry(meters, log);
  const ring = createKeyRing(masterKeys);
  const now = (): number => clock.now;
  const egress = createEgress({
    allowed: parseAllowList(options.egressAllow ?? '') ?? [],
    servers: [],
    onAttempt: () => {},
  });
  const claimsFor = createCallClaims({ clock: now, randomBytes });
  const onError = (err: unknown): void => log.error({ err }, 'delivery');
  const dispatcher = createDispatcher({
    store: measureVerbs(meters, storage.events),
    attempt: createAttempt({ ring, egress, clock: now, onError, createClaims: () => claimsFor('username') }),
    destinationOf: ({ notify }) => notify.destination,
    clock: now,
    random: () => 0.5,
    onResult: (result, { occurredAt }) => telemetry.webhookResult(result, clock.now - occurredAt),
    onError,
  });
  dispatcher.start();
  const secrets = createSecrets({
    store: measureVerbs(meters, storage.secrets),
    ring,
    gate,
    clock: () => clock.now,
    refusedUntil: options.refusedUntil ?? (() => 0),
    onEvent: telemetry.secretEvent,
    notifier: createWebhooks({ ring, egress, isOpen: options.takesNotify ?? true }),
    delivery: dispatcher,
  });
  const sink = createSink({
    store: measureVerbs(meters, storage.sink),
    verify: options.verify ?? (() => undefined),
    clock: () => clock.now,
  });
  const totals = createTotals();
  const startedAt = { hushbox_start_time_seconds: { '': [clock.now / 1000] } };
  const readTotals = (): Samples => {
    const { counts, gauges } = meters.takeReport();
    totals.add(counts);
    return totals.read([startedAt, gauges]);
  };
  const app = createApp({
    readStatus: createStatus(options.readTotals ?? (async () => readTotals()), () => clock.now),
    secrets,
    sink,
    proxy: options.proxy,
    proxyToken: options.proxyToken,
    isProduction: options.isProduction ?? false,
    limits: { secretMaxBytes, ttlMaxSeconds },
    createToken: options.createToken,
    identify: options.identify ?? (() => undefined),
    publicUrl: options.publicUrl,
    requestLog: telemetry.requestLog,
    ping: storage.ping,
    isDraining: () => false,
  });
  const server = createHttpServer(app.callback(), telemetry.refused);
  await listen(server, { port: 0, host: '127.0.0.1' });
  const metrics = (): string => writeExposition(readTotals());
  t.teardown(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await dispatcher.stop(AbortSignal.abort());
    await egress.close();
    await threads.close();
    remember(options.createToken);
    remember(options.proxyToken);
    expectNoLeaks(lines.join('') + metrics());
  });
  const { port } = server.address() as AddressInfo;
  const base = `http://127.0.0.1:${port}`;
  return {
    ...createApi(base),
    port,
    clock,
    storage,
    wake: dispatcher.wake,
    stopDelivery: () => dispatcher.stop(AbortSignal.abort()),
    logged: () => lines.join(''),
    metrics,
  };
}
