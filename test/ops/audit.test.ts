import test from 'ava';
import { createAudit } from '../../src/ops/audit.ts';
import { createLog } from '../../src/ops/log.ts';
import { newMailTo } from '../mail/support.ts';
import { startServer } from '../support/http/server.ts';
import { startMailServer } from '../support/mail/smtp.ts';
import { until } from '../support/process/program.ts';
import { ENGINES } from '../support/storage/storage.ts';
import { startReceiver } from '../support/webhooks/receiver.ts';

const PHRASE = 'a phrase that is right';

function auditLines(logged: string): Record<string, unknown>[] {
  const lines = logged.split('\n').filter((line) => line.includes('"audit"'));
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
}

test('an event is a line of one form at every level of the log, and none where nothing is to be logged', (t) => {
  for (const level of ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']) {
    const lines: string[] = [];
    createAudit(createLog(level, { write: (line: string) => void lines.push(line) }))('secret.burned', 'the request');
    t.is(lines.length, level === 'silent' ? 0 : 1, level);
    for (const line of lines) {
      const { time, pid, ...others } = JSON.parse(line);
      t.deepEqual(others, { level: 'info', audit: 'secret.burned', requestId: 'the request' });
      t.is(new Date(time).toISOString(), time);
      t.is(pid, process.pid);
    }
  }
});

for (const { name, test, place } of ENGINES) {
  test(`${name}: a burn is an event with the id of its request, once, and one that burns nothing is none`, async (t) => {
    const { create, request, logged } = await startServer(t, { place: await place(t) });
    const { receipt_key } = await create({ secret: 'x', receipt: true });
    const burned = await request('DELETE', `/receipts/${receipt_key}`);
    t.is((await request('DELETE', `/receipts/${receipt_key}`)).status, 409);
    t.is((await request('DELETE', `/receipts/${receipt_key.slice(0, -1)}_`)).status, 404);
    const [event, ...others] = auditLines(logged());
    t.like(event, { audit: 'secret.burned', requestId: burned.headers.get('x-request-id') });
    t.deepEqual(others, []);
  });

  test(`${name}: exhausted tries are one event for each try that was the last, however many ask at once`, async (t) => {
    const { create, post, clock, logged } = await startServer(t, { place: await place(t) });
    const { secret_key } = await create({ secret: 'x', phrase: PHRASE });
    const guess = (): Promise<Response> => post(`/secrets/${secret_key}`, { phrase: 'a wrong phrase' });
    for (let events = 1; events <= 2; events++) {
      const answers = await Promise.all(Array.from({ length: 30 }, guess));
      const last: Response[] = [];
      for (const answer of answers) {
        const { tries_left } = (await answer.json()) as { tries_left?: number };
        if (tries_left === 0) last.push(answer);
      }
      t.is(last.length, 1);
      const audited = auditLines(logged());
      t.is(audited.length, events);
      t.like(audited.at(-1), {
        audit: 'secret.tries_exhausted',
        requestId: last[0]?.headers.get('x-request-id') ?? 'none',
      });
      clock.advance({ hours: 1 });
    }
    t.is((await post(`/secrets/${secret_key}`, { phrase: PHRASE })).status, 200);
    t.is(auditLines(logged()).length, 2);
  });

  test(`${name}: a webhook that is given up is an event, without its address and anybody's request`, async (t) => {
    const receiver = await startReceiver(t);
    const server = await startServer(t, { place: await place(t), env: { EGRESS_ALLOW: '127.0.0.1' } });
    const { create, post, storage, clock, wake, logged } = server;
    receiver.answer = { status: 500 };
    const { secret_key } = await create({ secret: 'x', notify: receiver.url });
    await post(`/secrets/${secret_key}`);
    await until('a first failure', () => storage.events.hasDue(clock.now + 5_000)); // no more held, but postponed
    t.deepEqual(auditLines(logged()), []);
    clock.advance({ hours: 25 });
    wake();
    await until('the end', async () => (await storage.events.countWaiting()).events === 0);
    const [event, ...others] = auditLines(logged());
    t.deepEqual(Object.keys(event ?? {}).sort(), ['audit', 'level', 'pid', 'time']);
    t.is(event?.audit, 'webhook.given_up');
    t.deepEqual(others, []);
    t.is(receiver.calls.length, 2);
    t.true(server.metrics().includes('hushbox_webhook_results_total{result="given_up"} 1'));
  });
  test(`${name}: a mail that is given up is an event, without its address`, async (t) => {
    const mailServer = await startMailServer(t);
    const server = await startServer(t, { place: await place(t), env: { SMTP_URL: mailServer.url } });
    const { mailer, storage, clock, wake, logged } = server;
    mailServer.answer = (step) => (step === 'rcpt' ? '451 Not now, anna@example.org' : undefined);
    (await mailer?.hold(newMailTo('anna@example.org')))?.release();
    await until('a first failure', () => storage.mails.hasDue(clock.now + 5_000)); // no more held, but postponed
    t.deepEqual(auditLines(logged()), []);
    clock.advance({ hours: 24 });
    wake();
    await until('the end', async () => (await storage.mails.countWaiting()).events === 0);
    const [event, ...others] = auditLines(logged());
    t.deepEqual(Object.keys(event ?? {}).sort(), ['audit', 'level', 'pid', 'time']);
    t.deepEqual([event?.audit, others], ['mail.given_up', []]);
    t.false(logged().includes('anna'));
    t.true(logged().includes('"mail":{"code":"EENVELOPE","command":"RCPT TO","status":451}'));
    t.true(server.metrics().includes('hushbox_mail_results_total{result="given_up"} 1'));
  });
}
