import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from '../../ops/log.ts';
import type { DrainOrder } from '../ipc.ts';
import { type Child, drain, kill } from './children.ts';
import type { Workers } from './workers.ts';

/** A replacement that is not ready by then is given up, and the roll with it. */
const READY_DEADLINE_MS = 30_000;
/** A worker that was replaced has as long as any request may take. The roll waits for it only a while. */
const LEAVE: DrainOrder = { type: 'drain', acceptMs: 1_000, deadlineMs: 65_000 };
const LEAVE_DEADLINE_MS = 66_000;
const LEAVE_WAIT_MS = 10_000;
const CHECK_MS = 10;

export type RollParts = { workers: Workers; count: number; log: Log };

/**
 * @returns a function that replaces one worker after the other; each old worker leaves only when the new one is ready.
 * Called during a roll, it orders one more roll.
 */
export function createRoll(parts: RollParts): () => Promise<void> {
  const { workers, log } = parts;
  let isRolling = false;
  let isWanted = false;
  return async () => {
    isWanted = true;
    if (isRolling) return;
    isRolling = true;
    while (isWanted && !workers.isStopping()) {
      isWanted = false;
      log.info('replacing the workers');
      log.info({ isComplete: await replaceAll(parts) }, 'done replacing the workers');
    }
    isRolling = false;
  };
}

async function replaceAll({ workers, count, log }: RollParts): Promise<boolean> {
  for (let number = 1; number <= count && !workers.isStopping(); number++) {
    if (await replace(workers, number)) continue;
    log.error({ worker: number }, 'the replacement did not become ready: the other workers stay');
    return false;
  }
  return !workers.isStopping();
}

async function replace(workers: Workers, number: number): Promise<boolean> {
  workers.beginReplacement(number);
  const fresh = await startReplacement(workers, number);
  const old = workers.endReplacement(number, fresh);
  if (!fresh) return false;
  if (old && !workers.isStopping()) await retire(workers, old);
  return true;
}

async function startReplacement(workers: Workers, number: number): Promise<Child | undefined> {
  for (;;) {
    const fresh = workers.fork(number);
    if (!fresh) return undefined;
    if (await becomesReady(workers, fresh)) return fresh;
    kill(fresh);
    if (!fresh.wasHit || workers.isStopping()) return undefined;
  }
}

async function becomesReady({ all }: Workers, child: Child): Promise<boolean> {
  const deadline = performance.now() + READY_DEADLINE_MS;
  while (!child.isReady && all.has(child) && performance.now() < deadline) await sleep(CHECK_MS);
  return child.isReady && all.has(child);
}

async function retire({ all }: Workers, child: Child): Promise<void> {
  drain(child, LEAVE);
  setTimeout(() => kill(child), LEAVE_DEADLINE_MS).unref();
  const deadline = performance.now() + LEAVE_WAIT_MS;
  while (all.has(child) && performance.now() < deadline) await sleep(CHECK_MS);
}
