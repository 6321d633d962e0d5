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
   * @returns a promise only if it has to wait.
   * @throws AppError DESTINATION_BUSY when too many wait, or it waited too long; or the signal's reason.
   */
  enter(keys: readonly string[], signal: AbortSignal | undefined): Promise<void> | undefined;
  leave(keys: readonly string[]): void;
  readonly inside: number;
  readonly waiting: number;
};

/** @param places how many requests may be inside one gate. */
export function createGates(places: number, waitMs = WAIT_MS): Gates {
  const gates = new Map<string, Gate>();
  let inside = 0;
  let waiting = 0;

  const fullAmong = (keys: readonly string[]): Gate | undefined =>
    keys.map((key) => gates.get(key)).find((gate) => gate && gate.inside >= places);

  function take(keys: readonly string[]): void {
    inside += 1;
    for (const key of keys) {
      const gate = gates.get(key);
      if (gate) gate.inside += 1;
      else gates.set(key, { inside: 1, waiting: [] });
    }
  }

  /** A waiter whose other gates include a full one waits there instead. */
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
    const { waiter, passed } = createWaiter(keys, waitMs, signal, {
      pass() {
        waiting -= 1;
        take(keys);
      },
      giveUp() {
        waiting -= 1;
        for (const key of keys) removeFrom(gates.get(key)?.waiting ?? [], waiter);
      },
    });
    waiting += 1;
    gate.waiting.push(waiter);
    return passed;
  }

  return {
    enter(keys, signal) {
      if (inside >= MAX_IN_ALL) throw busy();
      const full = fullAmong(keys);
      if (!full) return void take(keys);
      if (full.waiting.length >= MAX_WAITING || waiting >= MAX_WAITING_IN_ALL) throw busy();
      return wait(full, keys, signal);
    },
    leave(keys) {
      inside -= 1;
      for (const key of keys) (gates.get(key) as Gate).inside -= 1;
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

/** Waits to be let in. Takes its place, or its leave, in the same turn in which it is let in or gives up. */
function createWaiter(
  keys: readonly string[],
  waitMs: number,
  signal: AbortSignal | undefined,
  on: { pass(): void; giveUp(): void },
): { waiter: Waiter; passed: Promise<void> } {
  const { promise: passed, resolve, reject } = Promise.withResolvers<void>();
  const settle = (): void => {
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
  };
  const giveUp = (error: unknown): void => {
    settle();
    on.giveUp();
    reject(error);
  };
  const onAbort = (): void => giveUp(signal?.reason);
  const timer = setTimeout(() => giveUp(busy()), waitMs).unref();
  signal?.addEventListener('abort', onAbort, { once: true });
  const waiter = {
    keys,
    let() {
      settle();
      on.pass();
      resolve();
    },
  };
  return { waiter, passed };
}

function removeFrom(waiting: Waiter[], waiter: Waiter): void {
  const index = waiting.indexOf(waiter);
  if (index !== -1) waiting.splice(index, 1);
}

function busy(): AppError {
  return new AppError('DESTINATION_BUSY', { retryAfterSeconds: WAIT_MS / 1000 });
}
