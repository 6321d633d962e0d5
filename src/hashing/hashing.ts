import { setTimeout as sleep } from 'node:timers/promises';
import { createGate, type Gate } from './gate.ts';
import { createHashQueue } from './hash-queue.ts';
import type { Slots } from './slots.ts';
import { createHashThreads } from './threads.ts';

const GATE_CHECK_MS = 10;

export type Hashing = {
  gate: Gate;
  /** Phrases that wait for a slot now. */
  readonly waiting: number;
  /**
   * Waits until all hashing is done, then ends the threads. A client that left may still have work under way.
   * @param cut ends the wait.
   */
  close(cut: AbortSignal): Promise<void>;
};

/** Hashing of phrases: a bounded gate, a queue before the slots, and threads. */
export function createHashing(slots: Slots): Hashing {
  const threads = createHashThreads();
  const queue = createHashQueue(slots, threads.hashAll);
  const gate = createGate(queue.hash);
  return {
    gate,
    get waiting() {
      return queue.waiting;
    },
    async close(cut) {
      while (gate.size > 0 && !cut.aborted) await sleep(GATE_CHECK_MS);
      await threads.close();
    },
  };
}
