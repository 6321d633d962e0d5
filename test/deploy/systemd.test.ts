import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { parseEnvironment } from '../../src/config/config.ts';
import { testWith } from '../support/process/tools.ts';
import { temporaryFolder } from '../support/storage/storage.ts';

const UNIT = 'deploy/systemd/hushbox.service';

testWith('systemd-analyze')('systemd-analyze verify finds nothing wrong with the unit', async (t) => {
  const root = await temporaryFolder(t);
  // `verify` looks for the program that it starts.
  const program = join(root, 'opt/hushbox/scripts/node');
  mkdirSync(join(program, '..'), { recursive: true });
  cpSync('scripts/node', program);
  chmodSync(program, 0o755);
  const unit = join(root, 'hushbox.service');
  writeFileSync(unit, readFileSync(UNIT, 'utf8').replaceAll('/opt/hushbox', join(root, 'opt/hushbox')));
  const run = (path: string): string => {
    const command = `systemd-analyze verify --man=no --recursive-errors=no '${path}' 2>&1`;
    return execFileSync('sh', ['-c', command], { encoding: 'utf8' });
  };
  t.is(run(unit), '');
  const wrong = join(root, 'wrong.service');
  writeFileSync(wrong, readFileSync(unit, 'utf8').replace('KillMode=mixed', 'KillMode=sometimes'));
  t.throws(() => run(wrong), { message: /Command failed/ });
});

test('its variables are ours, and production starts with them', async (t) => {
  const folder = await temporaryFolder(t);
  for (const name of ['master-key', 'create-token']) writeFileSync(join(folder, name), 'a'.repeat(64));
  const settings = [...readFileSync(UNIT, 'utf8').matchAll(/^Environment=(?<name>\w+)=(?<value>.*)$/gm)];
  const env = Object.fromEntries(settings.map(({ groups }) => [groups?.name, groups?.value?.replace('%d', folder)]));
  const { problems, values } = parseEnvironment(env);
  t.deepEqual(problems, []);
  t.is(values.NODE_ENV, 'production');
  t.is(values.DATA_DIR, '/var/lib/hushbox');
  t.truthy(values.MASTER_KEY);
});
