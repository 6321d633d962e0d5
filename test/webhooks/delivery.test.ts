import { createHash, randomBytes } from 'node:crypto';
import type { ExecutionContext } from 'ava';
import { jwtVerify } from 'jose';
import { Webhook } from 'standardwebhooks';
import { createTestClock, startServer, type TestServer, type TestServerOptions } from '../support/http/server.ts';
import { until } from '../support/process/program.ts';
import { ENGINES } from '../support/storage/storage.ts';
import { type Call, startReceiver } from '../support/webhooks/receiver.ts';

type Created = { secret_key: string; receipt_key: string; webhook_secret: string };

async function create(server: TestServer, notify: string): Promise<Created> {
  const response = await server.post('/generate', { secret: 's', receipt: true, ttl: { minutes: 1 }, notify });
  if (response.status !== 201) throw new Error(await response.text());
  return (await response.json()) as Created;
}

/** The name of a secret in its events. */
function idIn({ secret_key }: Created): string {
  return createHash('sha256').update(secret_key).digest('hex').slice(0, 32);
}

/** Whether the first event becomes due this many ms from now, and no sooner. */
async function isDueIn({ storage: { events }, clock }: TestServer, ms: number): Promise<boolean> {
  return (await events.hasDue(clock.now + ms)) && !(await events.hasDue(clock.now + ms - 1));
}

/** Waits until the ends of all calls are written down, which is a little later than the calls. */
async function untilFinished({ storage: { events } }: TestServer): Promise<void> {
  await until('the end of all events', async () => (await events.countWaiting()).events === 0);
}

for (const { name, place, test: runs } of ENGINES) {
  const start = async (t: ExecutionContext, options: Partial<TestServerOptions> = {}): Promise<TestServer> =>
    startServer(t, { place: await place(t), env: { EGRESS_ALLOW: '127.0.0.1' }, ...options });

  runs(`${name}: a read notifies its receiver at once, signed both ways, without the key`, async (t) => {
    const [server, receiver] = [await start(t), await startReceiver(t)];
    const { secret_key: key, webhook_secret: secret } = await create(server, receiver.url);
    t.is((await server.post(`/secrets/${key}`)).status, 200);
    await until('the event', () => receiver.calls.length === 1);
    const [{ path, headers, body }] = receiver.calls as [Call];
    t.is(path, '/hook?a=1');
    t.deepEqual(JSON.parse(body), {
      type: 'secret.read',
      timestamp: new Date(server.clock.now).toISOString(),
      data: { secret_id: createHash('sha256').update(key).digest('hex').slice(0, 32) },
    });
    const bytes = Buffer.from(secret.slice('whsec_'.length), 'base64');
    t.is(bytes.length, 64);
    const { payload, protectedHeader } = await jwtVerify(String(headers['x-my-jwt']), bytes, {
      currentDate: new Date(server.clock.now),
      audience: new URL(receiver.url).origin,
    });
    t.deepEqual(protectedHeader, { alg: 'HS512', typ: 'JWT' });
    t.is(payload.exp, (payload.iat as number) + 300);
    t.deepEqual(payload.payload, { user: 'username', date: '2066-01-01' });
    const timestamp = new Date(Number(headers['webhook-timestamp']) * 1000);
    t.is(timestamp.getTime(), server.clock.now);
    const id = String(headers['webhook-id']);
    t.is(new Webhook(secret).sign(id, timestamp, body), String(headers['webhook-signature']));
    t.false(JSON.stringify({ headers, body }).includes(key));
    await untilFinished(server);
    t.false(server.logged().includes(receiver.url));
  });

  runs(`${name}: burned and expired secrets have their events too`, async (t) => {
    const [server, receiver] = [await start(t), await startReceiver(t)];
    const burned = await create(server, receiver.url);
    await create(server, receiver.url);
    t.is((await server.request('DELETE', `/receipts/${burned.receipt_key}`)).status, 204);
    await until('the first', () => receiver.calls.length === 1);
    await untilFinished(server); // or, with a clock that jumps, it would be sent again
    server.clock.advance({ minutes: 2 });
    await server.storage.secrets.sweep(server.clock.now, 100, 0);
    server.wake();
    await until('the second', () => receiver.calls.length === 2);
    t.deepEqual(
      receiver.calls.map(({ body }) => (JSON.parse(body) as { type: string }).type),
      ['secret.burned', 'secret.expired'],
    );
  });

  runs(`${name}: a request has an event of its own, answered or expired, and then the secret has one`, async (t) => {
    const [server, receiver] = [await start(t), await startReceiver(t)];
    const ask = async (): Promise<Created & { request_key: string }> => {
      const response = await server.post('/requests', { ttl: { minutes: 1 }, notify: receiver.url });
      return (await response.json()) as Created & { request_key: string };
    };
    const answered = await ask();
    t.regex(answered.webhook_secret, /^whsec_/);
    t.is((await server.post(`/requests/${answered.request_key}`, { secret: 's' })).status, 201);
    await until('the first', () => receiver.calls.length === 1);
    t.is((await server.post(`/secrets/${answered.secret_key}`)).status, 200);
    await until('the second', () => receiver.calls.length === 2);
    const withdrawn = await ask();
    t.is((await server.request('DELETE', `/secrets/${withdrawn.secret_key}`)).status, 204);
    const expired = await ask();
    await untilFinished(server);
    server.clock.advance({ minutes: 2 });
    await server.storage.secrets.sweep(server.clock.now, 100, 0);
    server.wake();
    await until('the third', () => receiver.calls.length === 3);
    const events = receiver.calls.map(({ body }) => JSON.parse(body) as { type: string; data: { secret_id: string } });
    t.deepEqual(
      events.map(({ type, data }) => [type, data.secret_id]),
      [
        ['request.answered', idIn(answered)],
        ['secret.read', idIn(answered)],
        ['request.expired', idIn(expired)],
      ],
    );
    const ids = receiver.calls.map(({ headers }) => String(headers['webhook-id']));
    t.is(new Set(ids).size, 3);
    for (const [index, { headers, body }] of receiver.calls.entries()) {
      const { webhook_secret } = index < 2 ? answered : expired;
      t.regex(ids[index] as string, /^msg_[\w-]{24}$/);
      const at = new Date(Number(headers['webhook-timestamp']) * 1000);
      t.is(new Webhook(webhook_secret).sign(ids[index] as string, at, body), String(headers['webhook-signature']));
      for (const made of [answered, expired]) {
        for (const key of [made.secret_key, made.request_key]) t.false(JSON.stringify({ headers, body }).includes(key));
      }
    }
  });

  runs(`${name}: what failed is tried again under the same id and with the same bytes; 410 ends it`, async (t) => {
    const [server, receiver] = [await start(t), await startReceiver(t)];
    receiver.answer = { status: 302, headers: { location: receiver.url } };
    const { secret_key: key } = await create(server, receiver.url);
    await server.post(`/secrets/${key}`);
    await until('a first attempt', () => receiver.calls.length === 1);
    await until('its end', () => server.storage.events.hasDue(server.clock.now + 5_000));
    receiver.answer = { status: 410 };
    server.clock.advance({ seconds: 5 });
    server.wake();
    await until('a second attempt', () => receiver.calls.length === 2);
    await untilFinished(server);
    const [first, second] = receiver.calls;
    t.is(first?.body, second?.body);
    t.is(first?.headers['webhook-id'], second?.headers['webhook-id']);
    t.not(first?.headers['webhook-signature'], second?.headers['webhook-signature']);
    t.not(first?.headers['x-my-jwt'], second?.headers['x-my-jwt']);
  });

  runs(`${name}: a receiver that asks for patience is called no sooner, and a day later at the latest`, async (t) => {
    const [server, receiver] = [await start(t), await startReceiver(t)];
    const { clock } = server;
    receiver.answer = { status: 503, headers: { 'retry-after': '3600' } };
    const { secret_key: key } = await create(server, receiver.url);
    await server.post(`/secrets/${key}`);
    await until('a first attempt', () => receiver.calls.length === 1);
    await until('its end', () => isDueIn(server, 3_600_000));
    clock.advance({ hours: 1 });
    receiver.answer = { status: 429, headers: { 'retry-after': '999999' } };
    server.wake();
    await until('a second attempt', () => receiver.calls.length === 2);
    await until('its end', () => isDueIn(server, 23 * 3_600_000));
    t.is(receiver.calls.length, 2);
  });

  runs(`${name}: an event whose master key is away waits for it, and no attempt is counted`, async (t) => {
    const shared = await place(t);
    const [old, key] = [randomBytes(32), randomBytes(32)] as const;
    const clock = createTestClock();
    const receiver = await startReceiver(t);
    const options = { place: shared, clock, env: { EGRESS_ALLOW: '127.0.0.1' } };
    const before = await startServer(t, { ...options, masterKeys: [old] });
    const { receipt_key: receipt } = await create(before, receiver.url);
    const without = await startServer(t, { ...options, masterKeys: [key] });
    await before.stopDelivery();
    t.is((await before.request('DELETE', `/receipts/${receipt}`)).status, 204);
    without.wake();
    await until('it to be put off', () => /result="later"\} 1/.test(without.metrics()));
    await until('its end', () => isDueIn(without, 60_000));
    t.is(receiver.calls.length, 0);
    await without.stopDelivery();
    clock.advance({ minutes: 1 });
    const withBoth = await startServer(t, { ...options, masterKeys: [key, old] });
    withBoth.wake();
    await until('the event', () => receiver.calls.length === 1);
    await untilFinished(before);
  });

  runs(`${name}: what cannot be notified is refused, and nothing is stored`, async (t) => {
    const open = await start(t, { env: { EGRESS_ALLOW: '127.0.0.2' } });
    const post = async (notify: unknown, server = open) => {
      const response = await server.post('/generate', { secret: 's', notify });
      const { Error: sentence, code } = (await response.json()) as { Error: string; code: string };
      return { status: response.status, code, isNamed: sentence.includes('notify') };
    };
    const refused = { status: 403, code: 'DESTINATION_FORBIDDEN' };
    for (const url of [
      'http://127.0.0.1/',
      'https://127.1/',
      'https://[::1]/',
      'https://10.0.0.1/',
      'https://localhost/',
      'http://1.1.1.1/',
    ]) {
      t.like(await post(url), refused, url);
    }
    for (const bad of [
      '',
      'no URL',
      'ftp://a.example/',
      'https://u:p@a.example/',
      'https:// a.example/',
      'https://a.example/\ud800',
      `https://a.example/${'x'.repeat(2048)}`,
      1,
      null,
    ]) {
      t.like(await post(bad), { status: 400, code: 'INVALID_REQUEST', isNamed: true }, String(bad));
    }
    const closed = await start(t, { env: { NODE_ENV: 'production' } });
    const forbidden = { status: 403, code: 'NOTIFY_FORBIDDEN' };
    t.like(await post('https://127.0.0.1/', closed), forbidden);
    t.like(await post('https://10.0.0.1/', closed), forbidden); // said before anybody looks where that is
    t.like(await post('no URL', closed), { status: 400 });
    t.is((await closed.post('/generate', { secret: 's' })).status, 201);
  });
}
