import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import { createSecret, readSecret, send } from '../support/http/client.ts';
import { startNginx, withNginx } from '../support/nginx/nginx.ts';
import { type ReadyProgram, start, until } from '../support/process/program.ts';
import { MONGODB } from '../support/storage/storage.ts';

const UPSTREAM = readFileSync('deploy/hosts/upstream.conf', 'utf8');
const both = MONGODB.test === test ? withNginx : MONGODB.test;

/** Two hosts with one storage and one key, behind nginx with the upstream of deploy/hosts. */
async function startHosts(
  t: ExecutionContext,
  env: Record<string, string> = {},
): Promise<[ReadyProgram, ReadyProgram]> {
  const { url } = await MONGODB.place(t);
  const shared = { STORAGE_URL: url, MASTER_KEY: randomBytes(32).toString('hex'), WORKERS: '1', ...env };
  return [await start(t, { env: shared }), await start(t, { env: shared })];
}

function upstreamOf(hosts: readonly ReadyProgram[]): string {
  const addresses = hosts.map(({ base }) => new URL(base).host);
  return UPSTREAM.replaceAll(/ *server [\d.]+:8000(.*)\n/g, (_line, rest) => {
    const address = addresses.shift();
    return address ? `  server ${address}${rest}\n` : '';
  });
}

both('several hosts over TCP: each serves what another one created, and one that is gone is passed over', async (t) => {
  const hosts = await startHosts(t);
  const upstream = upstreamOf(hosts);
  const edit = (name: string, text: string): string => (name === 'upstream.conf' ? upstream : text);
  const nginx = await startNginx(t, { sockets: '/nowhere', edit });
  const keys: string[] = [];
  for (let n = 0; n < 8; n++) keys.push(await createSecret(nginx.base, { secret: `secret of ${n}` }));
  t.is(new Set(nginx.requests().map((request) => request.upstream)).size, 2);
  t.is((await readSecret(hosts[1].base, keys.pop() as string)).status, 200);
  await hosts[0].end();
  // What nginx sends on a connection it does not yet know to be gone is refused, and not sent again: so nothing is lost.
  const isRead = async (key: string): Promise<boolean> => (await readSecret(nginx.base, key)).status === 200;
  for (const key of keys) await until('the host that is left', () => isRead(key));
  t.is(nginx.requests().filter(({ status }) => status === 404).length, 0);
});

both('over TCP, the client address that nginx sends counts if nginx is trusted', async (t) => {
  const [host] = await startHosts(t, { TRUSTED_PROXIES: '127.0.0.1', LIMITS: 'on', CREATES_PER_MINUTE: '2' });
  const upstream = upstreamOf([host]);
  const edit = (name: string, text: string): string => (name === 'upstream.conf' ? upstream : text);
  const nginx = await startNginx(t, { sockets: '/nowhere', edit });
  const create = (headers = {}): Promise<number> =>
    send(nginx.base, '/generate', { secret: 'x' }, { headers }).then(({ status }) => status);
  t.deepEqual([await create(), await create(), await create()], [201, 201, 429]);
  t.is(await create({ 'x-forwarded-for': '192.0.2.1' }), 429); // a client's own word
  t.is(
    (await send(host.base, '/generate', { secret: 'x' }, { headers: { 'x-forwarded-for': '192.0.2.1' } })).status,
    201,
  );
});
