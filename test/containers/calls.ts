import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, request as sendRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import { networkInterfaces } from 'node:os';
import { text } from 'node:stream/consumers';
import type { ExecutionContext, TestFn } from 'ava';
import { Webhook } from 'standardwebhooks';
import type { Containers } from '../support/containers/containers.ts';
import { createSecret, readSecret, type SendOptions, send } from '../support/http/client.ts';
import { remember } from '../support/process/leaks.ts';
import { until } from '../support/process/program.ts';

type Call = { path: string; headers: IncomingHttpHeaders; body: string };
type Destination = {
  /** As containers reach it: on an address of this machine, outside of their networks. */
  origin: string;
  port: number;
  host: string;
  calls: Call[];
  /** How many clients left `/hang`. */
  left: number;
};

const CREATE_TOKEN = randomBytes(24).toString('base64url');
const PROXY_TOKEN = randomBytes(24).toString('base64url');
const AS_CREATOR: SendOptions = { headers: { authorization: `Bearer ${CREATE_TOKEN}` } };
const asCaller = (destination?: string, more: Record<string, string> = {}): SendOptions => ({
  headers: { 'proxy-authorization': `Bearer ${PROXY_TOKEN}`, ...(destination && { destination }), ...more },
});

/** Calls out of the whole set-up. @param restart brings it up with these settings. */
export function callsSuite(
  test: TestFn,
  here: () => Containers,
  restart: (settings: Record<string, string>) => Promise<void>,
): void {
  test('outgoing calls reach allowed destinations, signed; no others, and from no other container', async (t) => {
    t.timeout(300_000);
    await usesTheMadeToken(t, here());
    const there = await startDestination(t);
    const JWT_HEX_SECRET = randomBytes(64).toString('hex');
    remember(JWT_HEX_SECRET);
    const EGRESS_ALLOW = `${there.host}:${there.port}`;
    await restart({ JWT_HEX_SECRET, CREATE_TOKEN, PROXY_TOKEN, EGRESS_ALLOW });
    const { base } = here();
    await callsTheSink(t, base);
    await callsWhatIsAllowed(t, base, there);
    await takesLeaversAlong(base, there);
    await passesPiecesOn(t, base, there);
    await notifies(t, base, there);
    for (const host of [
      '127.0.0.1:8080',
      'mongo:27017',
      'web:8000',
      `${there.host}:22`,
      '169.254.169.254',
      'localhost',
    ]) {
      const answer = await send(base, '/proxy/', {}, asCaller(`http://${host}/`));
      t.like(answer, { status: 403, body: { code: 'DESTINATION_FORBIDDEN' } }, host);
    }
    const unknown = await send(base, '/proxy/', {}, asCaller('http://nobody.invalid/'));
    t.like(unknown, { status: 502, body: { code: 'UPSTREAM_FAILED' } });
    const reach = `timeout 3 bash -c 'exec 3<>/dev/tcp/${there.host}/${there.port}' 2>/dev/null && echo reached || echo unreachable`;
    t.regex(await here().inside('web', reach), /^reached$/m);
    t.regex(await here().inside('mongo', reach), /^unreachable$/m);
  });
}

/** Nothing has to be filled in. */
async function usesTheMadeToken(t: ExecutionContext, { base, inside }: Containers): Promise<void> {
  const token = (await inside('web', 'cat /keys/proxy-token')).trim();
  remember(token);
  t.is((await send(base, '/proxy/', { a: 1 })).status, 407);
  t.is((await send(base, '/proxy/', { a: 1 }, { headers: { 'proxy-authorization': `Bearer ${token}` } })).status, 201);
}

async function callsTheSink(t: ExecutionContext, base: string): Promise<void> {
  t.is((await send(base, '/proxy/', { a: 1 })).status, 407);
  t.is((await send(base, '/proxy/', { a: 1 }, asCaller())).status, 201);
  t.is((await send(base, '/server/')).status, 401);
  const list = await send(base, '/server/', undefined, { headers: { authorization: `Bearer ${PROXY_TOKEN}` } });
  t.like(Object.values(list.body)[0], { payload: { user: 'username' } });
  const before = (await send(base, '/status')).body.requests as number;
  await until('the counts', async () => ((await send(base, '/status')).body.requests as number) > before);
  const page = await send(base, '/status', undefined, { headers: { accept: 'text/html' } });
  t.like(page, { status: 200 });
  t.regex(String(page.body.text), /^<!doctype html>/i);
}

async function callsWhatIsAllowed(t: ExecutionContext, base: string, there: Destination): Promise<void> {
  const url = `${there.origin}/a-path-worth-hiding?${randomBytes(24).toString('base64url')}`;
  const answer = await send(base, '/proxy/', { a: 'ключ' }, asCaller(url, { 'x-mine': 'y', cookie: 'c=d' }));
  t.like(answer, { status: 418, body: { text: 'from there' } });
  t.is(answer.headers['x-accel-redirect'], undefined);
  const call = there.calls.pop();
  t.like(call, { path: url.slice(there.origin.length), body: '{"a":"ключ"}', headers: { 'x-mine': 'y' } });
  t.is(call?.headers.cookie, undefined);
  t.regex(String(call?.headers['x-my-jwt']), /^[\w-]+\.[\w-]+\.[\w-]{86}$/);
}

async function takesLeaversAlong(base: string, there: Destination): Promise<void> {
  const headers = asCaller(`${there.origin}/hang`).headers as Record<string, string>;
  const outgoing = sendRequest(`${base}/proxy/`, { method: 'POST', headers }).on('error', () => {});
  outgoing.end('{}');
  await until('the call', () => there.calls.some(({ path }) => path === '/hang'));
  outgoing.destroy();
  await until('its end', () => there.left === 1);
}

/** The destination sends its last piece when it has got another call. */
async function passesPiecesOn(t: ExecutionContext, base: string, there: Destination): Promise<void> {
  const headers = asCaller(`${there.origin}/pieces`).headers as Record<string, string>;
  const [response] = await once(sendRequest(`${base}/proxy/`, { method: 'POST', headers }).end(), 'response');
  const pieces = response[Symbol.asyncIterator]();
  t.is(String((await pieces.next()).value), 'first');
  await send(base, '/proxy/', {}, asCaller(`${there.origin}/go-on`));
  t.is(String((await pieces.next()).value), 'last');
}

async function notifies(t: ExecutionContext, base: string, there: Destination): Promise<void> {
  const body = { secret: 'with a webhook', notify: `${there.origin}/hook` };
  const elsewhere = { ...body, notify: 'https://mongo/hook' };
  t.like(await send(base, '/generate', elsewhere, AS_CREATOR), {
    status: 403,
    body: { code: 'DESTINATION_FORBIDDEN' },
  });
  const { status, body: created } = await send(base, '/generate', body, AS_CREATOR);
  t.is(status, 201);
  remember(created.webhook_secret);
  t.is((await readSecret(base, created.secret_key as string)).status, 200);
  await until('the event', () => there.calls.some(({ path }) => path === '/hook'));
  const event = there.calls.find(({ path }) => path === '/hook') as Call;
  const webhook = new Webhook(created.webhook_secret as string);
  t.like(webhook.verify(event.body, event.headers as Record<string, string>), { type: 'secret.read' });
  t.is(await createSecret(base, { secret: 's' }).catch(() => 'refused'), 'refused', 'without the token');
}

async function startDestination(t: ExecutionContext): Promise<Destination> {
  const host = Object.values(networkInterfaces())
    .flat()
    .find((one) => one?.family === 'IPv4' && !one.internal)?.address;
  if (host === undefined) throw new Error('This machine has no address that containers could reach');
  let goOn = (): void => {};
  const server = createServer(async (request, response) => {
    const path = request.url as string;
    there.calls.push({ path, headers: request.headers, body: await text(request) });
    if (path === '/hang') response.on('close', () => (there.left += 1));
    else if (path === '/pieces') {
      response.write('first');
      goOn = () => response.end('last');
    } else {
      if (path === '/go-on') goOn();
      response.writeHead(path === '/hook' ? 204 : 418, { 'x-accel-redirect': '/generate' });
      response.end(path === '/hook' ? undefined : 'from there');
    }
  }).listen(0, '0.0.0.0');
  await once(server, 'listening');
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const there: Destination = { origin: `http://${host}:${port}`, port, host, calls: [], left: 0 };
  return there;
}
