import { randomBytes } from 'node:crypto';
import { Agent } from 'node:http';
import type { ExecutionContext } from 'ava';
import { type Answer, createSecret, readSecret } from '../support/http/client.ts';
import { type ReadyProgram, start } from '../support/process/program.ts';
import { ENGINES, type Engine } from '../support/storage/storage.ts';

const READERS = 40;
const PHRASE = 'correct horse battery staple';

const newIdempotencyKey = (): string => randomBytes(24).toString('base64url');
const serial = ({ test }: Engine) => test.serial;

/** Four workers, and readers with a connection each, so that every secret is asked for in several workers. */
async function startRace(t: ExecutionContext, { place }: Engine): Promise<ReadyProgram & { agents: Agent[] }> {
  const { url: STORAGE_URL } = await place(t);
  const program = await start(t, { env: { STORAGE_URL, WORKERS: '4' } });
  const agents = Array.from({ length: READERS }, () => new Agent({ keepAlive: true, maxSockets: 1 }));
  t.teardown(() => {
    for (const agent of agents) agent.destroy();
  });
  return Object.assign(program, { agents });
}

type Race = ReadyProgram & { agents: Agent[] };

/** All readers at once. */
function readAll(
  { base, agents }: Race,
  key: string,
  body: object,
  headersOf: (reader: number) => Record<string, string> = () => ({}),
): Promise<Answer[]> {
  return Promise.all(agents.map((agent, n) => readSecret(base, key, body, { agent, headers: headersOf(n) })));
}

function count(answers: readonly Answer[], status: number): number {
  return answers.filter((answer) => answer.status === status).length;
}

for (const engine of ENGINES) {
  const SECRETS = engine.name === 'sqlite' ? 200 : 40; // the stand-in for MongoDB is slow

  serial(engine)(`of ${READERS} readers exactly one gets each secret (${engine.name})`, async (t) => {
    const race = await startRace(t, engine);
    for (let n = 0; n < SECRETS; n++) {
      const secret = `secret ${n}`;
      const answers = await readAll(race, await createSecret(race.base, { secret }), {});
      const winners = answers.filter(({ status }) => status === 200);
      t.deepEqual(
        winners.map(({ body }) => body),
        [{ secret }],
      );
      t.is(count(answers, 404), READERS - 1);
    }
  });

  serial(engine)(`with an Idempotency-Key of their own still only one does (${engine.name})`, async (t) => {
    const race = await startRace(t, engine);
    for (let n = 0; n < SECRETS / 4; n++) {
      const keys = race.agents.map(newIdempotencyKey);
      const headersOf = (reader: number) => ({ 'idempotency-key': keys[reader] as string });
      const key = await createSecret(race.base, { secret: `secret ${n}` });
      const answers = await readAll(race, key, {}, headersOf);
      t.is(count(answers, 200), 1);
      t.is(count(answers, 404), READERS - 1);
      const winner = answers.findIndex(({ status }) => status === 200);
      const again = await readSecret(race.base, key, {}, { headers: headersOf(winner) });
      t.deepEqual(again.body, { secret: `secret ${n}` });
    }
  });

  serial(engine)(`with one Idempotency-Key for all, five get the same (${engine.name})`, async (t) => {
    const race = await startRace(t, engine);
    for (let n = 0; n < SECRETS / 4; n++) {
      const headers = { 'idempotency-key': newIdempotencyKey() };
      const key = await createSecret(race.base, { secret: `secret ${n}` });
      const answers = await readAll(race, key, {}, () => headers);
      const given = answers.filter(({ status }) => status === 200);
      t.true(given.length >= 1 && given.length <= 5, `${given.length} answers`);
      for (const { body } of given) t.deepEqual(body, { secret: `secret ${n}` });
      t.is(count(answers, 404), READERS - given.length);
      // What the race left over of the five is still there, and not one more.
      for (let left = 5 - given.length; left > 0; left--) {
        t.is((await readSecret(race.base, key, {}, { headers })).status, 200);
      }
      t.is((await readSecret(race.base, key, {}, { headers })).status, 404);
    }
  });

  serial(engine)(`of ${READERS} wrong guesses at once exactly ten are looked at (${engine.name})`, async (t) => {
    const race = await startRace(t, engine);
    const key = await createSecret(race.base, { secret: 'x', phrase: PHRASE });
    const answers = await readAll(race, key, { phrase: 'wrong' });
    const tried = answers.filter(({ status }) => status === 403);
    t.deepEqual(
      tried.map(({ body }) => body.tries_left).toSorted((a, b) => Number(a) - Number(b)),
      [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
    );
    t.true(tried.every(({ body }) => body.code === 'WRONG_PHRASE'));
    const refused = answers.filter(({ status }) => status === 429);
    t.is(refused.length, READERS - 10);
    t.true(refused.every(({ body, headers }) => body.code === 'TOO_MANY_TRIES' && Number(headers['retry-after']) > 0));
    t.is((await readSecret(race.base, key, { phrase: PHRASE })).status, 429); // the right one has to wait too
  });

  serial(engine)(`of ${READERS} right phrases at once exactly one gets the secret (${engine.name})`, async (t) => {
    const race = await startRace(t, engine);
    for (let n = 0; n < 3; n++) {
      const key = await createSecret(race.base, { secret: 'x', phrase: PHRASE });
      const answers = await readAll(race, key, { phrase: PHRASE });
      t.is(count(answers, 200), 1);
      t.is(count(answers, 404), READERS - 1);
    }
  });
}
