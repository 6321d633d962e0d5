import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from '../clock.ts';
import { type Begun, createFairQueue } from './fair-queue.ts';
import type { Attempt } from './outcome.ts';
import type { Pace } from './pace.ts';
import { createPoll, hasTime } from './poll.ts';
import { createSettler, type DeliveryResult, IS_FAILURE } from './settle.ts';
import type { Leased, OutboxStore } from './store.ts';

/** How long attempts under way may continue when the worker stops. */
const STOP_MS = 3_000;

export type DispatcherParts<Item extends Leased> = {
  store: OutboxStore<Item>;
  attempt: Attempt<Item>;
  pace: Pace;
  destinationOf(item: Item): Uint8Array;
  clock: Clock;
  /** In [0, 1). */
  random(): number;
  onResult(result: DeliveryResult, item: Item): void;
  /** The store failed; the call is tried again. */
  onError(error: unknown): void;
};

/** Room for an item that is about to be written. Ends with one of the two calls. */
export type Reservation<Item> = {
  /** Until when this worker holds the item. */
  leaseUntil: number;
  /** The item was written: it is delivered now or, if the worker is stopping, by another worker. */
  start(item: Item): void;
  /** The item was not written, as far as is known. */
  cancel(): void;
};

export type Dispatcher<Item> = {
  /** Takes room for an item that is about to be written. @returns undefined if there is no room. */
  reserve(item: { destination: Uint8Array }, now: number): Reservation<Item> | undefined;
  /** Starts to look for due items. */
  start(): void;
  /** Looks for due items now: this worker wrote some into the store. */
  wake(): void;
  /** Hands back the items that were not begun, and lets attempts under way end for a short while. */
  stop(cut: AbortSignal): Promise<void>;
};

/**
 * Delivers items, in every worker: those that the worker wrote itself at once, from memory, and those that it finds due
 * in the store. The store holds every item that the worker has, for a while, so that the end of this process loses none.
 */
export function createDispatcher<Item extends Leased>(parts: DispatcherParts<Item>): Dispatcher<Item> {
  const { attempt, pace, clock, onResult, onError } = parts;
  const queue = createFairQueue<Item>(pace);
  const stopping = new AbortController();
  const cutting = new AbortController();
  const settler = createSettler(parts, cutting.signal);
  const poll = createPoll({ ...parts, queue, settler, onTaken: begin });
  const running = createRunning();
  let isBeginning = false;
  let polling: Promise<void> | undefined;

  function begin(): void {
    if (stopping.signal.aborted || isBeginning) return;
    isBeginning = true;
    for (let begun = queue.next(); begun; begun = queue.next()) running.add(deliver(begun));
    isBeginning = false;
  }

  async function deliver(begun: Begun<Item>): Promise<void> {
    const { item } = begun;
    const enter = (address: string): boolean => {
      const isIn = begun.enter(address);
      if (isIn) begin(); // the others of its destination go to the same address
      return isIn;
    };
    const tried = hasTime(pace, item, clock()) ? await attempt(item, enter, cutting.signal) : CUT;
    const isCrowded = tried.result === 'crowded';
    if (isCrowded && !stopping.signal.aborted) begun.putBack();
    else {
      const outcome = isCrowded ? CUT : tried;
      onResult(outcome.result, item);
      await settler.settle(item, outcome).catch(onError);
      begun.end(outcome.result === 'delivered' ? 'succeeded' : IS_FAILURE.has(outcome.result) ? 'failed' : 'unknown');
    }
    begin();
    poll.wakeIfShort();
  }

  return {
    reserve({ destination }, now) {
      if (stopping.signal.aborted || !queue.hold(destination)) {
        poll.setShort();
        return undefined;
      }
      return {
        leaseUntil: now + pace.leaseMs,
        start(item) {
          queue.add(destination, item);
          begin();
        },
        cancel: () => queue.drop(destination),
      };
    },
    start() {
      polling = poll.run(stopping.signal);
    },
    wake: poll.wake,
    async stop(cut) {
      stopping.abort();
      poll.wake();
      const isOver = new AbortController();
      const grace = sleep(STOP_MS, undefined, { signal: AbortSignal.any([cut, isOver.signal]) });
      void grace.catch(() => {}).then(() => cutting.abort());
      await polling;
      await settler.release(queue.remove(() => true));
      await running.end();
      isOver.abort();
    },
  };
}

const CUT = { result: 'cut' } as const;

/** Work under way; `end` waits until there is no more. */
function createRunning(): { add(work: Promise<void>): void; end(): Promise<void> } {
  const running = new Set<Promise<void>>();
  return {
    add(work) {
      running.add(work);
      void work.finally(() => running.delete(work));
    },
    async end() {
      while (running.size > 0) await Promise.all(running);
    },
  };
}
