/** Permission to use one core for hashing. */
export type Slots = {
  /** Waits for a slot. @returns a function that gives it back. */
  acquire(): Promise<() => void>;
};

export type SharedSlots = Slots & {
  /** Hands over a slot that was requested. */
  grant(): void;
};

/**
 * Slots that the primary counts for all processes.
 * @param want requests one slot; each request is granted once.
 * @param free gives one slot back.
 */
export function createSharedSlots({ want, free }: { want(): void; free(): void }): SharedSlots {
  const waiting: ((release: () => void) => void)[] = [];
  return {
    acquire() {
      return new Promise((resolve) => {
        waiting.push(resolve);
        want();
      });
    },
    grant() {
      waiting.shift()?.(free);
    },
  };
}
