import { setTimeout as sleep } from 'node:timers/promises';
import { AppError } from '../../errors.ts';
import type { Samples } from '../../ops/metrics/families.ts';
import type { Meters } from '../../ops/metrics/meters.ts';
import type { ToPrimary } from '../ipc.ts';

const TIMES: Times = { reportMs: 1_000, soonMs: 100, answerMs: 2_000 };

type Times = {
  /** From one report to the next. */
  reportMs: number;
  /** The same, after something was counted. */
  soonMs: number;
  /** How long the primary may take to answer. */
  answerMs: number;
};

/** A worker's way to the counts of all workers, which the primary adds up. */
export type TotalsLink = {
  /** Reports what is not yet reported. Resolves when it is on its way. */
  report(): Promise<void>;
  /** Something was counted: it is reported at once, or 0.1 s after the last report. Costs next to nothing. */
  touch(): void;
  /** What all workers counted, up to 0.1 s ago, and this one up to now. @throws AppError TOTALS_UNAVAILABLE */
  ask(): Promise<Samples>;
  /** The primary's answer to question `id`. */
  receive(id: number, totals: Samples): void;
};

/** Reports once a second from now on, and more often while it is touched. */
export function createTotalsLink(
  meters: Meters,
  tell: (message: ToPrimary, onSent?: () => void) => void,
  { reportMs, soonMs, answerMs }: Times = TIMES,
): TotalsLink {
  let lastId = 0;
  let isOnItsWay = false;
  let isTouched = false;
  let isPausing = false;
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

  function reportAndPause(): void {
    if (!isOnItsWay) {
      isTouched = false;
      void report();
    }
    setTimeout(() => {
      isPausing = false;
      if (isTouched) touch();
    }, soonMs).unref();
  }

  function touch(): void {
    isTouched = true;
    if (isPausing) return;
    isPausing = true;
    setImmediate(reportAndPause); // when what is counted was answered
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
    touch,
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
