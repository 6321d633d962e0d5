import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from '../clock.ts';
import { type Begun, createLines } from './fair-queue.ts';
import { together } from './gather.ts';
import { OUTCOMES, type Outcome } from './outcome.ts';
import { nextAttemptAt } from './schedule.ts';
import type { EventStore, TakenEvent } from './store.ts';

/** How long an event is held: an attempt, and a wait for it before. */
const LEASE_MS = 45_000;
/** What must be left of it for an attempt to begin: its 15 s, and time to write down how it ended. */
const LEASE_LEFT_MS = 20_000;
/** How often the store is asked for events that are due: retries, what other workers left, other workers' burned secrets. */
const POLL_MS = 2_000;
/** And no more often than this, however often it is woken. */
const POLL_LEAST_MS = 25;
const TAKE_LIMIT = 200;
const TAKE_EACH = 50;
/** When an event comes back that cannot be tried now: its master key is missing, or too much is under way to its address. */
const LATER_MS = { min: 5_000, max: 60_000 };
/** How long ends are gathered before they are written down: so much later a place is free again. */
const FINISH_GATHER_MS = 20;
/** How often it is tried to write down an end, while the event is held. */
const FINISH_RETRY_MS = 1_000;
/** How long what is under way may go on when the worker stops. */
const STOP_MS = 3_000;

/** How an attempt ended, or that the event did. */
export const DELIVERY_RESULTS = [...OUTCOMES, 'given_up'] as const;
export type DeliveryResult = (typeof DELIVERY_RESULTS)[number];

export type DispatcherParts = {
  store: EventStore;
  /** Never rejects. @param signal cuts it short: then its outcome is `cut`. */
  attempt(event: TakenEvent, signal: AbortSignal): Promise<Outcome>;
  clock: Clock;
  /** In [0, 1). */
  random(): number;
  onResult(result: DeliveryResult, event: TakenEvent): void;
  /** The store did not do what it was asked for; it is tried again. */
  onError(error: unknown): void;
};

/** Room for an event that is about to be written. Ends with one of the two calls. */
export type Reservation = {
  /** Until when the event is held by this worker. */
  leaseUntil: number;
  /** The event was written: it is delivered now. */
  start(event: TakenEvent): void;
  /** It was not, as far as is known. */
  cancel(): void;
};

export type Dispatcher = {
  /** Takes room for the event that a read is about to write. @returns undefined where there is none. */
  reserve(notify: TakenEvent['notify'], now: number): Reservation | undefined;
  /** Starts to look for events that are due. */
  start(): void;
  /** Events are due now, that this worker wrote into the store. */
  wake(): void;
  /** Hands back what was not begun, lets what was begun end for a short while. */
  stop(cut: AbortSignal): Promise<void>;
};

/**
 * Delivers events, in every worker: those of secrets it read itself at once, from memory, and those it finds due in the
 * store. Whatever it holds is held in the store too, for a while, so that the end of this process loses nothing.
 */
export function createDispatcher({ store, attempt, clock, random, onResult, onError }: DispatcherParts): Dispatcher {
  const lines = createLines<TakenEvent>();
  const finishSoon = together<Uint8Array>(FINISH_GATHER_MS, (ids) => store.finish(ids));
  const stopping = new AbortController();
  const cutting = new AbortController();
  const running = new Set<Promise<void>>();
  let wakeUp = (): void => {};
  let isAwaited = false; // more is due in the store than there was room for
  let polling: Promise<void> | undefined;

  const hasTime = ({ dueAt }: TakenEvent): boolean => dueAt - clock() >= LEASE_LEFT_MS;

  function begin(): void {
    if (stopping.signal.aborted) return;
    for (let begun = lines.next(); begun; begun = lines.next()) track(deliver(begun));
  }

  function track(work: Promise<void>): void {
    running.add(work);
    void work.finally(() => running.delete(work));
  }

  async function deliver({ item, end }: Begun<TakenEvent>): Promise<void> {
    const outcome: Outcome = hasTime(item) ? await attempt(item, cutting.signal) : { result: 'cut' };
    onResult(outcome.result, item);
    await writeDown(item, outcome).catch(onError); // its lease ends, and it is tried again
    end(outcome.result === 'delivered' ? 'succeeded' : IS_FAILURE.has(outcome.result) ? 'failed' : 'unknown');
    begin();
    if (isAwaited) wakeUp();
  }

  async function writeDown(event: TakenEvent, outcome: Outcome): Promise<void> {
    const now = clock();
    const { attempts, occurredAt } = event;
    if (outcome.result === 'cut') return postpone(event, now, attempts);
    if (outcome.result === 'later') return postpone(event, now + laterMs(outcome.retryAfterMs), attempts);
    if (!IS_FAILURE.has(outcome.result)) return finish(event);
    const { retryAfterMs = 0 } = outcome;
    const dueAt = nextAttemptAt({ occurredAt, now, attempts: attempts + 1, random: random(), retryAfterMs });
    if (dueAt !== undefined) return postpone(event, dueAt, attempts + 1);
    onResult('given_up', event);
    return finish(event);
  }

  function laterMs(retryAfterMs: number | undefined): number {
    const { min, max } = LATER_MS;
    return Math.min(max, Math.max(min, retryAfterMs ?? max)) * (0.8 + random() * 0.4);
  }

  async function postpone(event: TakenEvent, dueAt: number, attempts: number): Promise<void> {
    await store.postpone(event, { dueAt: Math.round(dueAt), attempts });
  }

  async function finish(event: TakenEvent): Promise<void> {
    for (;;) {
      try {
        return await finishSoon(event.id);
      } catch (error) {
        if (cutting.signal.aborted || clock() >= event.dueAt) throw error;
        onError(error);
        await sleep(FINISH_RETRY_MS, undefined, { signal: cutting.signal }).catch(() => {});
      }
    }
  }

  /** Hands events back as due now; where that fails their leases end. */
  async function release(events: readonly TakenEvent[]): Promise<void> {
    const now = clock();
    await Promise.all(events.map((event) => postpone(event, now, event.attempts).catch(onError)));
  }

  /** @returns whether there is more to take at once. */
  async function takeDue(): Promise<boolean> {
    await release(lines.remove((event) => !hasTime(event)));
    const limit = Math.min(TAKE_LIMIT, lines.room);
    const without = lines.listFull(TAKE_EACH);
    isAwaited = limit === 0 || without.length > 0;
    if (limit === 0) return false;
    const now = clock();
    if (!(await store.hasDue(now))) return false; // looking costs less than taking
    const leaseUntil = now + LEASE_MS;
    const taken = await store.takeDue(now, { limit, perDestination: TAKE_EACH, leaseUntil, without });
    const homeless = taken.filter((event) => {
      if (!lines.hold(event.notify.destination)) return true;
      lines.add(event.notify.destination, event);
      return false;
    });
    begin();
    // Soon, not at once: what has no place here would be taken again and again.
    await Promise.all(homeless.map((event) => postpone(event, clock() + laterMs(0), event.attempts).catch(onError)));
    return taken.length > homeless.length && taken.length >= Math.min(limit, TAKE_EACH);
  }

  async function poll(): Promise<void> {
    const { signal } = stopping;
    while (!signal.aborted) {
      const isWoken = new Promise<boolean>((resolve) => {
        wakeUp = () => resolve(true);
      });
      const isMore = await takeDue().catch((error: unknown) => {
        onError(error);
        return false;
      });
      if (isMore) continue;
      const tired = new AbortController();
      const wait = sleep(POLL_MS * (0.75 + random() / 2), undefined, { signal: tired.signal, ref: false }).catch(
        () => {},
      );
      await Promise.race([isWoken, wait]);
      tired.abort();
      await sleep(POLL_LEAST_MS);
    }
  }

  return {
    reserve({ destination }, now) {
      if (stopping.signal.aborted || !lines.hold(destination)) {
        isAwaited = true;
        return undefined;
      }
      return {
        leaseUntil: now + LEASE_MS,
        start(event) {
          // While the worker stops it is handed back, or its lease ends: then another takes it.
          lines.add(destination, event);
          begin();
        },
        cancel: () => lines.drop(destination),
      };
    },
    start() {
      polling = poll();
    },
    wake: () => wakeUp(),
    async stop(cut) {
      stopping.abort();
      wakeUp();
      const isOver = new AbortController();
      const grace = sleep(STOP_MS, undefined, { signal: AbortSignal.any([cut, isOver.signal]) }).catch(() => {});
      void grace.then(() => cutting.abort());
      await polling;
      await release(lines.remove(() => true));
      while (running.size > 0) await Promise.all(running);
      isOver.abort();
    },
  };
}

const IS_FAILURE: ReadonlySet<DeliveryResult> = new Set(['refused', 'unreachable', 'forbidden']);
