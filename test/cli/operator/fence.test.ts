import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { createSecret, readSecret } from '../../support/http/client.ts';
import { hushbox } from '../../support/process/hushbox.ts';
import { type ReadyProgram, start, until } from '../../support/process/program.ts';
import { copyDatabase } from '../../support/process/put-back.ts';
import { ENGINES, SQLITE, temporaryFolder } from '../../support/storage/storage.ts';

const withTerminal = spawnSync('script', ['--version']).status === 0 ? test.serial : test.serial.skip;

async function stop(program: ReadyProgram): Promise<void> {
  program.signal('SIGTERM');
  await program.exit;
}

for (const engine of ENGINES) {
  const testEngine = engine.test.serial ?? engine.test;
  testEngine(
    `${engine.name}: after a restore secrets are refused, and accepted when the fence is lifted`,
    async (t) => {
      const { url } = await engine.place(t);
      const folder = await temporaryFolder(t);
      const env = { STORAGE_URL: url, DATA_DIR: folder };
      const first = await start(t, { folder, env });
      const [one, other] = [
        await createSecret(first.base, { secret: 'one' }),
        await createSecret(first.base, { secret: 'other' }),
      ];
      t.regex((await hushbox(['fence', 'lift'], env)).stdout, /^The fence refuses no secret/);
      const putBack = await copyDatabase(t, url);
      await sleep(1_500); // marks that the copy lacks
      await stop(first);
      await putBack();

      const second = await start(t, { folder, env });
      t.is((await readSecret(second.base, one)).status, 404);
      const { code, stdout, stderr } = await hushbox(['fence', 'lift'], env);
      t.is(code, 1);
      t.regex(stdout, /refused, because they may have been read or answered since: 2 in all\..*A SECOND TIME/s);
      t.regex(stderr, /nothing was changed: without a terminal, confirm with --yes/);
      t.is((await readSecret(second.base, one)).status, 404);

      t.is((await hushbox(['fence', 'lift', '--yes'], env)).code, 0);
      await until('the secret', async () => (await readSecret(second.base, one)).status === 200);
      await until('the event', () => second.stderr().includes('"audit":"fence.lifted"'));
      t.is(second.stderr().match(/"audit":"fence\.lifted"/g)?.length, 1);
      await stop(second);
      const third = await start(t, { folder, env });
      t.deepEqual((await readSecret(third.base, other)).body, { secret: 'other' });
    },
  );

  testEngine(`${engine.name}: everything stored can be refused before the first start`, async (t) => {
    const { url } = await engine.place(t);
    const folder = await temporaryFolder(t);
    const env = { STORAGE_URL: url, DATA_DIR: folder };
    const first = await start(t, { folder, env });
    const key = await createSecret(first.base, { secret: 'one' });
    await stop(first);
    const { code, stdout } = await hushbox(['fence', 'refuse-all', '--yes'], env);
    t.is(code, 0);
    t.regex(stdout, /whether it was read or answered or\nnot: 1 in all\./);
    const second = await start(t, { folder, env });
    t.is((await readSecret(second.base, key)).status, 404);
    const fresh = await createSecret(second.base, { secret: 'fresh' });
    t.is((await readSecret(second.base, fresh)).status, 200);
  });
}

withTerminal('on a terminal it asks, and only yes goes on', async (t) => {
  const { url, open } = await SQLITE.place(t);
  const { fence } = await open();
  await fence.advance(Date.now(), []);
  const DATA_DIR = await temporaryFolder(t);
  for (const [answer, isDone] of [
    ['y', false],
    ['', false],
    ['yes', true],
  ] as const) {
    const { PATH = '' } = process.env;
    const command = 'bin/hushbox fence refuse-all';
    const env = { PATH, STORAGE_URL: url, DATA_DIR };
    const { stdout } = spawnSync('script', ['-qec', command, '/dev/null'], {
      env,
      input: `${answer}\n`,
      encoding: 'utf8',
    });
    t.regex(stdout, /Refuse all secrets\? Type yes to go on: /);
    t.is(/are refused/.test(stdout), isDone, answer);
    t.is(((await fence.look())?.refusedUntil ?? 0) > 0, isDone);
  }
});

test.serial('without a database, a mark or a server there is nothing to decide, and nothing is created', async (t) => {
  const DATA_DIR = await temporaryFolder(t);
  const missing = { STORAGE_URL: `sqlite:${join(DATA_DIR, 'x.db')}`, DATA_DIR };
  t.regex((await hushbox(['fence', 'lift', '--yes'], missing)).stderr, /there is no database at/);
  const { url, open } = await SQLITE.place(t);
  await (await open()).close();
  for (const verb of ['lift', 'refuse-all']) {
    const { code, stderr } = await hushbox(['fence', verb, '--yes'], { STORAGE_URL: url, DATA_DIR });
    t.is(code, 1);
    t.regex(stderr, /no service ever used this storage/);
  }
  const away = { STORAGE_URL: 'mongodb://127.0.0.1:1/x', DATA_DIR };
  t.regex((await hushbox(['fence', 'lift', '--yes'], away)).stderr, /Storage is not responding/);
});

test('the documents tell of the command, and of no statement by hand', (t) => {
  for (const page of ['docs/security.md', 'docs/backup.md']) {
    const text = readFileSync(page, 'utf8');
    t.regex(text, /hushbox fence (lift|refuse-all)/);
    t.notRegex(text, /UPDATE fence|updateOne/);
  }
});
