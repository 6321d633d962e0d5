import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { Agent } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import { athOf, createClient } from '../auth/sessions/support.ts';
import { type Answer, send } from '../support/http/client.ts';
import { hushbox } from '../support/process/hushbox.ts';
import { remember } from '../support/process/leaks.ts';
import { kill, type ReadyProgram, start, until } from '../support/process/program.ts';
import { copyDatabase } from '../support/process/put-back.ts';
import { ENGINES, type Engine, temporaryFolder } from '../support/storage/storage.ts';

const CLIENTS = 24;
/** `LOG_OUTS=10000` for a longer run. */
const LOG_OUTS = Number(process.env.LOG_OUTS ?? 120);
const KILL_MS = 700;
/** At least: the clients go on until so many workers were killed. */
const KILLS = 4;
const USERNAME = 'owner@example.com';
const PASSWORD = 'a password of its owner';
remember(PASSWORD);

type World = ReadyProgram & {
  agents: Agent[];
  logIn(headers?: Record<string, string>): Promise<string>;
  /** Asks over every connection at once, so that all workers are asked. */
  askAll(headers: (client: number) => Record<string, string>): Promise<Answer[]>;
};

/** Four workers with one account, and clients with a connection each. */
async function world(t: ExecutionContext, { place }: Engine, env: Record<string, string> = {}): Promise<World> {
  const { url: STORAGE_URL } = await place(t);
  const folder = await temporaryFolder(t);
  const all = { STORAGE_URL, DATA_DIR: folder, WORKERS: '4', ...env };
  const program = await start(t, { folder, env: all });
  const passwordFile = join(folder, 'password');
  writeFileSync(passwordFile, PASSWORD);
  t.is((await hushbox(['account', 'create', USERNAME, '--password-file', passwordFile], all)).code, 0);
  const agents = Array.from({ length: CLIENTS }, () => new Agent({ keepAlive: true, maxSockets: 1 }));
  t.teardown(() => {
    for (const agent of agents) agent.destroy();
  });
  return Object.assign(program, {
    agents,
    async logIn(headers = {}) {
      const { status, body } = await send(
        program.base,
        '/login',
        { username: USERNAME, password: PASSWORD },
        { headers },
      );
      if (status !== 200) throw new Error(`${status} ${JSON.stringify(body)}`);
      return body.token as string;
    },
    askAll: (headers: (client: number) => Record<string, string>) =>
      Promise.all(
        agents.map((agent, client) => send(program.base, '/sessions', undefined, { agent, headers: headers(client) })),
      ),
  });
}

function count(answers: readonly Answer[]): Record<number, number> {
  const counts: Record<number, number> = {};
  for (const { status } of answers) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
}

/**
 * @param counts how many it killed, which it counts, and how much was done meanwhile: on a busy machine a worker needs a
 * while until it does anything.
 */
async function killAgainAndAgain(
  program: ReadyProgram,
  signal: AbortSignal,
  counts: { killed: number; loggedOut: readonly string[] },
): Promise<void> {
  for (; !signal.aborted; await sleep(KILL_MS)) {
    const workers = program.workers();
    if (workers.length < 3 || counts.loggedOut.length < 2 * counts.killed) continue; // the others have not started again yet
    kill(workers[counts.killed % workers.length] as number);
    counts.killed += 1;
  }
}

for (const engine of ENGINES) {
  const serial = engine.test.serial ?? engine.test;

  serial(`${engine.name}: a token that was logged out is refused by every worker with its next request`, async (t) => {
    const here = await world(t, engine);
    for (let round = 0; round < 20; round++) {
      const token = await here.logIn();
      t.deepEqual(count(await here.askAll(() => ({ token }))), { 200: CLIENTS });
      const out = await send(here.base, '/logout', undefined, { method: 'DELETE', headers: { token } });
      t.is(out.status, 204);
      t.deepEqual(count(await here.askAll(() => ({ token }))), { 401: CLIENTS });
    }
  });

  serial(`${engine.name}: while workers are killed no token lives on that was logged out`, async (t) => {
    const here = await world(t, engine);
    const loggedOut: string[] = [];
    const endAt = performance.now() + Math.max(30_000, LOG_OUTS * 60);
    const kills = new AbortController();
    const counts = { killed: 0, loggedOut };
    const killing = killAgainAndAgain(here, kills.signal, counts);
    const isDone = (): boolean => loggedOut.length >= LOG_OUTS && counts.killed >= KILLS;
    const client = async (): Promise<void> => {
      while (!isDone() && performance.now() < endAt) {
        const token = await here.logIn().catch(() => undefined);
        if (token === undefined) {
          await sleep(50); // its worker was killed
          continue;
        }
        const headers = { token };
        const out = await send(here.base, '/logout', undefined, { method: 'DELETE', headers }).catch(() => undefined);
        if (out?.status === 204) loggedOut.push(token);
      }
    };
    await Promise.all(Array.from({ length: 8 }, client));
    kills.abort();
    await killing;
    const answers: Answer[] = [];
    for (const token of loggedOut) {
      // No worker may be there to answer, or one that cannot ask its storage yet.
      await until('an answer', async () => {
        const answer = await send(here.base, '/sessions', undefined, { headers: { token } }).catch(() => undefined);
        if (answer && answer.status !== 503) answers.push(answer);
        return answer !== undefined && answer.status !== 503;
      });
    }
    t.deepEqual(count(answers), { 401: loggedOut.length });
    t.true(loggedOut.length > LOG_OUTS / 4 && counts.killed >= KILLS, `${loggedOut.length} log-outs`);
    t.log(`${loggedOut.length} log-outs, ${counts.killed} workers killed`);
  });

  serial(`${engine.name}: of 50 guesses at once over all workers exactly 30 are evaluated`, async (t) => {
    const here = await world(t, engine, { LIMITS: 'on' });
    const guess = (_: unknown, index: number): Promise<Answer> =>
      send(
        here.base,
        '/login',
        { username: USERNAME, password: 'a wrong password' },
        { agent: here.agents[index % CLIENTS] as Agent },
      );
    const startedAt = performance.now();
    const counts = count(await Promise.all(Array.from({ length: 50 }, guess)));
    const grownBack = Math.floor((performance.now() - startedAt) / 2_000);
    t.true((counts[401] ?? 0) >= 30 && (counts[401] ?? 0) <= 30 + grownBack, JSON.stringify(counts));
    t.is((counts[401] ?? 0) + (counts[429] ?? 0), 50);
  });

  serial(`${engine.name}: a proof is good once over all workers`, async (t) => {
    const here = await world(t, engine);
    const client = await createClient(Date.now);
    const htu = `${here.base}/sessions`;
    const token = await here.logIn({ dpop: await client.prove({ htm: 'POST', htu: `${here.base}/login` }) });
    for (let round = 0; round < 10; round++) {
      const dpop = await client.prove({ htm: 'GET', htu, ath: athOf(token), jti: randomBytes(9).toString('hex') });
      const answers = await here.askAll(() => ({ authorization: `DPoP ${token}`, dpop }));
      t.deepEqual(count(answers), { 200: 1, 401: CLIENTS - 1 });
    }
  });

  serial(`${engine.name}: a restored database revives no session; its accounts stay`, async (t) => {
    const { url } = await engine.place(t);
    const here = await world(t, { ...engine, place: async () => ({ url }) as never });
    const [ended, alive] = [await here.logIn(), await here.logIn()];
    const putBack = await copyDatabase(t, url);
    await send(here.base, '/logout', undefined, { method: 'DELETE', headers: { token: ended } });
    await sleep(1_500); // marks that the copy lacks
    here.signal('SIGTERM');
    await here.exit;
    await putBack();
    const env = { STORAGE_URL: url, DATA_DIR: here.folder, WORKERS: '4' };
    const again = await start(t, { folder: here.folder, env });
    for (const token of [ended, alive]) {
      const answers = here.agents.map(() => send(again.base, '/sessions', undefined, { headers: { token } }));
      t.deepEqual(count(await Promise.all(answers)), { 401: CLIENTS });
    }
    const { status } = await send(again.base, '/login', { username: USERNAME, password: PASSWORD });
    t.is(status, 200);
  });
}
