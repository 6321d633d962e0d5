import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from '../clock.ts';
import { gather } from './gather.ts';
import { OUTCOMES, type Outcome } from './outcome.ts';
import type { Pace } from './pace.ts';
import { nextAttemptAt } from './schedule.ts';
import type { Leased, OutboxStore } from './store.ts';

/** When an item comes back that cannot be tried now: its master key is missing, or too much is under way. */
const LATER_MS = { min: 5_000, max: 60_000 };
/** How often writing down an end is tried again while the item is held. */
const FINISH_RETRY_MS = 1_000;

/** How an attempt ended, or that the item was given up. */
export const DELIVERY_RESULTS = [...OUTCOMES, 'given_up'] as const;
export type DeliveryResult = (typeof DELIVERY_RESULTS)[number];

export const IS_FAILURE: ReadonlySet<DeliveryResult> = new Set(['refused', 'unreachable', 'forbidden']);

export type SettlerParts<Item extends Leased> = {
  store: Pick<OutboxStore<Item>, 'finish' | 'postpone'>;
  pace: Pick<Pace, 'offsetsMs' | 'finishGatherMs'>;
  clock: Clock;
  /** In [0, 1). */
  random(): number;
  onResult(result: DeliveryResult, item: Item): void;
  /** The store failed; the call is tried again. */
  onError(error: unknown): void;
};

export type Settler<Item> = {
  /** Writes down how an attempt ended. @throws what the store throws: then the lease ends, and the item is tried again. */
  settle(item: Item, outcome: Outcome): Promise<void>;
  /** Makes items due now; if the store fails, their leases end instead. */
  release(items: readonly Item[]): Promise<void>;
  /** Makes items due soon, not now: if there is no room for them here, they would be taken again and again. */
  postponeAWhile(items: readonly Item[]): Promise<void>;
};

/** @param cut no end is written down a second time after that. */
export function createSettler<Item extends Leased>(parts: SettlerParts<Item>, cut: AbortSignal): Settler<Item> {
  const { store, pace, clock, random, onResult, onError } = parts;
  const finishSoon = gather<Uint8Array>(pace.finishGatherMs, (ids) => store.finish(ids));

  async function postpone(item: Item, dueAt: number, attempts = item.attempts): Promise<void> {
    await store.postpone(item, { dueAt: Math.round(dueAt), attempts });
  }

  async function finish(item: Item): Promise<void> {
    for (;;) {
      try {
        return await finishSoon(item.id);
      } catch (error) {
        if (cut.aborted || clock() >= item.dueAt) throw error;
        onError(error);
        await sleep(FINISH_RETRY_MS, undefined, { signal: cut }).catch(() => {});
      }
    }
  }

  function laterMs(retryAfterMs: number = LATER_MS.max): number {
    const { min, max } = LATER_MS;
    return Math.min(max, Math.max(min, retryAfterMs)) * (0.8 + random() * 0.4);
  }

  async function postponeAll(items: readonly Item[], waitMs: () => number): Promise<void> {
    const now = clock();
    await Promise.all(items.map((item) => postpone(item, now + waitMs()).catch(onError)));
  }

  return {
    async settle(item, { result, retryAfterMs }) {
      const now = clock();
      const { occurredAt } = item;
      if (result === 'cut') return postpone(item, now);
      if (result === 'later') return postpone(item, now + laterMs(retryAfterMs));
      if (!IS_FAILURE.has(result)) return finish(item);
      const attempts = item.attempts + 1;
      const failure = { occurredAt, now, attempts, random: random(), retryAfterMs: retryAfterMs ?? 0 };
      const dueAt = nextAttemptAt(pace, failure);
      if (dueAt !== undefined) return postpone(item, dueAt, attempts);
      onResult('given_up', item);
      return finish(item);
    },
    release: (items) => postponeAll(items, () => 0),
    postponeAWhile: (items) => postponeAll(items, () => laterMs(0)),
  };
}
