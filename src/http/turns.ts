import { AppError } from '../errors.ts';

/** How many bytes may be worked on at once; something larger is worked on alone. */
const AT_ONCE_BYTES = 4 * 1024 * 1024;
/** How long something may wait for its turn. */
const WAIT_MS = 30_000;

/**
 * Large bodies and answers take turns. While it is worked on, one is in memory several times (as bytes, as text, sealed,
 * on its way to the storage), and each step of it holds the event loop for some milliseconds: one turn begins in each
 * round of the loop, so that small requests come in between.
 */
export type Turns = {
  /**
   * Resolves when the turn begins; `end` ends it.
   * @throws AppError BUSY after 30 s.
   */
  take(bytes: number): Turn;
};
export type Turn = {
  begun: Promise<void>;
  /** Of a turn that has not begun: it never will, and `begun` stays open. */
  end(): void;
};

type Waiting = { bytes: number; begin(): void };

export function createTurns(waitMs = WAIT_MS): Turns {
  const waiting = new Set<Waiting>();
  let takenBytes = 0;
  let isScheduled = false;

  function schedule(): void {
    const [first] = waiting;
    const fits = first && (takenBytes === 0 || takenBytes + first.bytes <= AT_ONCE_BYTES);
    if (!fits || isScheduled) return;
    isScheduled = true;
    setImmediate(() => {
      isScheduled = false;
      beginNext();
      schedule();
    });
  }

  function beginNext(): void {
    const [first] = waiting; // may have left since
    if (!first || (takenBytes > 0 && takenBytes + first.bytes > AT_ONCE_BYTES)) return;
    waiting.delete(first);
    takenBytes += first.bytes;
    first.begin();
  }

  return {
    take(bytes) {
      const { promise: begun, resolve, reject } = Promise.withResolvers<void>();
      let hasBegun = false;
      let isOver = false;
      const entry: Waiting = {
        bytes,
        begin() {
          clearTimeout(deadline);
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
