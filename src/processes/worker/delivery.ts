import type { Config } from '../../config/config.ts';
import { createEgress, type Egress, OUTCOMES, PURPOSES } from '../../egress/egress.ts';
import type { Log } from '../../ops/log.ts';
import type { Meters } from '../../ops/metrics/meters.ts';
import { createDispatcher, type Dispatcher } from '../../outbox/dispatcher.ts';
import type { KeyRing } from '../../sealing/key-ring.ts';
import { randomBytes } from '../../sealing/random.ts';
import { createCallClaims } from '../../tokens/calls/sign.ts';
import { createAttempt } from '../../webhooks/attempt.ts';
import type { EventStore, TakenEvent } from '../../webhooks/store.ts';
import { createWebhooks, type Webhooks } from '../../webhooks/webhooks.ts';
import type { Telemetry } from './telemetry.ts';

const COUNT_WAITING_MS = 15_000;

export type DeliveryParts = { config: Config; log: Log; meters: Meters; workerNumber: number };
export type DeliveryNeeds = { ring: KeyRing; telemetry: Telemetry; events: EventStore };

/** The way out of a worker, and what goes there of itself: events. */
export type Delivery = {
  egress: Egress;
  dispatcher: Dispatcher<TakenEvent>;
  notifier: Webhooks;
  /** Lets deliveries end for a short while, then ends everything that is under way. */
  stop(cut: AbortSignal): Promise<void>;
};

export function createDelivery(parts: DeliveryParts, needs: DeliveryNeeds): Delivery {
  const { config, meters, workerNumber } = parts;
  const egress = openEgress(parts);
  const dispatcher = openDispatcher(parts, needs, egress);
  if (workerNumber === 1) watchWaiting(meters, needs.events); // one worker counts for all
  const isOpen = config.NODE_ENV !== 'production' || config.CREATE_TOKEN !== undefined;
  return {
    egress,
    dispatcher,
    notifier: createWebhooks({ ring: needs.ring, egress, isOpen }),
    async stop(cut) {
      await dispatcher.stop(cut);
      await egress.close();
    },
  };
}

function openEgress({ config, meters }: DeliveryParts): Egress {
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

function openDispatcher(
  { config, log }: DeliveryParts,
  { ring, telemetry, events }: DeliveryNeeds,
  egress: Egress,
): Dispatcher<TakenEvent> {
  const clock = Date.now;
  const onError = (err: unknown): void => log.warn({ err }, 'an event was not delivered, will be tried again');
  const claimsFor = createCallClaims({ clock, randomBytes });
  return createDispatcher({
    store: events,
    attempt: createAttempt({ ring, egress, clock, onError, createClaims: () => claimsFor(config.PROXY_USER) }),
    destinationOf: ({ notify }) => notify.destination,
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
