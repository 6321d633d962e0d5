import { setTimeout as sleep } from 'node:timers/promises';
import { type Clock, pulse } from '../clock.ts';
import type { FairQueue } from './fair-queue.ts';
import type { Pace } from './pace.ts';
import type { Settler } from './settle.ts';
import type { Leased, OutboxStore } from './store.ts';

/** How often the store is asked for due items: retries, items that other workers left, and items of burned secrets. */
const POLL_MS = 2_000;
/** The shortest pause between two such questions, however often the poll is woken. */
const POLL_LEAST_MS = 25;
const TAKE_LIMIT = 200;
const TAKE_EACH = 50;

export type PollParts<Item extends Leased> = {
  store: Pick<OutboxStore<Item>, 'takeDue' | 'hasDue'>;
  pace: Pick<Pace, 'leaseMs' | 'attemptMs'>;
  queue: FairQueue<Item>;
  settler: Settler<Item>;
  destinationOf(item: Item): Uint8Array;
  clock: Clock;
  /** In [0, 1). */
  random(): number;
  /** New items are in the queue. */
  onTaken(): void;
  onError(error: unknown): void;
};

export type Poll = {
  /** Polls until the signal. */
  run(signal: AbortSignal): Promise<void>;
  /** Looks at the store now. */
  wake(): void;
  /** There was no room for a due item: the next call of `wakeIfShort` wakes. */
  setShort(): void;
  /** To be called when there may be room again. */
  wakeIfShort(): void;
};

/** Whether enough of the lease is left to begin an attempt. */
export function hasTime({ attemptMs }: Pick<Pace, 'attemptMs'>, { dueAt }: Leased, now: number): boolean {
  return dueAt - now >= attemptMs;
}

/** Takes due items out of the store into the queue, as many as it has room for. */
export function createPoll<Item extends Leased>(parts: PollParts<Item>): Poll {
  const { store, pace, queue, settler, destinationOf, clock, random, onTaken, onError } = parts;
  let wakeUp = (): void => {};
  let isShort = false;

  /** @returns whether there is more to take at once. */
  async function takeDue(): Promise<boolean> {
    await handBack();
    const limit = Math.min(TAKE_LIMIT, queue.room);
    const without = queue.listFull(TAKE_EACH);
    isShort = limit === 0 || without.length > 0;
    if (limit === 0) return false;
    const now = clock();
    if (!(await store.hasDue(now))) return false; // asking costs less than taking
    const options = { limit, perDestination: TAKE_EACH, leaseUntil: now + pace.leaseMs, without };
    const taken = await store.takeDue(now, options);
    const homeless = taken.filter((item) => {
      const destination = destinationOf(item);
      if (!queue.hold(destination)) return true;
      queue.add(destination, item);
      return false;
    });
    onTaken();
    await settler.postponeAWhile(homeless);
    return taken.length > homeless.length && taken.length >= Math.min(limit, TAKE_EACH);
  }

  /** Gives up the items that have no time left for an attempt, and those that are too many for their address. */
  async function handBack(): Promise<void> {
    const now = clock();
    const removed = queue.remove((item) => !hasTime(pace, item, now));
    await settler.release(removed.filter((item) => !hasTime(pace, item, now)));
    await settler.postponeAWhile(removed.filter((item) => hasTime(pace, item, now)));
  }

  async function rest(isWoken: Promise<void>): Promise<void> {
    const over = new AbortController();
    const isOver = pulse(POLL_MS * (0.75 + random() / 2), over.signal).then(() => true);
    const isEarly = !(await Promise.race([isWoken, isOver]));
    over.abort();
    if (isEarly) await sleep(POLL_LEAST_MS);
  }

  return {
    async run(signal) {
      while (!signal.aborted) {
        const isWoken = new Promise<void>((resolve) => {
          wakeUp = resolve;
        });
        const isMore = await takeDue().catch((error: unknown) => {
          onError(error);
          return false;
        });
        if (!isMore) await rest(isWoken);
      }
    },
    wake: () => wakeUp(),
    setShort() {
      isShort = true;
    },
    wakeIfShort() {
      if (isShort) wakeUp();
    },
  };
}
