import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import test from 'ava';
import { temporaryFolder } from './support/storage/storage.ts';

const LINES = [
  ["import { rm } from 'node:fs/promises';\nrm('file');", 'no-floating-promises'],
  [
    "import { rm } from 'node:fs/promises';\nexport const all = [1].forEach(async () => rm('file'));",
    'no-misused-promises',
  ],
  ["import { rm } from 'node:fs/promises';\nif (rm('file')) throw new Error('always');", 'no-misused-promises'],
] as const;

test('the linter sees promises that nobody waits for, those of imported functions too', async (t) => {
  const folder = await temporaryFolder(t);
  for (const name of ['.oxlintrc.json', 'tsconfig.json', 'package.json']) cpSync(name, join(folder, name));
  symlinkSync(resolve('node_modules'), join(folder, 'node_modules'));
  mkdirSync(join(folder, 'src'));
  for (const [text, rule] of LINES) {
    writeFileSync(join(folder, 'src/line.ts'), text);
    const error = t.throws(() =>
      execFileSync('node_modules/.bin/oxlint', ['--type-aware', '--quiet', 'src'], { cwd: folder, encoding: 'utf8' }),
    ) as Error & { stdout: string };
    t.true(error.stdout.includes(rule), error.stdout);
  }
});
