/** How long a measured size stays valid while the store is far from its limit. */
const FRESH_MS = 1_000;
/** From this part of the limit on, the size is measured before each creation. */
const NEAR = 0.9;

/** Keeps the size of the store below a cap without counting records. */
export type Capacity = {
  /** Reserves bytes. @returns a function that takes whether they were stored; undefined when there is no room. */
  reserve(bytes: number): Promise<((isStored: boolean) => void) | undefined>;
};

/**
 * Far from the cap the server measures its size once a second, close to it before each reservation; in between, the bytes
 * that this process reserved are added. So one process stays below the cap, and several exceed it at most by the bytes
 * they have in flight at one moment, as long as none adds a tenth of the cap in a second.
 * @param askSize measures the store, in bytes.
 */
export function createCapacity(cap: number, askSize: () => Promise<number>): Capacity {
  let size = 0;
  let askedAt = Number.NEGATIVE_INFINITY;
  /** All bytes ever reserved; those whose outcome is open; and those that `size` includes. */
  let reserved = 0;
  let open = 0;
  let known = 0;
  let asking: Promise<void> | undefined;
  let next: Promise<void> | undefined;

  const used = (): number => size + reserved - known;

  async function ask(): Promise<void> {
    const startedAt = performance.now();
    const settled = reserved - open;
    size = await askSize();
    known = settled;
    askedAt = startedAt;
  }

  /** The answer to a question asked before this call may be too old: this call shares the next one. */
  function askAgain(): Promise<void> {
    if (!asking) {
      asking = ask().finally(() => {
        asking = undefined;
      });
      return asking;
    }
    next ??= asking
      .catch(() => {})
      .then(() => {
        next = undefined;
        return askAgain();
      });
    return next;
  }

  return {
    async reserve(bytes) {
      if (bytes === 0) return () => {}; // what does not grow has room also where another process filled the store
      const isNear = used() + bytes > NEAR * cap;
      if (isNear || performance.now() - askedAt > FRESH_MS) await askAgain();
      if (used() + bytes > cap) return undefined;
      reserved += bytes;
      open += bytes;
      return (isStored) => {
        open -= bytes;
        if (!isStored) reserved -= bytes;
      };
    },
  };
}
