import { AppError } from '../errors.ts';

/** Requests that wait at one gate, and at all of them. */
const MAX_WAITING = 256;
const MAX_WAITING_IN_ALL = 1_024;
const WAIT_MS = 5_000;
/** Requests under way in all: each may need a file descriptor of its own. */
const MAX_IN_ALL = 2_048;

type Gate = { inside: number; waiting: Waiter[] };
type Waiter = { keys: readonly string[]; let(): void };

export type Gates = {
  /**
   * Goes through the gates of all keys at once, or waits for them in turn.
   * @returns a promise only where it has to wait.
   * @throws AppError DESTINATION_BUSY when too many wait, or it waited too long; or the signal's reason.
   */
  enter(keys: readonly string[], signal: AbortSignal | undefined): Promise<void> | undefined;
  leave(keys: readonly string[]): void;
  readonly inside: number;
  readonly waiting: number;
};

/** @param places how many may be inside of one gate. */
export function createGates(places: number, waitMs = WAIT_MS): Gates {
  const gates = new Map<string, Gate>();
  let inside = 0;
  let waiting = 0;

  const fullAmong = (keys: readonly string[]): Gate | undefined => {
    for (const key of keys) {
      const gate = gates.get(key);
      if (gate && gate.inside >= places) return gate;
    }
    return undefined;
  };

  function take(keys: readonly string[]): void {
    inside += 1;
    for (const key of keys) {
      const gate = gates.get(key);
      if (gate) gate.inside += 1;
      else gates.set(key, { inside: 1, waiting: [] });
    }
  }

  /** Who finds another of its gates full waits there instead. */
  function admit(gate: Gate): void {
    while (gate.inside < places) {
      const waiter = gate.waiting.shift();
      if (!waiter) return;
      const full = fullAmong(waiter.keys);
      if (full) full.waiting.push(waiter);
      else waiter.let();
    }
  }

  function wait(gate: Gate, keys: readonly string[], signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        waiting -= 1;
        clearTimeout(timer);
        signal?.removeEventListener('abort', leave);
      };
      const giveUp = (error: unknown): void => {
        settle();
        for (const key of keys) {
          const line = gates.get(key)?.waiting;
          const place = line?.indexOf(waiter) ?? -1;
          if (place !== -1) line?.splice(place, 1);
        }
        reject(error);
      };
      const leave = (): void => giveUp(signal?.reason);
      const timer = setTimeout(() => giveUp(busy()), waitMs).unref();
      const waiter: Waiter = {
        keys,
        let() {
          settle();
          take(keys);
          resolve();
        },
      };
      waiting += 1;
      gate.waiting.push(waiter);
      signal?.addEventListener('abort', leave, { once: true });
    });
  }

  return {
    enter(keys, signal) {
      if (inside >= MAX_IN_ALL) throw busy();
      const full = fullAmong(keys);
      if (!full) {
        take(keys);
        return undefined;
      }
      if (full.waiting.length >= MAX_WAITING || waiting >= MAX_WAITING_IN_ALL) throw busy();
      return wait(full, keys, signal);
    },
    leave(keys) {
      inside -= 1;
      for (const key of keys) {
        const gate = gates.get(key) as Gate;
        gate.inside -= 1;
      }
      for (const key of keys) {
        const gate = gates.get(key) as Gate;
        admit(gate);
        if (gate.inside === 0 && gate.waiting.length === 0) gates.delete(key);
      }
    },
    get inside() {
      return inside;
    },
    get waiting() {
      return waiting;
    },
  };
}

function busy(): AppError {
  return new AppError('DESTINATION_BUSY', { retryAfterSeconds: WAIT_MS / 1000 });
}
