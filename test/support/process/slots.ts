import type { Slots } from '../../../src/hashing/slots.ts';

/** Slots of this process alone; first come, first served. */
export function createLocalSlots(count: number): Slots {
  let free = count;
  const waiting: (() => void)[] = [];
  function release(): void {
    const next = waiting.shift();
    if (next) next();
    else free += 1;
  }
  return {
    acquire() {
      if (free > 0) {
        free -= 1;
        return Promise.resolve(release);
      }
      return new Promise((resolve) => waiting.push(() => resolve(release)));
    },
  };
}
