import type { Report } from '../../ops/metrics/meters.ts';
import { createTotals } from '../../ops/metrics/totals.ts';
import { type Child, send } from './children.ts';
import type { Workers } from './workers.ts';

/** How long the other workers have to report before a question is answered without them. */
const REPORT_MS = 250;

/** A worker's question for the totals, and the workers whose reports it waits for. */
type Question = { missing: Set<Child>; answer(): void };

export type ProgramTotals = ReturnType<typeof createProgramTotals>;

/** The counts of all workers, with the gauges of those that live and of the primary. */
export function createProgramTotals(count: number) {
  const totals = createTotals();
  const questions = new Set<Question>();
  const onRestart = (reason: 'died' | 'replaced', by = 1): void =>
    totals.add({ hushbox_worker_restarts_total: { [reason]: [by] } });
  for (const reason of ['died', 'replaced'] as const) onRestart(reason, 0); // an alert compares with it

  /** A worker has reported, or is gone. */
  function settle(child: Child): void {
    for (const { missing, answer } of questions) if (missing.delete(child) && missing.size === 0) answer();
  }

  function sendTotals(child: Child, id: number, workers: Workers): void {
    const own = {
      hushbox_start_time_seconds: { '': [performance.timeOrigin / 1000] },
      hushbox_workers_wanted: { '': [count] },
      hushbox_workers_ready: { '': [workers.countReady()] },
    };
    const gauges = [...workers.all].map((worker) => worker.gauges);
    send(child, { type: 'totals', id, totals: totals.read([own, ...gauges]) });
  }

  return {
    onRestart,
    onReport(child: Child, { counts, gauges }: Report): void {
      totals.add(counts);
      child.gauges = gauges;
      settle(child);
    },
    forget: settle,
    /** Answers question `id` of a worker, which has reported before it asked, with fresh reports of the others. */
    tell(child: Child, id: number, workers: Workers): void {
      const missing = new Set([...workers.all].filter((other) => other !== child && other.isUp));
      const timer = setTimeout(() => question.answer(), REPORT_MS);
      const question: Question = {
        missing,
        answer() {
          clearTimeout(timer);
          questions.delete(question);
          sendTotals(child, id, workers);
        },
      };
      questions.add(question);
      for (const other of missing) send(other, { type: 'want-report' });
      if (missing.size === 0) question.answer();
    },
  };
}
