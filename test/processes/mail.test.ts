import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { MAIL_PACE } from '../../src/mail/pace.ts';
import { sealMail } from '../../src/mail/sealed.ts';
import { createKeyRing } from '../../src/sealing/key-ring.ts';
import { newMailTo } from '../mail/support.ts';
import { startMailServer } from '../support/mail/smtp.ts';
import { kill, start, until, untilOneIsReady } from '../support/process/program.ts';
import { many } from '../support/storage/many.ts';
import { ENGINES } from '../support/storage/storage.ts';

/** 200 on every `make test`; any number where MAILS says so. */
const MAILS = Number(process.env.MAILS ?? 200);
const KILLS = 5;
const WORKERS = 2;
const AWAY_MS = 5_000;

for (const { name, test, place: placeOf } of ENGINES) {
  const title = `${name}: a mail server that is away at first, and kill -9 of workers: each mail arrives, and none is left`;
  test(title, async (t) => {
    t.timeout(15 * MAIL_PACE.leaseMs + MAILS * 500);
    const place = await placeOf(t);
    const masterKey = randomBytes(32);
    const away = await startMailServer(t);
    await away.stop();
    const program = await start(t, {
      env: {
        STORAGE_URL: place.url,
        MASTER_KEY: masterKey.toString('hex'),
        WORKERS: String(WORKERS),
        SMTP_URL: away.url,
        MAIL_FROM: 'Hushbox <no-reply@hushbox.example>',
      },
    });
    const { mails } = await place.open();
    const { current } = createKeyRing([masterKey]);
    const addresses = Array.from({ length: MAILS }, (_, n) => `a${n}@example.org`);
    await many(MAILS, async (n) => {
      const [id, occurredAt] = [randomBytes(32), Date.now()];
      const sealed = sealMail(current, id, newMailTo(addresses[n] as string));
      await mails.add({ id, sealed, occurredAt, dueAt: occurredAt });
    });
    await sleep(AWAY_MS);
    t.is((await mails.countWaiting()).events, MAILS);

    const server = await startMailServer(t, { port: away.port });
    server.delayMs = 20; // so that something is under way whenever something is killed
    let killed = 0;
    for (; killed < KILLS && server.mails.length < MAILS; killed++) {
      const next = server.mails.length + MAILS / (2 * KILLS);
      // Those that a killed worker held come when their lease is over.
      await until('some mails', () => server.mails.length >= Math.min(MAILS, next), 2 * MAIL_PACE.leaseMs);
      await untilOneIsReady(program);
      const workers = program.workers();
      kill(workers[killed % workers.length] as number);
    }
    await until('the last mail', async () => (await mails.countWaiting()).events === 0, 4 * MAIL_PACE.leaseMs);

    const received = server.mails.map(({ to }) => to);
    const twice = received.length - new Set(received).size;
    t.log(`${killed} workers killed, ${twice} of ${MAILS} mails twice`);
    t.deepEqual([...new Set(received)].sort(), addresses.toSorted());
    t.is(killed, KILLS);
    t.true(twice <= KILLS * MAIL_PACE.underWayEach, 'only what was under way');
  });
}
