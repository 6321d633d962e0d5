import { randomBytes } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { readConfig } from '../../../src/config/config.ts';
import { createHashing } from '../../../src/hashing/hashing.ts';
import { listen } from '../../../src/http/listen.ts';
import { createHttpServer } from '../../../src/http/server.ts';
import type { StoreLimits } from '../../../src/limits/limits.ts';
import type { Mailer } from '../../../src/mail/mailer.ts';
import { createLog } from '../../../src/ops/log.ts';
import { writeExposition } from '../../../src/ops/metrics/exposition.ts';
import type { Samples } from '../../../src/ops/metrics/families.ts';
import { measureStores } from '../../../src/ops/metrics/measure.ts';
import { createMeters } from '../../../src/ops/metrics/meters.ts';
import { createTotals } from '../../../src/ops/metrics/totals.ts';
import { createService, type ServiceParts } from '../../../src/processes/worker/service.ts';
import { createKeyRing } from '../../../src/sealing/key-ring.ts';
import type { Storage } from '../../../src/storage/storage.ts';
import { expectNoLeaks, remember } from '../process/leaks.ts';
import { createLocalSlots } from '../process/slots.ts';
import { type Place, temporaryFolder } from '../storage/storage.ts';
import { type Api, createApi } from './api.ts';

export type TestClock = {
  now: number;
  advance(step: { seconds?: number; minutes?: number; hours?: number; days?: number }): void;
};

/** Starts at noon of 2066-01-01: in the future, because MongoDB's TTL monitor knows only the real time. */
export function createTestClock(): TestClock {
  return {
    now: Date.UTC(2066, 0, 1, 12),
    advance({ seconds = 0, minutes = 0, hours = 0, days = 0 }) {
      this.now += (((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1000;
    },
  };
}

export type TestServerOptions = Partial<Pick<ServiceParts, 'proxy' | 'readTotals'>> & {
  place: Place;
  clock?: TestClock;
  masterKeys?: readonly [Buffer, ...Buffer[]];
  /** Variables as an operator sets them. Default: no limits per client, and a `JWT_HEX_SECRET` of its own. */
  env?: Readonly<Record<string, string>>;
  storeLimits?: Partial<StoreLimits>;
  refusedUntil?: () => number;
};

export type TestServer = Api & {
  port: number;
  /** The internal listener. */
  internal: Api;
  clock: TestClock;
  storage: Storage;
  /** Undefined where no mail can be sent. */
  mailer: Mailer | undefined;
  /** Looks for events and mail that are due. */
  wake(): void;
  /** Delivers no more events; other servers on the same store still do. */
  stopDelivery(): Promise<void>;
  /** Everything logged so far, at level trace. */
  logged(): string;
  /** As Prometheus reads them. */
  metrics(): string;
};

/** The whole service on a free port: real HTTP, a real engine, a clock of its own, and no periodic work but delivery. */
export async function startServer(t: ExecutionContext, options: TestServerOptions): Promise<TestServer> {
  const { place, clock = createTestClock(), masterKeys = [randomBytes(32)], refusedUntil = () => 0 } = options;
  const authSocket = join(await temporaryFolder(t), 'auth.sock');
  const env = {
    LIMITS: 'off',
    AUTH_URL: `unix:${authSocket}`,
    JWT_HEX_SECRET: randomBytes(64).toString('hex'),
    ...options.env,
  };
  const config = readConfig({ MASTER_KEY: masterKeys[0].toString('hex'), ...env });
  const lines: string[] = [];
  const log = createLog('trace', { write: (line: string) => void lines.push(line) });
  const meters = createMeters();
  const storage = await place.open(options.storeLimits);
  const hashing = createHashing(createLocalSlots(2));
  const totals = createTotals();
  const startedAt = { hushbox_start_time_seconds: { '': [clock.now / 1000] } };
  const readTotals = (): Samples => {
    const { counts, gauges } = meters.takeReport();
    totals.add(counts);
    return totals.read([startedAt, gauges]);
  };
  const service = createService({
    config,
    storage: measureStores(meters, storage),
    ring: createKeyRing(masterKeys),
    fence: { refusedUntil },
    hashing,
    tokenKey: config.JWT_HEX_SECRET,
    clock: () => clock.now,
    random: () => 0.5,
    log,
    meters,
    readTotals: options.readTotals ?? (async () => readTotals()),
    isStarting: () => false,
    isDraining: () => false,
    authDeadlineMs: 60_000, // the tests of a file start at once
    ...(options.proxy && { proxy: options.proxy }),
  });
  service.delivery?.start();
  service.mail.delivery?.start();
  const server = createHttpServer(service.app.callback(), service.onRefused);
  const internal = createHttpServer(service.internalApp.callback());
  const auth = createHttpServer(service.internalApp.callback());
  const servers = [server, internal, auth];
  for (const one of servers) one.timeout = 0; // with the tests, the machine can be busy for longer than an answer takes
  for (const one of [server, internal]) await listen(one, { port: 0, host: '127.0.0.1' }, 1_000);
  await listen(auth, { socketPath: authSocket }, 1_000);
  const metrics = (): string => writeExposition(readTotals());
  t.teardown(async () => {
    for (const one of servers) {
      one.closeAllConnections();
      await new Promise((resolve) => one.close(resolve));
    }
    await service.stop(AbortSignal.abort());
    await hashing.close(AbortSignal.abort());
    for (const name of ['CREATE_TOKEN', 'JWT_HEX_SECRET', 'PROXY_TOKEN'] as const) remember(options.env?.[name]);
    expectNoLeaks(lines.join('') + metrics());
  });
  const [port, internalPort] = [server, internal].map((one) => (one.address() as AddressInfo).port) as [number, number];
  return {
    ...createApi(`http://127.0.0.1:${port}`),
    port,
    internal: createApi(`http://127.0.0.1:${internalPort}`),
    clock,
    storage,
    mailer: service.mail.mailer,
    wake() {
      service.delivery?.wake();
      service.mail.delivery?.wake();
    },
    stopDelivery: async () => service.delivery?.stop(AbortSignal.abort()),
    logged: () => lines.join(''),
    metrics,
  };
}
