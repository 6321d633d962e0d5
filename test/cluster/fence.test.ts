import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { createSecret, readSecret, send } from '../support/client.ts';
import { type ReadyProgram, start } from '../support/program.ts';
import { temporaryFolder } from '../support/storage.ts';

const FILES = ['', '-wal', '-shm'].map((suffix) => `hushbox.db${suffix}`);

/** Copies the database's files as somebody would who knows nothing of them, while the service runs. */
function copyDatabase(from: string, to: string): void {
  for (const name of FILES) {
    rmSync(join(to, name), { force: true });
    cpSync(join(from, name), join(to, name), { force: true });
  }
}

async function stop(program: ReadyProgram): Promise<void> {
  program.signal('SIGTERM');
  await program.exit;
}

test.serial('what was read after a copy of the database was made stays read when the copy is put back', async (t) => {
  const copy = await temporaryFolder(t);
  const first = await start(t);
  const { folder } = first;
  const read = await createSecret(first.base, { secret: 'read once' });
  const unread = await createSecret(first.base, { secret: 'never read' });
  copyDatabase(folder, copy);
  t.deepEqual((await readSecret(first.base, read)).body, { secret: 'read once' });
  await sleep(2_000);
  await stop(first);
  copyDatabase(copy, folder);

  const second = await start(t, { folder });
  for (const key of [read, unread]) {
    t.is((await send(second.base, `/secrets/${key}`)).body.code, 'KEY_NOT_FOUND');
    t.is((await readSecret(second.base, key)).body.code, 'KEY_NOT_FOUND');
  }
  t.regex(second.stderr(), /^Hushbox refuses 2 secrets created until \S+: the database was put back/m);
  const fresh = await createSecret(second.base, { secret: 'fresh' });
  const later = await createSecret(second.base, { secret: 'later' });
  t.deepEqual((await readSecret(second.base, fresh)).body, { secret: 'fresh' });
  await stop(second);

  const third = await start(t, { folder });
  for (const key of [read, unread, fresh]) t.is((await readSecret(third.base, key)).status, 404);
  t.deepEqual((await readSecret(third.base, later)).body, { secret: 'later' });
});
