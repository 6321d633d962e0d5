import { randomBytes } from 'node:crypto';
import { Agent } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { createKeyRing } from '../../src/sealing/key-ring.ts';
import { createSecrets } from '../../src/secrets/secrets.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { createWebhooks } from '../../src/webhooks/webhooks.ts';
import { type Answer, send } from '../support/http/client.ts';
import { remember } from '../support/process/leaks.ts';
import {
  kill,
  type ProgramOptions,
  type ReadyProgram,
  start,
  until,
  untilOneIsReady,
} from '../support/process/program.ts';
import { ENGINES } from '../support/storage/storage.ts';
import { startWebhookLedger, type WebhookLedger } from '../support/webhooks/webhook-ledger.ts';
import { NO_WEBHOOKS } from '../support/webhooks/webhooks.ts';

/** 300 on every `make test`, 2,000 in CI; any number where WEBHOOK_EVENTS says so. */
const EVENTS = Number(process.env.WEBHOOK_EVENTS ?? 300);
const WORKERS = 3;
const CLIENTS = 12;
/** How long the load takes, where the machine is fast enough, so that something is under way whenever something is killed. */
const LOAD_MS = 5_000 + EVENTS * 4;
/** One kill for so many ends, half of it to half more: what a busy machine does slowly is not killed more often for that. */
const ENDS_PER_KILL = Math.max(15, EVENTS / 40);
/** A worker that is killed holds its events for so long. */
const LEASE_MS = 45_000;
/** Of what expires; up to twice as long. */
const EXPIRES_MS = 3_000;

type Run = { program: ReadyProgram; ledger: WebhookLedger; agent: Agent; ended: number };

/** One request, until it is answered by a worker that lives. @returns how it went, and whether an earlier one may have counted. */
async function insist(
  { program, agent }: Run,
  method: string,
  path: string,
  body?: object,
): Promise<[Answer, boolean]> {
  for (let isRepeated = false; ; isRepeated = true) {
    const answer = await send(program.base, path, body, { method, agent, timeoutMs: 15_000 }).catch(() => undefined);
    if (answer && answer.status < 500) return [answer, isRepeated];
    await sleep(20);
  }
}

/** One secret of which somebody is to be told, read or burned. */
async function createAndEnd(run: Run, type: 'read' | 'burned'): Promise<void> {
  const [created] = await insist(run, 'POST', '/generate', {
    secret: 'some secret',
    receipt: type === 'burned',
    notify: run.ledger.url(),
  });
  const { secret_key, receipt_key, webhook_secret } = created.body as Record<string, string>;
  if (!secret_key || !webhook_secret) throw new Error(`${created.status} ${JSON.stringify(created.body)}`);
  run.ledger.expect(secret_key, type, webhook_secret);
  const [path, method] = type === 'read' ? [`/secrets/${secret_key}`, 'POST'] : [`/receipts/${receipt_key}`, 'DELETE'];
  const [{ status }, isRepeated] = await insist(run, method, path, type === 'read' ? {} : undefined);
  const isEnded = status === 200 || status === 204 || (isRepeated && (status === 404 || status === 409));
  if (!isEnded) throw new Error(`${method}: ${status}`);
}

/** Creates as the service does, but for lifetimes that no client may ask for: what expires does so within the test. */
function createExpiring({ secrets: store }: Storage, masterKey: Buffer, ledger: WebhookLedger): () => Promise<void> {
  const ring = createKeyRing([masterKey]);
  const secrets = createSecrets({
    store,
    ring,
    gate: { run: () => Promise.reject(new TypeError('there are no phrases here')) },
    clock: Date.now,
    onEvent: () => {},
    refusedUntil: () => 0,
    delivery: NO_WEBHOOKS.delivery,
    notifier: createWebhooks({ ring, egress: { check: async () => {} }, isOpen: true }),
  });
  return async () => {
    const ttlMs = Math.round(EXPIRES_MS * (1 + Math.random()));
    const created = await secrets.create({ secret: 'some secret', ttlMs, receipt: false, notify: ledger.url() });
    remember(created.secretKey);
    ledger.expect(created.secretKey, 'expired', created.webhookSecret as string);
  };
}

/** kill -9 of workers (four in five) and of the whole program, until told to stop. */
async function killUntil(t: ExecutionContext, run: Run, options: ProgramOptions, signal: AbortSignal): Promise<string> {
  const kills = { workers: 0, programs: 0 };
  for (let n = 1; !signal.aborted; n++) {
    const next = run.ended + ENDS_PER_KILL * (0.5 + Math.random());
    while (run.ended < next && !signal.aborted) await sleep(5);
    if (n % 5 === 0) {
      await run.program.end();
      run.program = await start(t, options);
      kills.programs += 1;
    } else {
      await untilOneIsReady(run.program);
      const workers = run.program.workers();
      const victim = workers[Math.floor(Math.random() * workers.length)];
      if (victim) kill(victim);
      kills.workers += 1;
    }
  }
  t.true(kills.workers > 5 && kills.programs > 1);
  return `${kills.workers} workers and ${kills.programs} programs killed`;
}

/** Work done by clients, who pause in between. */
async function share(count: number, work: (n: number) => Promise<void>): Promise<void> {
  const numbers = Array.from({ length: count }, (_, n) => n).values();
  const pauseMs = (LOAD_MS / count) * CLIENTS;
  await Promise.all(
    Array.from({ length: CLIENTS }, async () => {
      for (const n of numbers) {
        await sleep(pauseMs * 2 * Math.random());
        await work(n);
      }
    }),
  );
}

for (const { name, test: runs, place: placeOf } of ENGINES) {
  const title = `${name}: kill -9 at random: each end is told at least once, always under the same id, and none is left`;
  runs(title, async (t) => {
    t.timeout(LEASE_MS * 6 + EVENTS * 100);
    const place = await placeOf(t);
    const masterKey = randomBytes(32);
    const env: Record<string, string> = {
      STORAGE_URL: place.url,
      MASTER_KEY: masterKey.toString('hex'),
      WORKERS: String(WORKERS),
      EGRESS_ALLOW: '127.0.0.1',
      LOG_LEVEL: 'info', // else there are too many lines to look through
    };
    const program = await start(t, { env });
    env.HTTP_PORT = new URL(program.base).port;
    const run: Run = { program, ledger: await startWebhookLedger(t), agent: new Agent({ keepAlive: true }), ended: 0 };
    t.teardown(() => run.agent.destroy());
    const storage = await place.open();
    const expire = createExpiring(storage, masterKey, run.ledger);

    const stopping = new AbortController();
    const load = share(EVENTS, async (n) => {
      await (n % 5 === 0 ? expire() : createAndEnd(run, n % 5 === 1 ? 'burned' : 'read'));
      run.ended += 1;
    }).finally(() => stopping.abort());
    const [kills] = await Promise.all([killUntil(t, run, { folder: program.folder, env }, stopping.signal), load]);
    await untilOneIsReady(run.program);

    const endedAt = performance.now();
    const countWaiting = async (): Promise<number> => (await storage.events.countWaiting()).events;
    const isOver = async (): Promise<boolean> => run.ledger.missing() === 0 && (await countWaiting()) === 0;
    await until('the last event', isOver, LEASE_MS * 3 + EVENTS * 5).catch((error: Error) => t.log(error.message));
    const waitedSeconds = Math.round((performance.now() - endedAt) / 1000);
    t.log(name, kills, { ...run.ledger.counts, waitedSeconds });
    t.deepEqual(run.ledger.violations, []);
    t.is(run.ledger.missing(), 0);
    t.is(await countWaiting(), 0);
    t.is(run.ledger.counts.told, EVENTS);
  });
}

test('production accepts `notify` only with CREATE_TOKEN', async (t) => {
  const env = { NODE_ENV: 'production', MASTER_KEY: randomBytes(32).toString('hex'), EGRESS_ALLOW: '127.0.0.1' };
  const create = async (createToken?: string): Promise<unknown[]> => {
    const { base } = await start(t, {
      env: { ...env, WORKERS: '1', ...(createToken && { CREATE_TOKEN: createToken }) },
    });
    const headers = createToken ? { authorization: `Bearer ${createToken}` } : {};
    const { status, body } = await send(base, '/generate', { secret: 's', notify: 'http://127.0.0.1/' }, { headers });
    const { status: without } = await send(base, '/generate', { secret: 's' }, { headers });
    return [status, body.code, typeof body.webhook_secret, without];
  };
  t.deepEqual(await create(), [403, 'NOTIFY_FORBIDDEN', 'undefined', 201]);
  t.deepEqual(await create(randomBytes(16).toString('hex')), [201, undefined, 'string', 201]);
});
