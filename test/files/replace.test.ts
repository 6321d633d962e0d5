import { existsSync, readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { beginReplacement } from '../../src/files/replace.ts';
import { temporaryFolder } from '../support/storage/storage.ts';

async function oldFile(t: ExecutionContext) {
  const folder = await temporaryFolder(t);
  const path = join(folder, 'keys');
  writeFileSync(path, 'old');
  const age = (seconds: number): void => utimesSync(`${path}.new`, 0, Date.now() / 1000 - seconds);
  return { folder, path, age, content: () => readFileSync(path, 'utf8') };
}

test('what a killed replacement left is taken over after a minute, not before', async (t) => {
  const { folder, path, age, content } = await oldFile(t);
  writeFileSync(`${path}.new`, 'half');
  age(50);
  t.throws(() => beginReplacement(path), { code: 'EEXIST' });
  t.is(readFileSync(`${path}.new`, 'utf8'), 'half');
  for (const seconds of [61, -3_600]) {
    if (!existsSync(`${path}.new`)) writeFileSync(`${path}.new`, 'half');
    age(seconds);
    const replacement = beginReplacement(path);
    t.throws(() => beginReplacement(path), { code: 'EEXIST' });
    replacement.write(`new ${seconds}`);
    replacement.commit();
    t.is(content(), `new ${seconds}`);
  }
  t.deepEqual(readdirSync(folder), ['keys']);
});

for (const end of ['commit', 'cancel'] as const) {
  test(`a replacement that was taken over harms the other one neither by ${end} nor by what it wrote`, async (t) => {
    const { folder, path, age, content } = await oldFile(t);
    const slow = beginReplacement(path);
    slow.write('slow');
    age(61); // it was stopped for so long
    const other = beginReplacement(path);
    if (end === 'commit') t.throws(() => slow.commit(), { code: 'EEXIST' });
    else slow.cancel();
    t.is(content(), 'old');
    other.write('other');
    other.commit();
    t.is(content(), 'other');
    t.deepEqual(readdirSync(folder), ['keys']);
  });
}
