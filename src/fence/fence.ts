import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from '../clock.ts';
import { AppError } from '../errors.ts';
import { MAX_DATABASES, readFenceFile, tidyFenceFile, writeFenceFile } from './file.ts';
import { type FenceMark, type FenceState, type FenceStore, lostMark, unmarked } from './store.ts';

/** How long a beat waits for the file. */
const WRITE_MS = 2_000;
/** How long the mark may rest while nothing is written. */
const IDLE_MARK_MS = 60_000;
/** While secrets are refused, how often they are counted. */
const COUNT_INTERVAL_MS = 60_000;
/** How often a lasting failure is reported. */
const WARNING_INTERVAL_MS = 60_000;

/** Reports for the operator. */
export type FenceReport = {
  /** @param refused undefined if they could not be counted. */
  refusing(refused: number | undefined, refusedUntil: number): void;
  /** Refused secrets are accepted again: an operator decided so. */
  lifted(): void;
  /** The storage was there and does not answer any more: until it does, no secret is handed out. */
  away(err: unknown): void;
  back(): void;
  warning(message: string, err?: unknown): void;
};

export type FenceParts = {
  store: FenceStore;
  /** The file that keeps marks outside of the database; best on another disk. */
  path: string;
  clock: Clock;
  /** Milliseconds that pass even if someone sets the clock. */
  uptime: Clock;
  /** Whether this process moves the mark with each beat; other processes only look. */
  isMarker: boolean;
  report: FenceReport;
};

/**
 * Notices that the database was restored to an older state, because then secrets that were read since would be handed out
 * again. A mark goes into the database first and then into the file: so that of the file is never newer, even after a
 * crash in between, unless the database was restored.
 */
export type Fence = {
  /**
   * Secrets created at this instant (ms) or before must be refused.
   * @throws AppError STORAGE_UNAVAILABLE while this is unknown: at the start, and after the database was away.
   */
  refusedUntil(): number;
  /** How many secrets are refused, by the last count of the process that marks; undefined if unknown. */
  refusedCount(): number | undefined;
  /** Moves the mark if anything was written, or looks at it: once a second. @returns whether it is known which secrets to refuse. */
  beat(): Promise<boolean>;
  /** The last beat, of every process: it also marks the answers since the previous one. */
  end(): Promise<void>;
};

/**
 * Makes the fence of one process. Knows nothing until the first beat.
 * @param writeMs how long a beat waits for the file; a slower write continues, and holds up the next ones.
 */
export function createFence(parts: FenceParts, writeMs = WRITE_MS): Fence {
  const { store, path, clock, uptime, isMarker, report } = parts;
  const warn = createRareWarning(report);
  const count = createRefusedCount(parts);
  const file = createKeptFile({ path, clock, warn, writeMs });
  /** What is stored. A database that was away may come back as another. */
  let state: FenceState | undefined;
  let failure: unknown;
  let isAway = false;
  let markedAt = 0;
  /** The file's marks and those seen since, the newest first; undefined until the file was read. */
  let known: readonly FenceMark[] | undefined;

  /** The file is read before the database: a mark that another process moves in between must not be newer in the file. */
  async function look(): Promise<void> {
    const before = known ?? file.read();
    const found = await store.look();
    if (isMarker) tellDoubts(before, found, warn);
    known = before ?? [];
    const isBack = lostMark(found ?? unmarked(''), known) > 0;
    if (isBack) learn(await store.advance(nextMark(), known));
    else if (found) learn(found);
    else state = unmarked('');
  }

  async function move(): Promise<void> {
    try {
      const isDue = uptime() - markedAt >= IDLE_MARK_MS;
      const moved = await store[isDue ? 'advance' : 'advanceIfWritten'](nextMark(), known ?? []);
      if (moved) learn(moved);
    } catch (err) {
      return warn('the mark in the database cannot be moved', err);
    }
    await file.write(known ?? []);
  }

  /** If the clock was set back, the mark continues with time, because secrets were created by the earlier clock. */
  function nextMark(): number {
    return Math.max(clock(), state ? state.mark + uptime() - markedAt : 0);
  }

  function learn(found: FenceState): void {
    const { databaseId, mark } = found;
    const others = known?.filter((other) => other.databaseId !== databaseId) ?? [];
    known = [{ databaseId, mark }, ...others].slice(0, MAX_DATABASES);
    if (mark !== state?.mark) markedAt = uptime();
    const isLifted = databaseId === state?.databaseId && found.refusedUntil < state.refusedUntil;
    if (isMarker && isLifted) report.lifted();
    state = found;
    if (isMarker) count.update(found.refusedUntil);
  }

  return {
    refusedUntil() {
      if (!state) throw new AppError('STORAGE_UNAVAILABLE', { cause: failure, retryAfterSeconds: 1 });
      return state.refusedUntil;
    },
    refusedCount: count.current,
    async beat() {
      try {
        await look();
      } catch (error) {
        if (isMarker && state) report.away(error);
        isAway ||= state !== undefined;
        state = undefined;
        failure = error;
        return false;
      }
      if (isMarker && isAway) report.back();
      isAway = false;
      if (isMarker) await move();
      return true;
    },
    async end() {
      if (state) await move();
    },
  };
}

function tellDoubts(kept: readonly FenceMark[] | undefined, found: FenceState | undefined, warn: Warn): void {
  const isThere = kept?.some(({ databaseId }) => databaseId === found?.databaseId);
  if (!found && kept?.length) {
    warn('the database was never marked, but one was before: it is new, or older than its first mark');
  } else if (found && !isThere) {
    warn('the fence file has no mark of this database: whether it was restored to an older state is unknown');
  }
}

type KeptFile = {
  /** @returns undefined if there is no file. */
  read(): readonly FenceMark[] | undefined;
  /** Writes nothing if these marks were the last ones written. */
  write(marks: readonly FenceMark[]): Promise<void>;
};

type KeptFileParts = { path: string; clock: Clock; warn: Warn; writeMs: number };

/** The file. Its failures are reported but end nothing. */
function createKeptFile({ path, clock, warn, writeMs }: KeptFileParts): KeptFile {
  let isWriting = false;
  let isClean = false;
  let written = '';

  async function write(marks: readonly FenceMark[]): Promise<void> {
    try {
      await writeFenceFile(path, marks);
      written = JSON.stringify(marks);
      if (!isClean) await tidyFenceFile(path, clock());
      isClean = true;
    } catch (err) {
      warn('the fence file cannot be written', err);
    }
    isWriting = false;
  }

  return {
    read() {
      try {
        return readFenceFile(path);
      } catch (err) {
        warn('the fence file cannot be read', err);
        return undefined;
      }
    },
    async write(marks) {
      if (JSON.stringify(marks) === written) return;
      if (isWriting) return warn('the fence file is still being written: its disk does not answer');
      isWriting = true;
      await Promise.race([write(marks), sleep(writeMs, undefined, { ref: false })]);
    },
  };
}

type RefusedCount = { current(): number | undefined; update(refusedUntil: number): void };

/** Counts the refused secrets in the background: when their time changes, and once a minute while there are any. */
function createRefusedCount({ store, clock, uptime, report }: FenceParts): RefusedCount {
  let refused: number | undefined;
  let countedUntil: number | undefined;
  let nextAt = 0;

  async function count(refusedUntil: number, isNews: boolean): Promise<void> {
    refused = await store.countRefused(refusedUntil, clock()).catch(() => undefined);
    if (isNews && refused !== 0) report.refusing(refused, refusedUntil);
  }

  return {
    current: () => refused,
    update(refusedUntil) {
      const isNews = refusedUntil !== countedUntil;
      countedUntil = refusedUntil;
      if (refusedUntil === 0) refused = 0;
      else if (isNews || (refused !== 0 && uptime() >= nextAt)) {
        nextAt = uptime() + COUNT_INTERVAL_MS;
        void count(refusedUntil, isNews);
      }
    },
  };
}

type Warn = FenceReport['warning'];

/** Limits how often a warning appears: some would come with every beat. */
function createRareWarning({ warning }: FenceReport): Warn {
  const nextAt = new Map<string, number>();
  return (message, err) => {
    const now = performance.now();
    if (now < (nextAt.get(message) ?? 0)) return;
    nextAt.set(message, now + WARNING_INTERVAL_MS);
    warning(message, err);
  };
}
