import { setTimeout as sleep } from 'node:timers/promises';
import { PULSE_MS, pulse } from '../clock.ts';
import type { Fence } from './fence.ts';

/** While it is unknown which secrets to refuse, none is handed out: asks again sooner. */
const RETRY_MS = 250;
/** How long the end waits for the database and the file; without them the last second is not marked. */
const END_MS = 1_000;

export type Heartbeat = {
  /** Resolves when it is known for the first time which secrets to refuse. */
  known: Promise<void>;
  stop(): Promise<void>;
};

/** Beats once a second, until stopped. */
export function startHeartbeat(fence: Fence): Heartbeat {
  const stopping = new AbortController();
  const { signal } = stopping;
  const { promise: known, resolve } = Promise.withResolvers<void>();

  async function run(): Promise<void> {
    while (!signal.aborted) {
      const beginning = pulse(PULSE_MS, signal);
      const isKnown = await fence.beat();
      if (isKnown) resolve();
      if (isKnown) await beginning;
      else await sleep(RETRY_MS, undefined, { signal, ref: false }).catch(() => {});
    }
  }

  const done = run();
  return {
    known,
    async stop() {
      stopping.abort();
      await Promise.race([done.then(fence.end), sleep(END_MS, undefined, { ref: false })]);
    },
  };
}
