import { execFile } from 'node:child_process';
import { mkdirSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import test from 'ava';
import { parseArguments, USAGE } from '../../src/cli/arguments.ts';
import { VERSION } from '../../src/version.ts';
import { hushbox } from '../support/process/hushbox.ts';
import { temporaryFolder } from '../support/storage/storage.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const LAUNCHER = join(ROOT, 'bin/hushbox');

test('each command is understood', (t) => {
  t.deepEqual(parseArguments(['doctor']), { name: 'doctor', json: false });
  t.deepEqual(parseArguments(['doctor', '--json']), { name: 'doctor', json: true });
  t.deepEqual(parseArguments(['rotate-master-key']), { name: 'rotate', out: undefined });
  t.deepEqual(parseArguments(['rotate-master-key', '--out', 'key']), { name: 'rotate', out: 'key' });
  t.deepEqual(parseArguments(['rotate-master-key', '--status']), { name: 'key-status' });
  t.deepEqual(parseArguments(['rotate-master-key', '--prune']), { name: 'prune' });
  for (const help of [['--help'], ['-h'], ['doctor', '--help']]) t.deepEqual(parseArguments(help), { name: 'help' });
  t.deepEqual(parseArguments(['--version']), { name: 'version' });
});

const WRONG = [
  [],
  ['toString'],
  ['doctor', 'now'],
  ['doctor', '--prune'],
  ['rotate-master-key', '--out'],
  ['rotate-master-key', '--status', '--prune'],
  ['rotate-master-key', 'key'],
  ['doctor', '--loud'],
];
for (const args of WRONG) {
  test(`is wrong use: hushbox ${args.join(' ')}`, (t) => {
    t.throws(() => parseArguments(args));
  });
}

test.serial('wrong use is told with the usage, by exit status 2', async (t) => {
  const { code, stdout, stderr } = await hushbox(['repair'], {});
  t.is(code, 2);
  t.is(stdout, '');
  t.true(stderr.includes(USAGE.trim()));
});

test.serial('help and version need no configuration', async (t) => {
  const env = { HTTP_PORT: 'wrong' };
  t.deepEqual(await hushbox(['--help'], env), { code: 0, stdout: USAGE, stderr: '' });
  t.deepEqual(await hushbox(['--version'], env), { code: 0, stdout: `${VERSION}\n`, stderr: '' });
});

test.serial('a configuration that is wrong stops a command, naming every bad variable and no value', async (t) => {
  for (const args of [['rotate-master-key'], ['rotate-master-key', '--status']]) {
    const { code, stderr } = await hushbox(args, { HTTP_PORT: 'leaked', STORAGE_URL: 'leaked://' });
    t.is(code, 1);
    t.regex(stderr, /HTTP_PORT.*STORAGE_URL/s);
    t.notRegex(stderr, /leaked/);
  }
});

test.serial('it works through links, from any folder, and by npx', async (t) => {
  const folder = await temporaryFolder(t);
  const run = promisify(execFile);
  const env = { PATH: `${dirname(process.execPath)}:${process.env.PATH}` };
  mkdirSync(join(folder, 'bin'));
  symlinkSync(LAUNCHER, join(folder, 'absolute'));
  symlinkSync('../absolute', join(folder, 'bin', 'hushbox'));
  const onPath = { cwd: folder, env: { PATH: `${join(folder, 'bin')}:${env.PATH}` } };
  t.is((await run('hushbox', ['--version'], onPath)).stdout, `${VERSION}\n`);
  t.is((await run('sh', ['hushbox', '--version'], { cwd: join(ROOT, 'bin'), env })).stdout, `${VERSION}\n`);
  t.is((await run('npx', ['--no', 'hushbox', 'doctor', '--help'], { cwd: ROOT, env })).stdout, USAGE);
});
