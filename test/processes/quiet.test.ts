import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { createSecret, readSecret, send } from '../support/http/client.ts';
import { hushbox } from '../support/process/hushbox.ts';
import { findLeaks, remember } from '../support/process/leaks.ts';
import { type ReadyProgram, start } from '../support/process/program.ts';
import { ENGINES, temporaryFolder } from '../support/storage/storage.ts';

// Every program of these tests is searched for what was sent and received when it ends (support/process/leaks.ts).

const NODE_DEBUG = '*';
const LOUD = {
  DEBUG: '*',
  DEBUG_DEPTH: '10',
  NODE_DEBUG,
  NODE_DEBUG_NATIVE: 'http2',
  MONGODB_LOG_ALL: 'trace',
  MONGODB_LOG_PATH: 'stderr',
  MONGODB_LOG_MAX_DOCUMENT_LENGTH: '100000',
};
/** Settings that are secret. */
const GIVEN = {
  MASTER_KEY: randomBytes(32).toString('hex'),
  JWT_HEX_SECRET: randomBytes(64).toString('hex'),
  CREATE_TOKEN: randomBytes(24).toString('hex'),
  PROXY_TOKEN: randomBytes(24).toString('hex'),
};
for (const value of Object.values(GIVEN)) remember(value);

/** Sends secrets, phrases, keys, tokens and addresses through everything that takes them. */
async function sendEverything({ base }: ReadyProgram): Promise<number[]> {
  const word = (): string => `a word ${randomBytes(12).toString('hex')}`;
  const headers = { authorization: `Bearer ${GIVEN.CREATE_TOKEN}` };
  const phrase = word();
  const notify = `http://127.0.0.1:9/${randomBytes(12).toString('hex')}`;
  const created = await send(base, '/generate', { secret: word(), phrase, receipt: true, notify }, { headers });
  const key = String(created.body.secret_key);
  const token = { 'proxy-authorization': `Bearer ${GIVEN.PROXY_TOKEN}` };
  const answers = [
    created,
    await readSecret(base, key, { phrase: word() }),
    await readSecret(base, key, { phrase }, { headers: { 'idempotency-key': randomBytes(24).toString('hex') } }),
    await send(base, `/receipts/${created.body.receipt_key}`),
    await send(base, '/proxy/', { secret: word() }, { headers: token }),
    await send(base, '/proxy/', { secret: word() }, { headers: { ...token, destination: notify } }),
    await send(base, `/nowhere/${key}`, { secret: word() }),
  ];
  return answers.map(({ status }) => status);
}

for (const { name, test, place } of ENGINES) {
  for (const NODE_ENV of ['development', 'production']) {
    test.serial(
      `${name}: no dependency logs what it works on in ${NODE_ENV}, whatever the environment says`,
      async (t) => {
        const { url } = await place(t);
        const env = { ...LOUD, ...GIVEN, NODE_ENV, STORAGE_URL: url, EGRESS_ALLOW: '127.0.0.1' };
        const program = await start(t, { env });
        t.deepEqual(await sendEverything(program), [201, 403, 200, 200, 201, 502, 404]);
        t.deepEqual(findLeaks(program.stderr()), []);
        t.notRegex(program.stderr(), /koa-router|HTTP \d+:|NET \d+:|"c":"(command|connection)"/);
        for (const pid of [program.pid, ...program.workers()]) {
          if (pid !== program.pid) t.notRegex(readFileSync(`/proc/${pid}/environ`, 'latin1'), /DEBUG|MONGODB_LOG/);
        }
        program.signal('SIGTERM');
        t.deepEqual(await program.exit, { code: 0, signal: null });
      },
    );
  }
}

test('the process stays the same one, and options, arguments and settings of files too', async (t) => {
  const folder = await temporaryFolder(t);
  const file = join(folder, 'loud.env');
  writeFileSync(file, `NODE_DEBUG=*\nCREATE_TOKEN=${GIVEN.CREATE_TOKEN}\n`);
  for (const option of [`--env-file=${file}`, '--env-file']) {
    const options = option.includes('=') ? [option] : [option, file];
    const program = await start(t, { command: [process.execPath, ...options, 'src/main.ts'], env: { WORKERS: '1' } });
    t.is(program.workers().length, 1);
    t.is((await send(program.base, '/generate', { secret: 'without a token' })).status, 401);
    await createSecret(program.base, { secret: 'x' }, { headers: { authorization: `Bearer ${GIVEN.CREATE_TOKEN}` } });
    t.notRegex(program.stderr(), /HTTP \d+:/);
    t.regex(readFileSync(`/proc/${program.pid}/cmdline`, 'latin1'), /src\/main\.ts/);
    program.signal('SIGTERM');
    t.deepEqual(await program.exit, { code: 0, signal: null });
  }
});

test('the commands print nothing more', async (t) => {
  const folder = await temporaryFolder(t);
  const env = { ...LOUD, ...GIVEN, STORAGE_URL: `sqlite:${join(folder, 'h.db')}`, DATA_DIR: folder };
  const version = await hushbox(['--version'], env);
  t.regex(version.stdout, /^\d+\.\d+\.\d+\n$/);
  const { stdout, stderr } = await hushbox(['doctor', '--json'], env);
  t.notThrows(() => JSON.parse(stdout));
  t.deepEqual(findLeaks(stderr), []);
  t.notRegex(stderr, /CHILD_PROCESS|"c":"command"/i);
  t.deepEqual(readdirSync(folder), []);
});

test('every program removes these variables first', (t) => {
  const mains = execFileSync('sh', ['-c', 'ls src/main.ts src/*/main.ts'], { encoding: 'utf8' }).trim().split('\n');
  t.true(mains.length >= 3);
  for (const path of mains) t.regex(readFileSync(path, 'utf8'), /^import '\.\.?\/quiet\.ts';/, path);
});
