import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { createMeters } from '../../../src/ops/metrics/meters.ts';
import type { ToPrimary } from '../../../src/processes/ipc.ts';
import { createTotalsLink, type TotalsLink } from '../../../src/processes/worker/totals-link.ts';
import { until } from '../../support/process/program.ts';

type Sent = { message: ToPrimary; sent: () => void };

/** A link whose messages go into a list. */
function createLink(times = { reportMs: 100_000, answerMs: 20 }): {
  link: TotalsLink;
  messages: Sent[];
  count(): void;
} {
  const meters = createMeters();
  const messages: Sent[] = [];
  const link = createTotalsLink(meters, (message, sent = () => {}) => void messages.push({ message, sent }), times);
  return { link, messages, count: () => meters.count('hushbox_http_requests_total', 'GET / 200') };
}

test('a question first reports the counts of its own worker; all questions meanwhile get the same answer', async (t) => {
  const { link, messages, count } = createLink({ reportMs: 100_000, answerMs: 10_000 });
  count();
  const answers = [link.ask(), link.ask(), link.ask()];
  const [report, question, ...others] = messages.map(({ message }) => message);
  t.like(report, { type: 'report', report: { counts: { hushbox_http_requests_total: { 'GET / 200': [1] } } } });
  t.deepEqual(question, { type: 'want-totals', id: 1 });
  t.deepEqual(others, []);
  const totals = { hushbox_secrets_created_total: { '': [5] } };
  link.onTotals(1, totals);
  for (const answer of answers) t.is(await answer, totals);
});

test('a late answer answers no later question', async (t) => {
  const { link } = createLink();
  await t.throwsAsync(link.ask(), { code: 'TOTALS_UNAVAILABLE' });
  const second = link.ask();
  link.onTotals(1, { old: {} });
  await t.throwsAsync(second, { code: 'TOTALS_UNAVAILABLE' });
  const third = link.ask();
  link.onTotals(3, { hushbox_workers_ready: {} });
  t.deepEqual(await third, { hushbox_workers_ready: {} });
});

test('while a report is on its way no other is sent; counts made meanwhile are in the next one', async (t) => {
  const { messages, count } = createLink({ reportMs: 2, answerMs: 20 });
  count();
  await until('a report', () => messages.length > 0);
  count();
  await sleep(50);
  t.is(messages.length, 1);
  count();
  messages[0]?.sent();
  await until('the next report', () => messages.length > 1);
  t.like(messages[1]?.message, { report: { counts: { hushbox_http_requests_total: { 'GET / 200': [2] } } } });
});
