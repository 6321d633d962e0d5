/** So long a size that was asked for is good enough, while there is plenty of room. */
const FRESH_MS = 1_000;
/** From here on it is asked for before each creation. */
const NEAR = 0.9;

/** Keeps what is stored below a cap, without counting it by ourselves. */
export type Room = {
  /** Reserves so many bytes. @returns what is to be told whether they are stored; undefined when there is no room. */
  reserve(bytes: number): Promise<((isStored: boolean) => void) | undefined>;
};

/**
 * Far from the cap the server is asked for its size once a second, close to it before each reservation; in between, what
 * this process reserved is added. So one process stays below the cap, and several go beyond it at most by what they have
 * under way at one moment, for as long as none adds a tenth of the cap in a second.
 * @param askSize what is stored, in bytes.
 */
export function createRoom(cap: number, askSize: () => Promise<number>): Room {
  let size = 0;
  let askedAt = Number.NEGATIVE_INFINITY;
  /** All bytes ever reserved; those whose outcome is open; and those reserved that `size` knows of. */
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

  /** An answer that was on its way when we came may be too old: we share the one after it. */
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
