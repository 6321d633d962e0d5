import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { MAIL_PACE } from '../../src/mail/pace.ts';
import { createKeyRing } from '../../src/sealing/key-ring.ts';
import { startMailServer } from '../support/mail/smtp.ts';
import { makeCertificate } from '../support/nginx/certificate.ts';
import { until } from '../support/process/program.ts';
import { SQLITE, temporaryFolder } from '../support/storage/storage.ts';
import { FROM, newMailTo, startMailWorker } from './support.ts';

const HOUR = 3_600_000;

test('a mail that is let go arrives at once, with everything in its headers that belongs there', async (t) => {
  const server = await startMailServer(t);
  const { send, countWaiting, results } = await startMailWorker(t, server.url);
  const mail = newMailTo('anna@example.org');
  const before = Date.now();
  await send(mail);
  const received = await server.mailTo(mail.to);
  t.deepEqual([received.from, received.to], [FROM.address, mail.to]);
  const { headers } = received;
  t.is(headers.get('from'), 'Hushbox <no-reply@hushbox.example>');
  t.is(headers.get('to'), mail.to);
  t.is(headers.get('auto-submitted'), 'auto-generated');
  t.regex(headers.get('message-id') ?? '', /^<[\da-f]{32}@hushbox\.example>$/);
  const date = Date.parse(headers.get('date') ?? '');
  t.true(date >= before - 1_000 && date <= Date.now());
  t.is(received.link, mail.values.link);
  t.true(received.html.includes(`<a href="${mail.values.link}">`));
  await until('the end of the mail', async () => (await countWaiting()) === 0);
  t.deepEqual(results, ['delivered']);
});

test('a held mail is not sent; one that is dropped never is', async (t) => {
  const server = await startMailServer(t);
  const clock = { skipped: 0 };
  const worker = await startMailWorker(t, server.url, { clock: () => Date.now() + clock.skipped });
  const [held, dropped] = [newMailTo('held@example.org'), newMailTo('dropped@example.org')];
  const first = await worker.mailer.hold(held);
  const second = await worker.mailer.hold(dropped);
  await second.drop();
  await sleep(200);
  t.deepEqual(server.mails, []);
  t.is(await worker.countWaiting(), 1);
  first.release();
  first.release();
  await server.mailTo(held.to);
  // Before that is written down, another clock would have it sent again.
  await until('the end of the mail', async () => (await worker.countWaiting()) === 0);
  clock.skipped = 2 * HOUR;
  await sleep(100);
  t.is(server.mails.length, 1);
});

test('a held mail whose worker ended is sent by another one after the hold', async (t) => {
  const server = await startMailServer(t);
  const place = await SQLITE.place(t);
  const ring = createKeyRing([randomBytes(32)]);
  const clock = { skipped: 0 };
  const first = await startMailWorker(t, server.url, { place, ring });
  const mail = newMailTo('anna@example.org');
  await first.mailer.hold(mail);
  await first.stop();
  const second = await startMailWorker(t, server.url, { place, ring, clock: () => Date.now() + clock.skipped });
  await sleep(100);
  t.is(server.mails.length, 0);
  clock.skipped = MAIL_PACE.leaseMs;
  t.is((await server.mailTo(mail.to)).link, mail.values.link);
  await until('the end of the mail', async () => (await second.countWaiting()) === 0);
});

test('more mails than there is room for are written all the same, and become due', async (t) => {
  const server = await startMailServer(t);
  const clock = { skipped: 0 };
  const worker = await startMailWorker(t, server.url, { clock: () => Date.now() + clock.skipped });
  const held = await Promise.all(
    Array.from({ length: 260 }, (_, n) => worker.mailer.hold(newMailTo(`a${n}@example.org`))),
  );
  for (const { release } of held) release();
  clock.skipped = 20_000;
  await until('all mails', () => new Set(server.mails.map(({ to }) => to)).size === 260);
  t.is(server.mails.length, 260);
  t.true(server.most() <= MAIL_PACE.underWayEach, `${server.most()} at once`);
  await until('the end of all', async () => (await worker.countWaiting()) === 0);
});

test('a refusal for now is tried again soon, under the same Message-ID', async (t) => {
  const server = await startMailServer(t);
  const { send, results, failures, countWaiting } = await startMailWorker(t, server.url);
  const refusals = ['rcpt', 'data'];
  const steps: string[] = [];
  server.answer = (step) => {
    if (step !== refusals[0]) return undefined;
    steps.push(refusals.shift() as string);
    return '451 4.7.1 Greylisted, try again';
  };
  await send(newMailTo('anna@example.org'));
  await server.mailTo('anna@example.org');
  await until('the end of the mail', async () => (await countWaiting()) === 0);
  t.deepEqual(results, ['refused', 'refused', 'delivered']);
  t.deepEqual(steps, ['rcpt', 'data']);
  t.deepEqual(
    failures.map(({ command, status }) => [command, status]),
    [
      ['RCPT TO', 451],
      ['DATA', 451],
    ],
  );
});

test('a recipient that is refused for good ends its own mail, and no other', async (t) => {
  const server = await startMailServer(t);
  const { send, results, countWaiting } = await startMailWorker(t, server.url);
  server.answer = (step, recipient) =>
    step === 'rcpt' && recipient?.startsWith('nobody') ? '550 No such user' : undefined;
  await send(newMailTo('nobody@example.org'));
  await send(newMailTo('anna@example.org'));
  await server.mailTo('anna@example.org');
  await until('the end of both', async () => (await countWaiting()) === 0);
  t.deepEqual(results.toSorted(), ['delivered', 'gone']);
  t.deepEqual(server.asked.filter((address) => address.startsWith('nobody')).length, 1);
});

test('a server that refuses everything, for good as it says, keeps every mail waiting', async (t) => {
  const server = await startMailServer(t);
  const { send, results, countWaiting } = await startMailWorker(t, server.url);
  let [step, answer] = ['connect', '554 No service'];
  server.answer = (reached) => (reached === step ? answer : undefined);
  await send(newMailTo('anna@example.org'));
  await until('a refused connection', () => results.length === 1);
  [step, answer] = ['mail', '553 5.7.1 Sender is not yours'];
  await until('a refused sender', () => results.length === 2);
  [step, answer] = ['rcpt', '554 5.7.1 Relay access denied'];
  await until('a refused relay', () => results.length === 3);
  t.deepEqual(results, ['unreachable', 'unreachable', 'refused']);
  t.is(await countWaiting(), 1);
});

test('a wrong password keeps mail waiting; the right one, after a restart, sends it', async (t) => {
  const server = await startMailServer(t, { credentials: { user: 'hushbox', password: 'päss word:@/' } });
  const place = await SQLITE.place(t);
  const ring = createKeyRing([randomBytes(32)]);
  const wrong = await startMailWorker(t, `smtp://hushbox:wrong@127.0.0.1:${server.port}`, { place, ring });
  await wrong.send(newMailTo('anna@example.org'));
  await until('a refusal', () => wrong.results.length === 1);
  t.deepEqual(wrong.results, ['unreachable']);
  t.like(wrong.failures[0], { code: 'EAUTH', status: 535 });
  t.false(JSON.stringify(wrong.failures).includes('wrong'));
  await wrong.stop();
  await startMailWorker(t, server.url, { place, ring });
  await server.mailTo('anna@example.org');
  t.pass();
});

test('mail waits for a server that is away, and all of it leaves soon after the server is back', async (t) => {
  t.timeout(240_000);
  const first = await startMailServer(t);
  await first.stop();
  const { send, results, countWaiting } = await startMailWorker(t, first.url);
  await Promise.all(Array.from({ length: 300 }, (_, n) => send(newMailTo(`a${n}@example.org`))));
  await sleep(6_000);
  t.is(await countWaiting(), 300);
  t.true(results.filter((result) => result === 'unreachable').length < 20, 'it is not hammered');
  const server = await startMailServer(t, { port: first.port });
  const backAt = performance.now();
  await until('all mails', () => server.mails.length === 300, 120_000);
  t.log(`${Math.round(performance.now() - backAt)} ms`);
  t.is(new Set(server.mails.map(({ to }) => to)).size, 300);
  await until('the end of all', async () => (await countWaiting()) === 0);
});

test('a server that hangs delays nobody who writes a mail, and is given up on in time', async (t) => {
  const server = await startMailServer(t);
  const { send, results } = await startMailWorker(t, server.url);
  server.answer = (step) => (step === 'connect' ? 'hang' : undefined);
  await Promise.all(Array.from({ length: 20 }, (_, n) => send(newMailTo(`a${n}@example.org`))));
  t.deepEqual(results, [], 'all are written before the first attempt is over');
  await until('the end of the first attempts', () => results.includes('unreachable'));
  server.answer = () => undefined;
  await until('all mails', () => server.mails.length === 20);
});

test('a server that dies after it took the message gets it again, under the same Message-ID', async (t) => {
  const server = await startMailServer(t);
  const { send, results, countWaiting } = await startMailWorker(t, server.url);
  server.diesAfterData = true;
  await send(newMailTo('anna@example.org'));
  await until('the failure', () => results.length === 1);
  server.diesAfterData = false;
  await until('the end of the mail', async () => (await countWaiting()) === 0);
  t.deepEqual(results, ['unreachable', 'delivered']);
  const ids = server.mails.map(({ headers }) => headers.get('message-id'));
  t.is(ids.length, 2);
  t.is(ids[0], ids[1]);
});

test('after 24 hours a mail is given up, and its words are gone', async (t) => {
  const server = await startMailServer(t);
  const clock = { skipped: 0 };
  const worker = await startMailWorker(t, server.url, { clock: () => Date.now() + clock.skipped });
  server.answer = (step) => (step === 'rcpt' ? '451 Later' : undefined);
  await worker.send(newMailTo('anna@example.org'));
  await until('a refusal', () => worker.results.length === 1);
  clock.skipped = 24 * HOUR;
  await until('the end of the mail', async () => (await worker.countWaiting()) === 0);
  t.deepEqual(worker.results, ['refused', 'refused', 'given_up']);
});

test('a mail whose master key is missing waits; one that was changed at rest is removed', async (t) => {
  const server = await startMailServer(t);
  const place = await SQLITE.place(t);
  const key = randomBytes(32);
  const other = await startMailWorker(t, server.url, { place, ring: createKeyRing([key]) });
  const mail = newMailTo('anna@example.org');
  await other.mailer.hold(mail);
  const now = Date.now() + MAIL_PACE.leaseMs + 1_000;
  await other.mails.add({ id: randomBytes(32), sealed: randomBytes(200), occurredAt: now, dueAt: now });
  await other.stop();
  const clock = { skipped: 2 * MAIL_PACE.leaseMs };
  const without = await startMailWorker(t, server.url, { place, clock: () => Date.now() + clock.skipped });
  await until('both', () => without.results.length === 2);
  t.deepEqual(without.results, ['later', 'later'], 'an unknown key, and an unknown format');
  await without.stop();
  clock.skipped += 120_000;
  const both = createKeyRing([randomBytes(32), key]);
  await startMailWorker(t, server.url, { place, ring: both, clock: () => Date.now() + clock.skipped });
  t.is((await server.mailTo(mail.to)).link, mail.values.link);
});

test('TLS is used where it is offered, by STARTTLS and by smtps; a foreign certificate is no proof for smtps', async (t) => {
  const folder = await temporaryFolder(t);
  await makeCertificate(folder);
  const [key, cert] = await Promise.all(['privkey.pem', 'fullchain.pem'].map((name) => readFile(join(folder, name))));
  const starttls = await startMailServer(t, { key, cert });
  const first = await startMailWorker(t, starttls.url);
  await first.send(newMailTo('anna@example.org'));
  await starttls.mailTo('anna@example.org');
  t.true(starttls.wasSecure());

  const plain = await startMailServer(t, { disabledCommands: ['STARTTLS'] });
  const second = await startMailWorker(t, plain.url);
  await second.send(newMailTo('anna@example.org'));
  await plain.mailTo('anna@example.org');
  t.false(plain.wasSecure());

  const smtps = await startMailServer(t, { secure: true, key, cert });
  const third = await startMailWorker(t, smtps.url);
  await third.send(newMailTo('anna@example.org'));
  await until('a failure', () => third.results.length > 0);
  t.deepEqual([third.results[0], smtps.mails.length], ['unreachable', 0]);
});

test('a password goes to another machine only through TLS with a good certificate', async (t) => {
  const options = { credentials: { user: 'hushbox', password: 'sesame-open' } };
  const [plain, untrusted] = [
    await startMailServer(t, { ...options, disabledCommands: ['STARTTLS'] }),
    await startMailServer(t, options),
  ];
  for (const server of [plain, untrusted]) {
    let logIns = 0;
    server.answer = (step) => {
      if (step === 'auth') logIns += 1;
      return undefined;
    };
    // An address of this machine that does not look like one.
    const { send, results, stop } = await startMailWorker(t, server.url.replace('127.0.0.1', '0.0.0.0'));
    await send(newMailTo('anna@example.org'));
    await until('a failure', () => results.length > 0);
    t.deepEqual([results[0], logIns, server.asked.length], ['unreachable', 0, 0]);
    t.is(server.connections(), 1);
    await stop();
  }
});

test('nothing of a waiting mail can be read in the database', async (t) => {
  const server = await startMailServer(t);
  const place = await SQLITE.place(t);
  const worker = await startMailWorker(t, server.url, { place });
  const mail = newMailTo('someone@somewhere.example', { language: 'ru' });
  await worker.mailer.hold(mail);
  await worker.stop();
  const bytes = await readFile(place.url.slice('sqlite:'.length));
  t.true(bytes.length > 0);
  for (const text of ['someone', 'somewhere', 'activate?token', 'hushbox.example']) t.false(bytes.includes(text), text);
});
