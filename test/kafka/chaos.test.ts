import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { addAccount, logIn, logOut, signIn } from '../support/kafka/accounts.ts';
import { startBroker, withKafka } from '../support/kafka/broker.ts';
import { createBusClient } from '../support/kafka/client.ts';
import { kill, start, until } from '../support/process/program.ts';
import { ENGINES, SQLITE } from '../support/storage/storage.ts';

/** How many are asked while broker and workers are killed. */
const REQUESTS = Number(process.env.KAFKA_REQUESTS ?? 2_000);
/** What is measured, then too: on a busy machine it says nothing. */
const isLarge = REQUESTS >= 10_000;
const WORKER_KILLS = 5;
const BROKER_KILLS = 2;
const WARM_UP = 100;
const QUIET_REQUESTS = 200;
const QUIET_P99_MS = 50;

for (const engine of ENGINES) {
  const test = engine === SQLITE || process.env.MONGODB_TEST_URL ? withKafka : engine.test;

  test(`${engine.name}: broker killed twice, workers five times: every request is answered, none wrongly`, async (t) => {
    t.timeout(300_000);
    const place = await engine.place(t);
    await addAccount(t, place);
    const broker = await startBroker(t, { partitions: 4 });
    const client = await createBusClient(t, broker.address);
    const env = { SERVICES: 'auth,kafka', KAFKA_URL: `kafka://${broker.address}`, LOG_LEVEL: 'info' };
    const program = await start(t, { env: { ...env, STORAGE_URL: place.url } });
    const [token, access, ended] = [await logIn(program.base), await signIn(program.base), await logIn(program.base)];
    await logOut(program.base, ended);
    const kinds = [
      { token, isGood: true },
      { token: access, isGood: true },
      { token: ended, isGood: false },
      { token: `${access}x`, isGood: false },
    ];
    t.true((await client.ask(token)).authenticated);

    const quiet: number[] = [];
    for (let count = 0; count < WARM_UP + QUIET_REQUESTS; count++) {
      const sentAt = performance.now();
      quiet.push((await client.ask(token)).at - sentAt);
      await sleep(10);
    }
    quiet.splice(0, WARM_UP);
    quiet.sort((a, b) => a - b);
    const p99 = quiet[Math.floor(quiet.length * 0.99)] as number;
    t.log(`quiet requests: p50 ${quiet[quiet.length >> 1]?.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms`);
    if (isLarge && engine === SQLITE) t.true(p99 <= QUIET_P99_MS, `${p99} ms`);

    const startedAt = performance.now();
    const ids = Array.from({ length: REQUESTS }, () => String(randomUUID()));
    const goodness = new Map<string, (typeof kinds)[number]>(
      ids.map((id, index) => [id, kinds[index % kinds.length] as (typeof kinds)[number]]),
    );
    const step = Math.ceil(REQUESTS / 100);
    const kills = (async () => {
      for (let count = 0; count < WORKER_KILLS; count++) {
        await sleep(2_000);
        const workers = program.workers();
        kill(workers[count % workers.length] as number);
        if (count % 2 === 0 && count / 2 < BROKER_KILLS) {
          await sleep(1_000);
          await broker.stop('kill');
          await broker.start();
        }
      }
    })();
    for (let at = 0; at < ids.length; at += step) {
      const some = ids.slice(at, at + step);
      await client.send(some.map((id, index) => ({ value: { token: goodness.get(id)?.token, id }, key: `k${index}` })));
      await sleep(100);
    }
    await kills;
    await client.waitFor(ids, 120_000);
    await until('the end of repetitions', async () => {
      const before = client.answers.length;
      await sleep(1_000);
      return client.answers.length === before;
    });
    const asked = client.answers.filter(({ id }) => goodness.has(String(id)));
    const wrong = asked.filter(({ id, authenticated }) => goodness.get(String(id))?.isGood !== authenticated);
    t.is(wrong.length, 0);
    t.is(new Set(asked.map(({ id }) => id)).size, REQUESTS);
    t.log(
      `${REQUESTS} requests, ${asked.length - REQUESTS} answered more than once, ${Math.round(performance.now() - startedAt)} ms`,
    );
  });
}
