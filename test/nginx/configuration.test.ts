import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test, { type TestFn } from 'ava';
import { makeCertificate } from '../support/certificate.ts';
import { createSecret, readSecret, send } from '../support/client.ts';
import { startNginx, withNginx } from '../support/nginx.ts';
import { configure, isInstalled } from '../support/nginx-files.ts';
import { start } from '../support/program.ts';
import { temporaryFolder } from '../support/storage.ts';

const run = promisify(execFile);
/** The linter; GIXY names it where it is not on the PATH. */
const GIXY = process.env.GIXY ?? 'gixy';
const withGixy = (isInstalled(GIXY, '--version') ? test : test.skip) as TestFn;

for (const server of ['plain.conf', 'tls.conf'] as const) {
  withNginx(`nginx takes the configuration with ${server}, without a warning`, async (t) => {
    const folder = await temporaryFolder(t);
    await configure(folder, { sockets: folder, server, log: `${folder}/access.log requests` });
    if (server === 'tls.conf') await makeCertificate(folder);
    const { stderr } = await run('nginx', ['-t', '-c', join(folder, 'nginx', 'nginx.conf')]);
    t.notRegex(stderr, /\[(?:warn|error|crit|alert|emerg)\]/);
  });

  withGixy(`the linter finds nothing in it, with ${server}`, async (t) => {
    const folder = await temporaryFolder(t);
    await configure(folder, { sockets: folder, server, log: `${folder}/access.log requests` });
    const { stdout } = await run(GIXY, [join(folder, 'nginx', 'nginx.conf')]);
    t.regex(stdout, /No issues found/);
  });
}

withNginx('a secret is created and read through nginx, by any worker', async (t) => {
  const folder = await temporaryFolder(t);
  const sockets = join(folder, 's');
  await start(t, { folder, env: { SOCKET_DIR: sockets } });
  const nginx = await startNginx(t, { sockets });
  for (let n = 0; n < 4; n++) {
    const key = await createSecret(nginx.base, { secret: 'some secret' });
    t.like(await send(nginx.base, `/secrets/${key}`), { status: 200, body: { phrase: false } });
    t.like(await readSecret(nginx.base, key), { status: 200, body: { secret: 'some secret' } });
    t.like(await readSecret(nginx.base, key), { status: 404, body: { code: 'KEY_NOT_FOUND' } });
  }
  t.is(new Set(nginx.requests().map(({ upstream }) => upstream)).size, 2);
});
