import { AppError } from '../errors.ts';
import type { Hash } from './hash-queue.ts';

/** Places in one lane of one worker's queue, including phrases that are being hashed. */
export const MAX_PLACES = 64;
const TOO_MANY = 'Too many phrases or passwords are being checked right now';

export type Gate = {
  /**
   * Runs `work`, which may hash. Work under the same `group` runs one at a time; work without one does not wait.
   * @throws AppError BUSY when no place is free; then `work` has not begun.
   */
  run<T>(group: string | undefined, work: (hash: Hash) => Promise<T>): Promise<T>;
  /** Places taken now. */
  readonly size: number;
  /** Number of times that no place was free. */
  readonly rejected: number;
};

/** The bounded queue before the slots. */
export function createGate(hash: Hash): Gate {
  const lastOfGroup = new Map<string, Promise<unknown>>();
  let size = 0;
  let rejected = 0;

  async function runInTurn<T>(group: string, work: () => Promise<T>): Promise<T> {
    const previous = lastOfGroup.get(group);
    const turn = previous ? previous.then(work, work) : work();
    const settled = turn.catch(() => {});
    lastOfGroup.set(group, settled);
    try {
      return await turn;
    } finally {
      if (lastOfGroup.get(group) === settled) lastOfGroup.delete(group);
    }
  }

  return {
    async run(group, work) {
      if (size >= MAX_PLACES) {
        rejected += 1;
        throw new AppError('BUSY', { detail: TOO_MANY, retryAfterSeconds: 1 });
      }
      size += 1;
      try {
        return await (group === undefined ? work(hash) : runInTurn(group, () => work(hash)));
      } finally {
        size -= 1;
      }
    },
    get size() {
      return size;
    },
    get rejected() {
      return rejected;
    },
  };
}
