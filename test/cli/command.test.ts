import { execFile } from 'node:child_process';
import { mkdirSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import test from 'ava';
import { HELP, parseArguments, USAGE } from '../../src/cli/arguments.ts';
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
  t.deepEqual(parseArguments(['backup', 'copy.db']), { name: 'backup', file: 'copy.db' });
  for (const help of [['--help'], ['-h'], ['help']]) {
    t.deepEqual(parseArguments(help), { name: 'help', about: undefined });
  }
  t.deepEqual(parseArguments(['fence', 'lift']), { name: 'fence-lift', isConfirmed: false });
  t.deepEqual(parseArguments(['fence', 'lift', '--yes']), { name: 'fence-lift', isConfirmed: true });
  t.deepEqual(parseArguments(['fence', 'refuse-all', '--yes']), { name: 'fence-refuse', isConfirmed: true });
  for (const about of ['doctor', 'backup', 'fence', 'rotate-master-key'] as const) {
    for (const help of [
      [about, '--help'],
      [about, '-h'],
      ['help', about],
    ]) {
      t.deepEqual(parseArguments(help), { name: 'help', about });
    }
  }
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
  ['backup'],
  ['backup', ''],
  ['backup', '-'],
  ['backup', 'one', 'two'],
  ['backup', 'copy.db', '--json'],
  ['help', 'toString'],
  ['fence'],
  ['fence', 'raise'],
  ['fence', 'lift', 'refuse-all'],
  ['fence', 'lift', '--json'],
  ['doctor', '--yes'],
];
for (const args of WRONG) {
  test(`is wrong use: hushbox ${args.map((arg) => arg || "''").join(' ')}`, (t) => {
    t.throws(() => parseArguments(args));
  });
}

test.serial('wrong use prints the help of the command, or of all commands, and exits with 2', async (t) => {
  for (const [args, help] of [
    [['repair'], USAGE],
    [['backup'], HELP.backup],
    [['doctor', '--prune'], HELP.doctor],
  ] as const) {
    const { code, stdout, stderr } = await hushbox(args, {});
    t.is(code, 2);
    t.is(stdout, '');
    t.true(stderr.startsWith('hushbox: '));
    t.true(stderr.includes(help.trim()));
  }
});

test('every help has an example, and the list of commands names them all', (t) => {
  t.regex(USAGE, /^Examples:\n.*hushbox /m);
  for (const [name, help] of Object.entries(HELP)) {
    t.regex(help, new RegExp(`^Examples?:\\n.*hushbox ${name}`, 'm'));
    t.regex(USAGE, new RegExp(`^  ${name}\\b`, 'm'));
    for (const line of help.split('\n')) t.true(line.length <= 120, line);
  }
});

test.serial('help and version need no configuration', async (t) => {
  const env = { HTTP_PORT: 'wrong' };
  for (const help of ['--help', 'help']) {
    t.deepEqual(await hushbox([help], env), { code: 0, stdout: USAGE, stderr: '' });
  }
  t.deepEqual(await hushbox(['help', 'backup'], env), { code: 0, stdout: HELP.backup, stderr: '' });
  t.deepEqual(await hushbox(['--version'], env), { code: 0, stdout: `${VERSION}\n`, stderr: '' });
});

test.serial('a wrong configuration stops a command, which names every bad variable and no value', async (t) => {
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
  t.is((await run('npx', ['--no', 'hushbox', 'doctor', '--help'], { cwd: ROOT, env })).stdout, HELP.doctor);
});
