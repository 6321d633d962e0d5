/** Permission to use one core for hashing. */
export type Slots = {
  /** Waits for a slot. @returns what gives it back. */
  acquire(): Promise<() => void>;
};

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

/** A slot that one job after the other of this process may use before it goes back to the others. */
const MAX_IN_A_ROW = 8;

export type SharedSlots = Slots & {
  /** A slot that was wished for has come. */
  grant(): void;
};

/**
 * Slots that somebody else counts, for all processes together. A slot that becomes free is used again here at once
 * while jobs wait, for a few in a row: the way to the counter and back would leave its core idle.
 * @param want wishes for one slot; each wish is granted once.
 * @param free gives one back.
 */
export function createSharedSlots({ want, free }: { want(): void; free(): void }): SharedSlots {
  const waiting: ((release: () => void) => void)[] = [];
  let wished = 0;

  function serve(inARow: number): void {
    const next = inARow < MAX_IN_A_ROW ? waiting.shift() : undefined;
    if (next) next(() => serve(inARow + 1));
    else free();
  }

  return {
    acquire() {
      return new Promise((resolve) => {
        waiting.push(resolve);
        // A wish whose job was served by a slot that stayed here is still open: it will do for the next job.
        if (wished >= waiting.length) return;
        wished += 1;
        want();
      });
    },
    grant() {
      wished -= 1;
      serve(0);
    },
  };
}
