/** Permission to use one core for hashing. */
export type Slots = {
  /** Waits for a slot. @returns what gives it back. */
  acquire(): Promise<() => void>;
};

export type SharedSlots = Slots & {
  /** A slot that was wished for has come. */
  grant(): void;
};

/**
 * Slots that somebody else counts, for all processes together.
 * @param want wishes for one slot; each wish is granted once.
 * @param free gives one back.
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
