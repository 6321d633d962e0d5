/** The current instant in milliseconds since the epoch. Passed in, so that tests can move it. */
export type Clock = () => number;

/** Waits that end within half of this time of each other end together. */
export const PULSE_MS = 1_000;

type Wait = { until: number; end(): void };
const waits = new Set<Wait>();
let next: { at: number; timer: NodeJS.Timeout } | undefined;

/**
 * Waits about this long: up to half a second less, so that the waits of a process end together, and an idle one wakes
 * once for all of them. Keeps no process alive.
 * @param signal ends the wait early.
 */
export function pulse(ms: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const wait: Wait = {
      until: performance.now() + ms,
      end() {
        waits.delete(wait);
        signal?.removeEventListener('abort', wait.end);
        resolve();
      },
    };
    waits.add(wait);
    signal?.addEventListener('abort', wait.end);
    wakeAt(wait.until);
  });
}

/** Does something again and again, with such a wait before each time, for as long as the process lives. */
export async function repeat(ms: number, run: () => unknown): Promise<never> {
  for (;;) {
    await pulse(ms);
    await run();
  }
}

function wakeAt(at: number): void {
  if (next && next.at <= at) return;
  clearTimeout(next?.timer);
  next = { at, timer: setTimeout(tick, at - performance.now()).unref() };
}

function tick(): void {
  next = undefined;
  const soon = performance.now() + PULSE_MS / 2;
  let earliest = Number.POSITIVE_INFINITY;
  for (const wait of [...waits]) {
    if (wait.until <= soon) wait.end();
    else earliest = Math.min(earliest, wait.until);
  }
  if (waits.size > 0) wakeAt(earliest);
}
