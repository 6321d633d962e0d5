import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import { listSettings } from '../../src/config/config.ts';
import { createTestClock, startServer } from '../support/http/server.ts';
import { makeCertificate } from '../support/nginx/certificate.ts';
import { withNginx } from '../support/nginx/nginx.ts';
import { findFreePort } from '../support/process/free-port.ts';
import { until } from '../support/process/program.ts';
import { SQLITE, temporaryFolder } from '../support/storage/storage.ts';

const DOCUMENT = readFileSync('docs/install.md', 'utf8');
const run = promisify(execFile);

withNginx('docs/install.md: nginx takes the server, and a secret passes it', async (t) => {
  const env = { TRUSTED_PROXIES: '127.0.0.1,::1', PUBLIC_URL: 'https://secrets.example.com' };
  const { base } = await startServer(t, { place: await SQLITE.place(t), env, clock: createTestClock() });
  const folder = await temporaryFolder(t);
  await makeCertificate(folder);
  const port = await findFreePort();
  const [, server = ''] = /^```nginx\n(.*?)^```/ms.exec(DOCUMENT) ?? [];
  const own = server
    .replace('listen 443 ssl', `listen 127.0.0.1:${port} ssl`)
    .replaceAll('/etc/ssl/hushbox', folder)
    .replace('http://127.0.0.1:8000', base);
  t.is(own.split(folder).length, 3);
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${folder}/${name};`,
  );
  const file = join(folder, 'nginx.conf');
  const rest = `daemon off; pid ${folder}/pid; error_log stderr; events {}`;
  writeFileSync(file, `${rest}\nhttp {\n${paths.join('\n')}\n${own}}\n`);
  const nginx = spawn('nginx', ['-c', file, '-p', folder], { stdio: 'ignore' });
  t.teardown(async () => {
    if (nginx.exitCode === null && nginx.kill()) await once(nginx, 'exit');
  });
  const ask = async (path: string, ...more: string[]): Promise<string> => {
    const resolve = ['--insecure', '--resolve', `secrets.example.com:${port}:127.0.0.1`];
    const address = `https://secrets.example.com:${port}${path}`;
    const { stdout } = await run('curl', ['-s', ...resolve, ...more, address], { maxBuffer: 16 * 1024 * 1024 });
    return stdout;
  };
  await until('nginx', async () => (await ask('/health/live').catch(() => '')).includes('live'));
  const secret = '\u0001'.repeat(1024 * 1024); // each takes six bytes of the body
  const body = join(folder, 'body');
  writeFileSync(body, JSON.stringify({ secret }));
  const created = JSON.parse(await ask('/generate', '-d', `@${body}`));
  t.true(JSON.parse(await ask(`/secrets/${created.secret_key}`, '-d', '{}')).secret === secret);
  t.regex(await ask(`/secrets/${created.secret_key}`, '-d', '{}'), /KEY_NOT_FOUND/);
  const link = await ask('/generate', '-H', 'Accept: text/plain', '-d', '{"secret": "x"}');
  t.true(link.startsWith('https://secrets.example.com/secrets/'));
});

test('docs/install.md and docs/kubernetes.md name only settings that exist', (t) => {
  const known = listSettings().flatMap(({ name }) => [name, `${name}_FILE`]);
  // Of docker compose, of docker-compose.tls.yml, and of systemd.
  const others = ['COMPOSE_FILE', 'TLS_DIR', 'CREDENTIALS_DIRECTORY'];
  const text = DOCUMENT + readFileSync('docs/kubernetes.md', 'utf8');
  const named = [...text.matchAll(/\b([A-Z]{2,}(?:_[A-Z]+)+)\b/g)].map(([, name = '']) => name);
  t.true(named.length > 10);
  t.deepEqual(
    named.filter((name) => !known.includes(name) && !others.includes(name)),
    [],
  );
});
