/**
 * What the fence needs from an engine: one record, in the same place as the secrets, so that restoring these to an older
 * state restores it too. Every verb is one atomic step across processes, and durable once it resolves. An
 * engine that cannot answer rejects with AppError STORAGE_UNAVAILABLE.
 */
export interface FenceStore {
  /** The stored state; undefined if nothing was ever marked. */
  look(): Promise<FenceState | undefined>;

  /**
   * Puts `advanced` of the stored state in its place. If `endsSessions`, all sessions of all accounts end in that step, or
   * before it: they are gone by the time when nothing shows any more that the database was restored.
   * @returns the new state.
   */
  advance(now: number, known: readonly FenceMark[]): Promise<FenceState>;

  /**
   * Like `advance`, but writes nothing if nothing was written to the database since this store last moved the mark: an
   * idle service leaves its disk alone. An engine that cannot know this always moves the mark.
   * @returns the new state; undefined if nothing was written.
   */
  advanceIfWritten(now: number, known: readonly FenceMark[]): Promise<FenceState | undefined>;

  /** Writes the record as it is: a small durable write, which shows whether writes are taken. A mark stays the same. */
  touch(): Promise<void>;

  /**
   * How many waiting secrets and open requests created at `refusedUntil` or before could still be read or answered at
   * `now`, were they not refused.
   */
  countRefused(refusedUntil: number, now: number): Promise<number>;
}

/** What the operator's commands need of an engine, also while a service is running. */
export interface FenceControl extends Pick<FenceStore, 'look' | 'countRefused'> {
  /** Puts `decided` of the stored state in its place, and ends sessions as `advance` does. @returns the new state. */
  decide(decision: FenceDecision, now: number, known: readonly FenceMark[]): Promise<FenceState>;
  close(): Promise<void>;
}

export type FenceDecision = 'accept all' | 'refuse all';

/** That a database, which made its id by chance once, was there at an instant (ms since the epoch). */
export type FenceMark = { databaseId: string; mark: number };

/** Secrets created at `refusedUntil` (ms since the epoch, 0 for none) or before are handed out to nobody. */
export type FenceState = FenceMark & { refusedUntil: number };

export const DATABASE_ID_BYTES = 16;

/** A database that was never marked. */
export function unmarked(databaseId: string): FenceState {
  return { databaseId, mark: 0, refusedUntil: 0 };
}

/**
 * The next state of a database. A mark always grows, even if the clock does not, so that a mark below a known one shows
 * an older state: then everything from before the known one is refused.
 * @param known marks that were seen in a database, each of them after it was durable there.
 */
export function advanced(state: FenceState, now: number, known: readonly FenceMark[]): FenceState {
  const refusedUntil = Math.max(state.refusedUntil, lostMark(state, known));
  // Above `refusedUntil` too: it is the instant of creation of secrets made while the clock is behind.
  return { ...state, mark: Math.max(state.mark + 1, Math.floor(now), refusedUntil + 1), refusedUntil };
}

/**
 * The next state of a database about whose secrets an operator has decided. Its mark is above all known ones, so that the
 * next start does not decide again.
 */
export function decided(
  state: FenceState,
  decision: FenceDecision,
  now: number,
  known: readonly FenceMark[],
): FenceState {
  const next = advanced(state, now, known);
  return decision === 'accept all'
    ? { ...next, refusedUntil: 0 }
    : { ...next, refusedUntil: next.mark, mark: next.mark + 1 };
}

/**
 * Whether the sessions of a database must end before it gets its next state, because they may be from before a restore:
 * some of them were ended since. No later decision brings them back.
 */
export function endsSessions(state: FenceState, known: readonly FenceMark[], decision?: FenceDecision): boolean {
  return decision === 'refuse all' || lostMark(state, known) > 0;
}

/**
 * The newest known mark that the database has lost; 0 if it has lost no mark. A database that was never marked may be older
 * than the fence itself, or be filled from a backup later, so for it the mark of any database counts; if it is simply
 * new, there is nothing in it to refuse.
 */
export function lostMark(state: FenceState, known: readonly FenceMark[]): number {
  const own = state.mark === 0 ? known : known.filter(({ databaseId }) => databaseId === state.databaseId);
  const newest = Math.max(0, ...own.map(({ mark }) => mark));
  return newest > state.mark ? newest : 0;
}
