import { join } from 'node:path';
import test from 'ava';
import { runCommand } from '../support/process/command.ts';
import { start } from '../support/process/program.ts';
import { temporaryFolder } from '../support/storage/storage.ts';

const CHECK = new URL('../../scripts/health-check.ts', import.meta.url).pathname;

/** @returns what the health check of a container ends with under these variables. */
async function check(env: Record<string, string>): Promise<number | null> {
  return (await runCommand([CHECK], { program: process.execPath, env })).code;
}

test('the health check asks where the service listens; an empty variable counts as absent', async (t) => {
  const { base } = await start(t, { env: { WORKERS: '1' } });
  const HTTP_PORT = new URL(base).port;
  for (const HOST of ['', '0.0.0.0', '::', '127.0.0.1']) t.is(await check({ HTTP_PORT, HOST, WORKERS: '' }), 0, HOST);
  t.is(await check({ HTTP_PORT, HOST: '127.0.0.2' }), 1, 'nobody listens there');
});

test('with sockets it asks every worker, and one where their number is empty', async (t) => {
  const SOCKET_DIR = join(await temporaryFolder(t), 's');
  t.is(await check({ SOCKET_DIR, WORKERS: '' }), 1, 'nobody is there');
  await start(t, { env: { SOCKET_DIR, WORKERS: '2' } });
  t.is(await check({ SOCKET_DIR, WORKERS: '' }), 0);
  t.is(await check({ SOCKET_DIR, WORKERS: '2' }), 0);
  t.is(await check({ SOCKET_DIR, WORKERS: '3' }), 1);
});
