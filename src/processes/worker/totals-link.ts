import { setTimeout as sleep } from 'node:timers/promises';
import { AppError } from '../../errors.ts';
import type { Samples } from '../../ops/metrics/families.ts';
import type { Meters } from '../../ops/metrics/meters.ts';
import type { ToPrimary } from '../ipc.ts';

/** A worker that is killed takes with it what it counted for so long. */
const TIMES: Times = { reportMs: 500, answerMs: 2_000 };

type Times = {
  /** From a request to the report that counts it. */
  reportMs: number;
  /** How long the primary may take to answer. */
  answerMs: number;
};

/** A worker's link to the counts of all workers, which the primary adds up. */
export type TotalsLink = {
  /** Reports the counts since the last report. Resolves when they are on their way. */
  report(): Promise<void>;
  /** The counts of all workers up to now; of one that does not answer, up to its last report. @throws AppError TOTALS_UNAVAILABLE */
  ask(): Promise<Samples>;
  /** The primary's answer to question `id`. */
  onTotals(id: number, totals: Samples): void;
};

/** From now on reports soon after a request was counted, and when asked to: an idle worker sends nothing. */
export function createTotalsLink(
  meters: Meters,
  send: (message: ToPrimary, onSent?: () => void) => void,
  { reportMs, answerMs }: Times = TIMES,
): TotalsLink {
  let lastId = 0;
  /** A report is on its way. While the primary reads no messages, counts wait in the meters, and need no more memory. */
  let isReporting = false;
  let isWanted = false;
  let answer = Promise.withResolvers<Samples>();
  let question: Promise<Samples> | undefined;

  function report(): Promise<void> {
    return new Promise((resolve) => {
      isReporting = true;
      send({ type: 'report', report: meters.takeReport() }, () => {
        isReporting = false;
        if (isWanted) reportSoon();
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

  function reportSoon(): void {
    isWanted = false;
    setTimeout(() => {
      if (isReporting) isWanted = true;
      else void report();
    }, reportMs).unref();
  }

  meters.onNews(reportSoon);
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
