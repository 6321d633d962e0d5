import { EXIT_HOPELESS } from '../ipc.ts';
import { type Child, type ChildrenParts, createChildren } from './children.ts';

/** A worker that dies sooner after its start is started again after a back-off. */
const YOUNG_MS = 5_000;
/** This many starts in a row that did not become ready end the program, so that its supervisor sees them. */
const MAX_FAILURES = 6;
const BACKOFF_MS = 100;
const MAX_BACKOFF_MS = 30_000;

export type WorkersParts = Pick<ChildrenParts, 'env' | 'log' | 'onMessage'> & {
  count: number;
  /** Called after the exit of any worker, ordered or not. */
  onExit(child: Child): void;
  /** Called once, when all workers are ready for the first time. */
  onAllReady(): void;
  /** Workers die as soon as they start, and another start would not help. */
  onHopeless(): void;
};

/** Keeps one worker of each number running: one that dies is started again, after a back-off if it failed. */
export type Workers = {
  /** All processes, replacements and leaving workers included. */
  readonly all: ReadonlySet<Child>;
  isStopping(): boolean;
  countReady(): number;
  startAll(): void;
  /** From here to `endReplacement`, only `fork` starts a worker of this number. */
  beginReplacement(number: number): void;
  /** @returns undefined where no process can be started. */
  fork(number: number): Child | undefined;
  /** @param fresh the new worker; undefined when the replacement failed. @returns the old one, if it is alive. */
  endReplacement(number: number, fresh: Child | undefined): Child | undefined;
  /** Starts no more workers, and stops each that runs with `stopOne`. */
  stopAll(stopOne: (child: Child) => void): void;
};

export function createWorkers(parts: WorkersParts): Workers {
  const { count, log } = parts;
  const { all, fork } = createChildren({ ...parts, onReady: checkAllReady, onExit });
  const current = new Map<number, Child>();
  const beingReplaced = new Set<number>();
  const failures = createFailures(count);
  let wereAllReady = false;
  let isStopping = false;

  const countReady = (): number => [...current.values()].filter(({ isReady }) => isReady).length;

  function start(number: number): void {
    if (isStopping || current.has(number) || beingReplaced.has(number)) return;
    const child = fork(number);
    if (child) current.set(number, child);
    else onLost(number, 'failed', null);
  }

  function restart(number: number): void {
    setTimeout(() => start(number), failures.delayMs(number));
  }

  function checkAllReady(): void {
    if (wereAllReady || isStopping || countReady() < count) return;
    wereAllReady = true;
    parts.onAllReady();
  }

  function onExit(child: Child, code: number | null, signal: string | null): void {
    const { number } = child;
    parts.onExit(child);
    if (isStopping || child.order) return;
    log.error({ worker: number, code, signal }, 'worker died');
    if (current.get(number) !== child) return; // a replacement: the roll watches it
    current.delete(number);
    onLost(number, judge(child, signal), code);
  }

  function onLost(number: number, life: Life, code: number | null): void {
    failures.add(number, life);
    const isHopeless = wereAllReady
      ? failures.haveAllFailed() && countReady() === 0
      : failures.hasOneFailed() || code === EXIT_HOPELESS;
    if (isHopeless) parts.onHopeless();
    else restart(number);
  }

  return {
    all,
    isStopping: () => isStopping,
    countReady,
    startAll() {
      for (let number = 1; number <= count; number++) start(number);
    },
    beginReplacement: (number) => void beingReplaced.add(number),
    fork,
    endReplacement(number, fresh) {
      beingReplaced.delete(number);
      const old = current.get(number);
      if (fresh) current.set(number, fresh);
      else if (!old) restart(number);
      checkAllReady();
      return old;
    },
    stopAll(stopOne) {
      isStopping = true;
      for (const child of all) stopOne(child);
    },
  };
}

/** Counts in a row, by worker number: deaths soon after the start, and among them starts that failed. */
function createFailures(count: number) {
  const inARow = new Map<number, { young: number; failed: number }>();
  const countsOf = (number: number) => inARow.get(number) ?? { young: 0, failed: 0 };
  const numbers = Array.from({ length: count }, (_, index) => index + 1);
  const hasFailed = (number: number): boolean => countsOf(number).failed >= MAX_FAILURES;
  return {
    add(number: number, life: Life): void {
      const { young, failed } = countsOf(number);
      inARow.set(number, { young: life === 'long' ? 0 : young + 1, failed: life === 'failed' ? failed + 1 : 0 });
    },
    delayMs(number: number): number {
      const { young } = countsOf(number);
      const delayMs = young === 0 ? 0 : Math.min(MAX_BACKOFF_MS, BACKOFF_MS * 2 ** (young - 1));
      return delayMs * (0.75 + Math.random() / 2);
    },
    hasOneFailed: () => numbers.some(hasFailed),
    haveAllFailed: () => numbers.every(hasFailed),
  };
}

/** `failed`: it never became ready. `short`: it served, and soon died of itself. */
type Life = 'failed' | 'short' | 'long';

function judge({ isReady, isUp, startedAt, wasHit }: Child, signal: string | null): Life {
  const isYoung = performance.now() - startedAt < YOUNG_MS;
  if (wasHit || (isUp && !isYoung)) return 'long';
  if (!isReady) return 'failed';
  return signal === 'SIGKILL' ? 'long' : 'short'; // killed from outside
}
