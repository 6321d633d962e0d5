import { setTimeout as sleep } from 'node:timers/promises';
import { createGate, type Gate } from './gate.ts';
import { createHashQueue, type Lane } from './hash-queue.ts';
import type { Slots } from './slots.ts';
import { createHashThreads } from './threads.ts';

const GATE_CHECK_MS = 10;

export const LANES = ['phrases', 'passwords'] as const;
export type LaneName = (typeof LANES)[number];

export type Hashing = {
  /** One for each lane: what waits in one takes no place in the other. */
  gates: Readonly<Record<LaneName, Gate>>;
  lanes: Readonly<Record<LaneName, Pick<Lane, 'waiting'>>>;
  /**
   * Waits until all hashing is done, then ends the threads. A client that left may still have work under way.
   * @param cut ends the wait.
   */
  close(cut: AbortSignal): Promise<void>;
};

/** Hashing of phrases and passwords: bounded gates, a queue of two lanes before the slots, and threads. */
export function createHashing(slots: Slots): Hashing {
  const threads = createHashThreads();
  const addLane = createHashQueue(slots, threads.hashAll);
  const lanes = { phrases: addLane(), passwords: addLane() };
  const gates = {
    phrases: createGate(lanes.phrases.hash),
    passwords: createGate(lanes.passwords.hash),
  };
  return {
    gates,
    lanes,
    async close(cut) {
      while (gates.phrases.size + gates.passwords.size > 0 && !cut.aborted) await sleep(GATE_CHECK_MS);
      await threads.close();
    },
  };
}
