import { hash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type Koa from 'koa';
import { type AppParts, createApp, createInternalApp } from '../../app.ts';
import type { Clock } from '../../clock.ts';
import type { Config } from '../../config/config.ts';
import { createEgress, type Egress, OUTCOMES, PURPOSES } from '../../egress/egress.ts';
import type { ErrorCode } from '../../errors.ts';
import type { Fence } from '../../fence/fence.ts';
import type { Hashing } from '../../hashing/hashing.ts';
import { bodyLimitBytes } from '../../http/body-limit.ts';
import { type BodyRoom, createBodyRoom } from '../../http/body-room.ts';
import { createNetworkFinder, createPeerCheck, isPublicNetwork, type Trust } from '../../http/client-address.ts';
import type { Site } from '../../http/origin.ts';
import { whyNoProxy } from '../../keys/token-key.ts';
import { createClientIds } from '../../limits/clients.ts';
import { createLimiter } from '../../limits/limiter.ts';
import type { Log } from '../../ops/log.ts';
import type { Samples } from '../../ops/metrics/families.ts';
import type { Meters } from '../../ops/metrics/meters.ts';
import { createStatus } from '../../ops/status.ts';
import { createDispatcher, type Dispatcher } from '../../outbox/dispatcher.ts';
import { ownNameOf } from '../../proxy/own-name.ts';
import type { KeyRing } from '../../sealing/key-ring.ts';
import { randomBytes } from '../../sealing/random.ts';
import { createSecrets } from '../../secrets/secrets.ts';
import { createSink } from '../../sink/sink.ts';
import type { Storage } from '../../storage/storage.ts';
import type { SigningKeys } from '../../tokens/access/signing-keys.ts';
import { createTokenKey } from '../../tokens/calls/key.ts';
import { createCallClaims, signToken } from '../../tokens/calls/sign.ts';
import { verifyToken } from '../../tokens/calls/verify.ts';
import { createAttempt } from '../../webhooks/attempt.ts';
import { WEBHOOK_PACE } from '../../webhooks/pace.ts';
import type { TakenEvent } from '../../webhooks/store.ts';
import { createWebhooks } from '../../webhooks/webhooks.ts';
import { createAuth } from './auth.ts';
import { type BusinessService, openBusiness } from './business.ts';
import { type Jobs, startJobs } from './jobs.ts';
import { createKafka } from './kafka.ts';
import { type MailService, openMail } from './mail.ts';
import { createTelemetry, type Telemetry } from './telemetry.ts';

/** Of each kind, for the metric that shows whether all clients seem to be one. */
const MAX_NETWORKS_SEEN = 1_000;

/** The parts of a service, all open. Their opener closes them, after the service has stopped. */
export type ServiceParts = {
  config: Config;
  storage: Storage;
  /** Undefined where nothing that is served needs a master key. */
  ring: KeyRing | undefined;
  fence: Pick<Fence, 'refusedUntil'>;
  hashing: Pick<Hashing, 'gates'>;
  /** The bytes that sign `x-my-jwt`; without them there is neither a proxy nor a sink. */
  tokenKey: Uint8Array | undefined;
  clock: Clock;
  /** In [0, 1). */
  random(): number;
  log: Log;
  meters: Meters;
  /** The counts of all workers. */
  readTotals(): Promise<Samples>;
  /** Until the storage has answered for the first time. */
  isStarting(): boolean;
  isDraining(): boolean;
  /** Tests replace parts of the proxy. */
  proxy?: Partial<NonNullable<AppParts['proxy']>>;
  /** Tests are more patient with the service that knows tokens. */
  authDeadlineMs?: number;
};

export type Service = {
  app: Koa;
  internalApp: Koa;
  /** Counts a request that the HTTP parser refused. */
  onRefused(code: ErrorCode): void;
  /** Undefined where secrets are not served. */
  delivery: Dispatcher<TakenEvent> | undefined;
  mail: MailService;
  /** Starts delivery and the periodic work. */
  startJobs(): Jobs;
  /** Lets deliveries and calls out end for a short while, then ends them. */
  stop(cut: AbortSignal): Promise<void>;
};

/** Puts the modules together: the one wiring, for the program and for the tests. */
export function createService(parts: ServiceParts): Service {
  const { config, storage, fence, clock, log, meters, readTotals, isDraining } = parts;
  const telemetry = createTelemetry(meters, log, parts.isStarting);
  const egress = openEgress(parts);
  const networkOf = createNetworks(parts);
  const idOf = createIds(parts);
  const limits = { secretMaxBytes: config.SECRET_MAX_BYTES, ttlMaxSeconds: config.SECRET_TTL_MAX_SECONDS };
  const room = openRoom(parts, networkOf);
  const limiter = createLimiter({ store: storage.limits, idOf, clock, isOn: config.LIMITS === 'on' });
  const site = createSite(config, config.HOST, trustOf(config));
  const { delivery, secrets } = createSecretService(parts, egress, telemetry);
  const { ring } = parts;
  const mail = openMail({ ...parts, telemetry });
  const isServed = (service: Config['SERVICES'][number]): boolean => config.SERVICES.includes(service);
  const sessionService =
    ring && (isServed('auth') || isServed('kafka'))
      ? createAuth({
          ...parts,
          ...{ ring, findNetwork: networkOf, idOf, limiter, onEvent: telemetry.sessionEvent },
          refusedUntil: fence.refusedUntil,
          mailer: mail.mailer,
          onAccountEvent: telemetry.accountEvent,
          onMailError: (err) => log.warn({ err }, 'a mail to nobody was not removed, and will be tried in vain'),
        })
      : undefined;
  const auth = isServed('auth') ? sessionService : undefined;
  const kafka = sessionService && createKafka({ ...parts, sessions: sessionService.sessions });
  const business = openBusiness({ ...parts, site, networkOf, limiter, telemetry });
  const health = {
    isDraining,
    async ping() {
      await storage.ping();
      fence.refusedUntil();
    },
  };
  return {
    app: createApp({
      ...health,
      ...createSignedCalls(parts, egress, business),
      site,
      secrets,
      auth,
      business: business.business,
      identify: config.LIMITS === 'off' ? () => undefined : (request) => idOf(networkOf(request)),
      limits,
      createToken: config.CREATE_TOKEN,
      proxyToken: config.PROXY_TOKEN,
      isProduction: isProduction(config),
      operator: {
        name: config.OPERATOR_NAME,
        logo: config.OPERATOR_LOGO,
        imprintUrl: config.IMPRINT_URL,
        privacyUrl: config.PRIVACY_URL,
      },
      readStatus: createStatus(readTotals, clock),
      requestLog: telemetry.requestLog,
      room,
    }),
    internalApp: createInternalApp({
      ...health,
      // SOCKET_DIR has nothing to do with this listener, and no website has.
      site: {
        ...createSite(config, config.INTERNAL_HOST, { ...trustOf(config), isPeerProxy: false }),
        corsOrigins: [],
      },
      auth,
      token: config.INTERNAL_TOKEN,
      readTotals,
      requestLog: telemetry.internalRequestLog,
      room,
    }),
    onRefused: telemetry.refused,
    delivery,
    mail,
    startJobs() {
      delivery?.start();
      mail.delivery?.start();
      kafka?.start();
      const jobs = startServiceJobs(parts, { delivery, signingKeys: sessionService?.keys, telemetry });
      return {
        async stop() {
          await Promise.all([jobs.stop(), kafka?.stop()]);
        },
      };
    },
    async stop(cut) {
      await Promise.all([delivery?.stop(cut), mail.delivery?.stop(cut)]);
      await egress.close();
      business.close();
    },
  };
}

function createSite({ PUBLIC_URL, CORS_ORIGINS }: Config, listenHost: string, trust: Trust): Site {
  return { publicUrl: PUBLIC_URL, listenHost, corsOrigins: CORS_ORIGINS, isProxy: createPeerCheck(trust) };
}

/** Everybody who connects to a socket of `SOCKET_DIR` is a proxy. */
function trustOf({ TRUSTED_PROXIES, SOCKET_DIR }: Config): Trust {
  return { proxies: TRUSTED_PROXIES, isPeerProxy: SOCKET_DIR !== undefined };
}

function isProduction({ NODE_ENV }: Config): boolean {
  return NODE_ENV === 'production';
}

function openEgress({ config, meters }: ServiceParts): Egress {
  const count = (purpose: string, outcome: string, by: number): void =>
    meters.count('hushbox_egress_attempts_total', `${purpose} ${outcome}`, by);
  for (const purpose of PURPOSES) for (const outcome of OUTCOMES) count(purpose, outcome, 0);
  const egress = createEgress({
    allowed: config.EGRESS_ALLOW,
    servers: config.EGRESS_DNS,
    onAttempt: (purpose, outcome) => count(purpose, outcome, 1),
  });
  meters.watch('hushbox_egress_under_way', '', () => egress.size);
  meters.watch('hushbox_egress_waiting', '', () => egress.waiting);
  return egress;
}

/** Secrets, and the delivery of their events. */
function createSecretService(
  parts: ServiceParts,
  egress: Egress,
  telemetry: Telemetry,
): Pick<Service, 'delivery'> & Pick<AppParts, 'secrets'> {
  const { config, storage, ring, fence, hashing, clock } = parts;
  if (!ring || !config.SERVICES.includes('secrets')) return { delivery: undefined, secrets: undefined };
  const delivery = createDelivery({ ...parts, ring }, egress, telemetry);
  const secrets = createSecrets({
    store: storage.secrets,
    ring,
    gate: hashing.gates.phrases,
    clock,
    refusedUntil: fence.refusedUntil,
    onEvent: telemetry.secretEvent,
    notifier: createWebhooks({ ring, egress, isOpen: !isProduction(config) || config.CREATE_TOKEN !== undefined }),
    delivery,
  });
  return { delivery, secrets };
}

function createDelivery(
  parts: ServiceParts & { ring: KeyRing },
  egress: Egress,
  telemetry: Telemetry,
): Dispatcher<TakenEvent> {
  const { config, storage, ring, clock, random, log } = parts;
  const claimsFor = createCallClaims({ clock, randomBytes });
  const onError = (err: unknown): void => log.warn({ err }, 'an event was not delivered and will be tried again');
  return createDispatcher({
    store: storage.events,
    pace: WEBHOOK_PACE,
    attempt: createAttempt({ ring, egress, clock, onError, createClaims: () => claimsFor(config.PROXY_USER) }),
    destinationOf: ({ notify }) => notify.destination,
    clock,
    random,
    onResult: (result, { occurredAt }) => telemetry.webhookResult(result, clock() - occurredAt),
    onError,
  });
}

/** Both ends of a signed call: the proxy that signs and sends, and the sink that verifies. */
function createSignedCalls(
  parts: ServiceParts,
  { send }: Egress,
  { findUser }: Pick<BusinessService, 'findUser'>,
): Pick<AppParts, 'sink' | 'proxy'> {
  const { config, storage, tokenKey, clock } = parts;
  if (!tokenKey || !config.SERVICES.includes('proxy')) return { sink: undefined, proxy: undefined };
  const key = createTokenKey(tokenKey);
  const sink = createSink({ store: storage.sink, verify: (token) => verifyToken(key, token, clock()), clock });
  if (whyNoProxy(config)) return { sink, proxy: undefined };
  const claimsFor = createCallClaims({ clock, randomBytes });
  const sign = (user = config.PROXY_USER): string => signToken(key, claimsFor(user));
  return { sink, proxy: { sign, findUser, send, ownName: ownNameOf(key), ...parts.proxy } };
}

type Networks = (request: IncomingMessage) => string;

function createNetworks({ config, log, meters }: ServiceParts): Networks {
  const find = createNetworkFinder(trustOf(config), () =>
    log.warn('a trusted proxy sends an X-Forwarded-For that is no list of addresses: its clients share limits'),
  );
  const seen = { private: new Set<string>(), public: new Set<string>() };
  for (const kind of ['private', 'public'] as const) {
    meters.watch('hushbox_client_networks', kind, () => seen[kind].size);
  }
  return (request) => {
    const network = find(request);
    const isKnown = seen.public.has(network) || seen.private.has(network) || seen.public.size === MAX_NETWORKS_SEEN;
    if (!isKnown) {
      const kind = isPublicNetwork(network) ? 'public' : 'private';
      if (seen[kind].size < MAX_NETWORKS_SEEN) seen[kind].add(network);
    }
    return network;
  };
}

/** For the bodies and answers of both listeners. */
function openRoom({ config, meters }: ServiceParts, networkOf: Networks): BodyRoom {
  const room = createBodyRoom({
    maxBytes: config.BODIES_MAX_BYTES,
    bodyMaxBytes: bodyLimitBytes(config.SECRET_MAX_BYTES),
    clientOf: config.LIMITS === 'off' ? () => undefined : networkOf,
  });
  meters.watch('hushbox_bodies_bytes', '', () => room.heldBytes);
  meters.watch('hushbox_bodies_max_bytes', '', () => config.BODIES_MAX_BYTES);
  meters.watch('hushbox_bodies_refused_total', '', () => room.refused);
  return room;
}

/** Without a master key, names of limits are only hashed: what is counted there is forgotten within minutes. */
function createIds({ ring }: ServiceParts): (name: string) => Uint8Array {
  return ring ? createClientIds(ring) : (name) => hash('sha256', name, 'buffer');
}

type JobsOf = Pick<Service, 'delivery'> & { signingKeys: SigningKeys | undefined; telemetry: Telemetry };

function startServiceJobs(
  { storage, ring, fence, clock, meters, log }: ServiceParts,
  { delivery, signingKeys, telemetry }: JobsOf,
): Jobs {
  return startJobs({
    secrets: storage.secrets,
    sink: storage.sink,
    sessions: storage.sessions,
    sightings: storage.sightings,
    links: storage.links,
    mails: storage.mails,
    clock,
    refusedUntil: fence.refusedUntil,
    async refreshKeys() {
      ring?.refresh();
      await signingKeys?.reseal();
    },
    onExpired(count) {
      meters.count('hushbox_secrets_expired_total', '', count);
      delivery?.wake(); // some of them may have an event
    },
    onMailsOver(count) {
      for (let left = count; left > 0; left--) telemetry.mailResult('given_up');
    },
    onError: (err) => log.warn({ err }, 'a sweep failed and will be tried again'),
  });
}
