import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import { temporaryFolder } from './support/storage/storage.ts';

const run = promisify(execFile);
const WANTED = '24.18.1';

/** A clone that has no Node of its own, and a `node` for its PATH that says it is of this version. */
async function cloneWith(t: ExecutionContext, version: string): Promise<{ clone: string; env: NodeJS.ProcessEnv }> {
  const folder = await temporaryFolder(t);
  const clone = join(folder, 'a clone');
  mkdirSync(clone);
  for (const name of ['bin', 'client', 'scripts', 'src', 'package.json', 'Makefile']) {
    cpSync(name, join(clone, name), { recursive: true });
  }
  symlinkSync(resolve('node_modules'), join(clone, 'node_modules'));
  const pretend = `Object.defineProperty(process.versions, 'node', { value: '${version}' });`;
  writeFileSync(join(folder, 'pretend.cjs'), pretend);
  const node = `#!/bin/sh\nexec '${process.execPath}' --require='${join(folder, 'pretend.cjs')}' "$@"\n`;
  writeFileSync(join(folder, 'node'), node, { mode: 0o755 });
  return { clone, env: { ...process.env, PATH: `${folder}:${process.env.PATH}` } };
}

const MAINS = ['src/main.ts', 'src/cli/main.ts', 'src/setup/main.ts'];
for (const command of [
  'bin/hushbox --version',
  'npm start',
  'scripts/node -e 0',
  ...MAINS.map((file) => `node ${file}`),
]) {
  test(`an older Node is told so, and what to do: ${command}`, async (t) => {
    for (const version of ['18.20.4', '24.18.0', '23.99.99']) {
      const { clone, env } = await cloneWith(t, version);
      const error = await t.throwsAsync(run('sh', ['-c', command], { cwd: clone, env }));
      const text = error?.message ?? '';
      t.true(text.includes(`needs Node ${WANTED} or later, and this is ${version}`), text);
      t.regex(text, /make build/);
      t.notRegex(text, / at .*:\d+:\d+/);
    }
  });
}

test('the wanted Node and later ones are taken', async (t) => {
  for (const version of [WANTED, '24.19.0', '25.0.0', '100.0.0']) {
    const { clone, env } = await cloneWith(t, version);
    t.like(await run('scripts/node', ['-p', '"fine"'], { cwd: clone, env }), { stdout: 'fine\n' });
  }
});
