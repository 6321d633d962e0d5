import { spawn, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { send } from '../../support/http/client.ts';
import { hushbox, type Output } from '../../support/process/hushbox.ts';
import { remember } from '../../support/process/leaks.ts';
import { type ReadyProgram, start, until } from '../../support/process/program.ts';
import { ENGINES, type Engine, SQLITE, temporaryFolder } from '../../support/storage/storage.ts';

const HUSHBOX = fileURLToPath(new URL('../../../bin/hushbox', import.meta.url));
const withTerminal = spawnSync('script', ['--version']).status === 0 ? test.serial : test.serial.skip;
const PASSWORD = 'a password of the operator';
const OTHER = 'another one of the operator';
remember(PASSWORD);
remember(OTHER);

type World = { program: ReadyProgram; env: Record<string, string>; run(...args: string[]): Promise<Output> };

async function world(t: ExecutionContext, engine: Engine): Promise<World & { files: [string, string] }> {
  const { url } = await engine.place(t);
  const folder = await temporaryFolder(t);
  const env = { STORAGE_URL: url, DATA_DIR: folder };
  const files: [string, string] = [join(folder, 'password'), join(folder, 'other')];
  writeFileSync(files[0], `${PASSWORD}\n`);
  writeFileSync(files[1], OTHER);
  const program = await start(t, { folder, env });
  return { program, env, files, run: (...args) => hushbox(['account', ...args], env) };
}

function logIn({ program }: World, password = PASSWORD) {
  return send(program.base, '/login', { username: 'someone@example.com', password });
}

for (const engine of ENGINES) {
  const testEngine = engine.test.serial ?? engine.test;
  testEngine(
    `${engine.name}: an operator creates, disables, enables and deletes accounts while the service runs`,
    async (t) => {
      const here = await world(t, engine);
      const { run, program, files } = here;
      const created = await run('create', 'Someone@Example.COM', '--admin', '--password-file', files[0]);
      t.deepEqual(created, { code: 0, stdout: 'Created the account someone@example.com, an admin.\n', stderr: '' });
      const again = await run('create', 'someone@example.com', '--password-file', files[0]);
      t.is(again.code, 1);
      t.regex(again.stderr, /there is an account with this address already/);

      const [account] = JSON.parse((await run('list', '--json')).stdout);
      t.like(account, { email: 'someone@example.com', role: 'admin', disabled_at: null });
      t.regex((await run('list')).stdout, /^someone@example\.com {2}admin, created [\dT:.-]+Z\n$/);

      const token = (await logIn(here)).body.token as string;
      const isKnown = async (): Promise<boolean> =>
        (await send(program.base, '/sessions', undefined, { method: 'GET', headers: { token } })).status === 200;
      t.true(await isKnown());
      t.is((await run('disable', 'someone@example.com')).code, 0);
      t.false(await isKnown());
      t.is((await logIn(here)).status, 401);
      t.regex((await run('list')).stdout, /, disabled [\dT:.-]+Z\n$/);
      t.is((await run('enable', 'SOMEONE@example.com')).code, 0);
      t.is((await logIn(here)).status, 200);
      t.is((await run('reset-password', 'someone@example.com', '--password-file', files[1])).code, 0);
      t.is((await logIn(here)).status, 401);
      t.is((await logIn(here, OTHER)).status, 200);

      const asked = await run('delete', 'someone@example.com');
      t.is(asked.code, 1);
      t.regex(asked.stderr, /nothing was changed: without a terminal, confirm with --yes/);
      t.is((await run('delete', 'someone@example.com', '--yes')).code, 0);
      t.is((await logIn(here, OTHER)).status, 401);
      t.is((await run('list', '--json')).stdout, '[]\n');
    },
  );
}

test.serial('what is wrong is said in a sentence, and nothing changes', async (t) => {
  const here = await world(t, SQLITE);
  const file = (text: string | Buffer): string => {
    const path = join(here.program.folder, `password-${text.length}`);
    writeFileSync(path, text);
    return path;
  };
  const [password] = here.files;
  for (const [args, sentence] of [
    [['create', 'no address', '--password-file', password], /this is not an email address/],
    [['create', 'a@example.com', '--password-file', file('short')], /the password must have 8 to 256 characters/],
    [
      ['create', 'a@example.com', '--password-file', file('password123')],
      /the password is one of the most common ones/,
    ],
    [['create', 'a@example.com', '--password-file', file('')], /the password must have 8 to 256 characters/],
    [['create', 'a@example.com', '--password-file', '/nowhere'], /ENOENT/],
    [['create', 'a@example.com'], /without a terminal, use --password-file FILE/],
    [['disable', 'a@example.com'], /there is no account with this address/],
    [['reset-password', 'a@example.com', '--password-file', password], /there is no account with this address/],
    [['delete', 'a@example.com', '--yes'], /there is no account with this address/],
  ] as const) {
    const { code, stderr } = await here.run(...args);
    t.is(code, 1, args.join(' '));
    t.regex(stderr, sentence);
  }
  for (const args of [
    [],
    ['frobnicate'],
    ['create'],
    ['create', 'a@example.com', PASSWORD],
    ['list', 'a@example.com'],
    ['disable', 'a@example.com', '--admin'],
    ['list', '--yes'],
    ['create', 'a@example.com', '--password', 'x'],
  ]) {
    t.is((await here.run(...args).catch(() => ({ code: 2 }))).code, 2, args.join(' '));
  }
  t.is((await here.run('list', '--json')).stdout, '[]\n');
});

test.serial('the first start makes the database, not the command', async (t) => {
  const folder = await temporaryFolder(t);
  const env = { STORAGE_URL: `sqlite:${folder}/none.db`, DATA_DIR: folder };
  const { code, stderr } = await hushbox(['account', 'list'], env);
  t.is(code, 1);
  t.regex(stderr, /there is no database at /);
});

/** Types lines into the command on a terminal of its own, each when it is asked for. @returns all that it showed. */
async function type(env: Record<string, string>, args: string, lines: readonly string[]): Promise<string> {
  const { PATH = '' } = process.env;
  const child = spawn('script', ['-qec', `${HUSHBOX} account ${args}`, '/dev/null'], { env: { PATH, ...env } });
  let shown = '';
  child.stdout.on('data', (chunk: Buffer) => {
    shown += chunk.toString();
  });
  const ended = new Promise((resolve) => child.on('close', resolve));
  for (const [index, line] of lines.entries()) {
    await until('the question', () => (shown.match(/(?:Password|again|go on): /g)?.length ?? 0) > index);
    child.stdin.write(`${line}\n`);
  }
  await ended;
  return shown;
}

withTerminal('on a terminal a password is asked for twice, and never shown', async (t) => {
  const here = await world(t, SQLITE);
  const { env } = here;
  const create = (lines: string[]): Promise<string> => type(env, 'create someone@example.com', lines);
  const differing = await create([PASSWORD, OTHER]);
  t.regex(differing, /the two passwords differ/);
  const created = await create([PASSWORD, PASSWORD]);
  t.regex(created, /Created the account/);
  for (const shown of [differing, created]) t.false(shown.includes(PASSWORD) || shown.includes(OTHER), shown);
  t.is((await logIn(here)).status, 200);
  t.regex(await type(env, 'delete someone@example.com', ['no']), /Nothing was changed/);
  t.regex(await type(env, 'delete someone@example.com', ['yes']), /Deleted the account/);
  t.is((await logIn(here)).status, 401);
});
