const LOOK_EVERY_MS = 100;

/** Until when a request may continue: its next step, and the whole. */
export type Deadline = {
  /** How much time the next step has, from now. */
  allow(ms: number): void;
  stop(): void;
};

type Clock = { stepAt: number; allAt: number; expire(): void };

export type Deadlines = {
  /** Expires up to 100 ms late. @param allMs for all steps together. */
  start(stepMs: number, allMs: number, expire: () => void): Deadline;
  /** All expire. */
  close(): void;
};

/**
 * One timer for all requests: each request moves its deadline with every chunk, and a timer of its own costs more.
 */
export function createDeadlines(): Deadlines {
  const clocks = new Set<Clock>();
  let timer: NodeJS.Timeout | undefined;

  function look(): void {
    const now = performance.now();
    for (const clock of clocks) {
      if (now < clock.stepAt && now < clock.allAt) continue;
      clocks.delete(clock);
      clock.expire();
    }
    if (clocks.size === 0) rest();
  }

  function rest(): void {
    clearInterval(timer);
    timer = undefined;
  }

  return {
    start(stepMs, allMs, expire) {
      const now = performance.now();
      const clock: Clock = { stepAt: now + stepMs, allAt: now + allMs, expire };
      clocks.add(clock);
      timer ??= setInterval(look, LOOK_EVERY_MS).unref();
      return {
        allow(ms) {
          clock.stepAt = performance.now() + ms;
        },
        stop: () => void clocks.delete(clock),
      };
    },
    close() {
      rest();
      for (const clock of clocks) {
        clocks.delete(clock);
        clock.expire();
      }
    },
  };
}
