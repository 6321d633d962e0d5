import { setTimeout as sleep } from 'node:timers/promises';
import { AppError } from './errors.ts';
import type { ToPrimary } from './ipc.ts';
import type { Samples } from './ops/families.ts';
import type { Meters } from './ops/meters.ts';

const TIMES: Times = { reportMs: 1_000, answerMs: 2_000 };

type Times = {
  /** From one report to the next. */
  reportMs: number;
  /** How long the primary may take to answer. */
  answerMs: number;
};

/** A worker's way to the counts of all workers, which the primary adds up. */
export type TotalsLink = {
  /** Reports what is not yet reported. Resolves when it is on its way. */
  report(): Promise<void>;
  /** What all workers counted, up to a second ago, and this one up to now. @throws AppError TOTALS_UNAVAILABLE */
  ask(): Promise<Samples>;
  /** The primary's answer to question `id`. */
  receive(id: number, totals: Samples): void;
};

/** Reports once a second from now on. */
export function createTotalsLink(
  meters: Meters,
  tell: (message: ToPrimary, onSent?: () => void) => void,
  { reportMs, answerMs }: Times = TIMES,
): TotalsLink {
  let lastId = 0;
  let isOnItsWay = false;
  let answer = Promise.withResolvers<Samples>();
  let question: Promise<Samples> | undefined;

  function report(): Promise<void> {
    return new Promise((resolve) => {
      isOnItsWay = true;
      tell({ type: 'report', report: meters.takeReport() }, () => {
        isOnItsWay = false;
        resolve();
      });
    });
  }

  async function askOnce(): Promise<Samples> {
    void report();
    answer = Promise.withResolvers();
    tell({ type: 'want-totals', id: ++lastId });
    const totals = await Promise.race([answer.promise, sleep(answerMs, undefined, { ref: false })]);
    if (!totals) throw new AppError('TOTALS_UNAVAILABLE', { retryAfterSeconds: 1 });
    return totals;
  }

  // While the primary takes nothing, counts wait here, where they need no room.
  setInterval(() => !isOnItsWay && void report(), reportMs).unref();
  return {
    report,
    ask() {
      question ??= askOnce().finally(() => {
        question = undefined;
      });
      return question;
    },
    receive(id, totals) {
      if (id === lastId) answer.resolve(totals);
    },
  };
}
