import { AppError } from '../errors.ts';

/** How many bytes may be worked on at once; something larger is worked on alone. */
const AT_ONCE_BYTES = 1.5 * 1024 * 1024;
/** How long something may wait for its turn. */
const WAIT_MS = 30_000;

/**
 * Large bodies and answers take turns. While it is worked on, one is in memory several times (as bytes, as text, sealed,
 * on its way to the storage), and each step of it holds the event loop for some milliseconds: one turn begins in each
 * round of the loop, so that small requests come in between.
 */
export type Turns = {
  /**
   * Asks for a turn.
   * @param isUnderWay whether something was done already, which takes memory until the rest is done: then others wait.
   */
  take(bytes: number, isUnderWay?: boolean): Turn;
};
export type Turn = {
  /** @throws AppError BUSY after 30 s. */
  begun: Promise<void>;
  /** A turn that has not begun never will, and `begun` stays open. */
  end(): void;
};

type Waiting = { bytes: number; begin(): void };

export function createTurns(waitMs = WAIT_MS): Turns {
  const beginning = new Set<Waiting>();
  const underWay = new Set<Waiting>();
  let takenBytes = 0;
  let isScheduled = false;

  /** The next one, if it can begin now. */
  function next(): Waiting | undefined {
    const [first] = underWay.size > 0 ? underWay : beginning;
    const fits = first && (takenBytes === 0 || takenBytes + first.bytes <= AT_ONCE_BYTES);
    return fits ? first : undefined;
  }

  function schedule(): void {
    if (isScheduled || !next()) return;
    isScheduled = true;
    setImmediate(() => {
      isScheduled = false;
      next()?.begin(); // if it has not left since
      schedule();
    });
  }

  return {
    take(bytes, isUnderWay = false) {
      const waiting = isUnderWay ? underWay : beginning;
      const { promise: begun, resolve, reject } = Promise.withResolvers<void>();
      let hasBegun = false;
      let isOver = false;
      const entry: Waiting = {
        bytes,
        begin() {
          clearTimeout(deadline);
          waiting.delete(entry);
          takenBytes += bytes;
          hasBegun = true;
          resolve();
        },
      };
      const deadline = setTimeout(() => {
        waiting.delete(entry);
        schedule();
        reject(new AppError('BUSY', { detail: TOO_MUCH, retryAfterSeconds: 1 }));
      }, waitMs);
      waiting.add(entry);
      schedule();
      return {
        begun,
        end() {
          if (isOver) return;
          isOver = true;
          clearTimeout(deadline);
          waiting.delete(entry);
          if (hasBegun) takenBytes -= bytes;
          schedule();
        },
      };
    },
  };
}

export const TOO_MUCH = 'Too many large secrets are being sent or read right now';
