import { EXIT_HOPELESS } from '../ipc.ts';
import { type Child, type ChildrenParts, createChildren } from './children.ts';

/** A worker that dies sooner after its start has failed. */
const YOUNG_MS = 5_000;
/** This many failures in a row end the program, so that its supervisor sees them. */
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
    else onLost(number, true, null);
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
    onLost(number, hasFailed(child, signal), code);
  }

  function onLost(number: number, isFailure: boolean, code: number | null): void {
    failures.add(number, isFailure);
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

/** Counts failures in a row, by worker number. */
function createFailures(count: number) {
  const inARow = new Map<number, number>();
  const countOf = (number: number): number => inARow.get(number) ?? 0;
  const numbers = Array.from({ length: count }, (_, index) => index + 1);
  const hasFailed = (number: number): boolean => countOf(number) >= MAX_FAILURES;
  return {
    add: (number: number, isFailure: boolean) => void inARow.set(number, isFailure ? countOf(number) + 1 : 0),
    delayMs(number: number): number {
      const failed = countOf(number);
      const delayMs = failed === 0 ? 0 : Math.min(MAX_BACKOFF_MS, BACKOFF_MS * 2 ** (failed - 1));
      return delayMs * (0.75 + Math.random() / 2);
    },
    hasOneFailed: () => numbers.some(hasFailed),
    haveAllFailed: () => numbers.every(hasFailed),
  };
}

/** A worker that was killed while it served has not failed. */
function hasFailed({ isUp, isReady, startedAt, wasHit }: Child, signal: string | null): boolean {
  if (wasHit) return false;
  if (!isUp) return true;
  return performance.now() - startedAt < YOUNG_MS && !(isReady && signal === 'SIGKILL');
}
