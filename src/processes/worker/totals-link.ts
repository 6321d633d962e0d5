import { setTimeout as sleep } from 'node:timers/promises';
import { AppError } from '../../errors.ts';
import type { Samples } from '../../ops/metrics/families.ts';
import type { Meters } from '../../ops/metrics/meters.ts';
import type { ToPrimary } from '../ipc.ts';

/** `/status` is exact within a second, so every worker reports more often than that. */
const TIMES: Times = { reportMs: 500, answerMs: 2_000 };

type Times = {
  /** From one report to the next. */
  reportMs: number;
  /** How long the primary may take to answer. */
  answerMs: number;
};

/** A worker's link to the counts of all workers, which the primary adds up. */
export type TotalsLink = {
  /** Reports the counts since the last report. Resolves when they are on their way. */
  report(): Promise<void>;
  /** The counts of this worker up to now and of all others up to their last reports. @throws AppError TOTALS_UNAVAILABLE */
  ask(): Promise<Samples>;
  /** The primary's answer to question `id`. */
  onTotals(id: number, totals: Samples): void;
};

/** Reports twice a second from now on. */
export function createTotalsLink(
  meters: Meters,
  send: (message: ToPrimary, onSent?: () => void) => void,
  { reportMs, answerMs }: Times = TIMES,
): TotalsLink {
  let lastId = 0;
  let isReporting = false;
  let answer = Promise.withResolvers<Samples>();
  let question: Promise<Samples> | undefined;

  function report(): Promise<void> {
    return new Promise((resolve) => {
      isReporting = true;
      send({ type: 'report', report: meters.takeReport() }, () => {
        isReporting = false;
        resolve();
      });
    });
  }

  async function askOnce(): Promise<Samples> {
    void report();
    answer = Promise.withResolvers();
    send({ type: 'want-totals', id: ++lastId });
    const totals = await Promise.race([answer.promise, sleep(answerMs, undefined, { ref: false })]);
    if (!totals) throw new AppError('TOTALS_UNAVAILABLE', { retryAfterSeconds: 1 });
    return totals;
  }

  // While the primary reads no messages, counts wait in the meters, where they need no more memory.
  setInterval(() => !isReporting && void report(), reportMs).unref();
  return {
    report,
    ask() {
      question ??= askOnce().finally(() => {
        question = undefined;
      });
      return question;
    },
    onTotals(id, totals) {
      if (id === lastId) answer.resolve(totals);
    },
  };
}
