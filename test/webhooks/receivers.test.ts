import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import { Webhook } from 'standardwebhooks';
import { fingerprintOf } from '../../src/webhooks/payload.ts';
import { createTestClock, startServer, type TestServer } from '../support/http/server.ts';
import { findFreePort } from '../support/process/free-port.ts';
import { until } from '../support/process/program.ts';
import { testWith } from '../support/process/tools.ts';
import { ENGINES, temporaryFolder } from '../support/storage/storage.ts';
import { startReceiver } from '../support/webhooks/receiver.ts';

/** What the document has programs check, and programs do: run as it stands there. */
const DOCUMENT = readFileSync('docs/webhooks.md', 'utf8');

function blockWith(words: string): string {
  const blocks = [...DOCUMENT.matchAll(/^```(?:js|python|sh)\n(.*?)^```/gms)].map(([, block = '']) => block);
  const found = blocks.filter((block) => block.includes(words));
  if (found.length !== 1) throw new Error(`${found.length} blocks with ${words}`);
  return found[0] as string;
}

type Headers = Record<string, string>;
type Message = { secret: string; headers: Headers; body: string };

/** In real time, for that is what receivers go by. */
async function start(t: ExecutionContext): Promise<TestServer> {
  const [sqlite] = ENGINES;
  if (!sqlite) throw new TypeError('no engine');
  const clock = Object.assign(createTestClock(), { now: Date.now() });
  return startServer(t, { place: await sqlite.place(t), env: { EGRESS_ALLOW: '127.0.0.1' }, clock });
}

/** An event, as a receiver gets it. */
async function receive(t: ExecutionContext): Promise<Message & { origin: string }> {
  const [server, { url, calls }] = [await start(t), await startReceiver(t)];
  const response = await server.post('/generate', { secret: 's', notify: url });
  const created = (await response.json()) as { secret_key: string; webhook_secret: string };
  await server.post(`/secrets/${created.secret_key}`);
  await until('the event', () => calls.length === 1);
  const [{ headers, body } = { headers: {}, body: '' }] = calls;
  return { secret: created.webhook_secret, headers: headers as Headers, body, origin: new URL(url).origin };
}

/** The same event with a right signature of another time. */
function signedAt({ secret, headers, body }: Message, seconds: number): Message {
  const at = new Date((Math.floor(Date.now() / 1000) + seconds) * 1000);
  const signature = new Webhook(secret).sign(headers['webhook-id'] as string, at, body);
  const times = { 'webhook-timestamp': String(at.getTime() / 1000), 'webhook-signature': signature };
  return { secret, body, headers: { ...headers, ...times } };
}

/** What a receiver must refuse, by what is wrong with it. */
function fakesOf(message: Message): Record<string, Message> {
  const { headers, body } = message;
  const with_ = (changed: Headers): Message => ({ ...message, headers: { ...headers, ...changed } });
  const stranger = `whsec_${Buffer.alloc(64, 1).toString('base64')}`;
  return {
    'changed body': { ...message, body: body.replace('secret.read', 'secret.burned') },
    'signed by somebody else': { ...signedAt({ ...message, secret: stranger }, 0), secret: message.secret },
    'without its signature': with_({ 'webhook-signature': 'v1,' }),
    'other id': with_({ 'webhook-id': 'msg_another' }),
    'later time': with_({ 'webhook-timestamp': String(Number(headers['webhook-timestamp']) + 1) }),
    'too old': signedAt(message, -330),
    'from the future': signedAt(message, 400),
  };
}

type Verify = (message: Message) => Promise<boolean>;

async function holdTo(t: ExecutionContext, verify: Verify): Promise<void> {
  const message = await receive(t);
  t.true(await verify(message));
  t.true(await verify(signedAt(message, -200)), 'not too old');
  for (const [name, fake] of Object.entries(fakesOf(message))) t.false(await verify(fake), name);
}

/** A folder where a program finds our packages. */
async function programFolder(t: ExecutionContext): Promise<string> {
  const folder = await temporaryFolder(t);
  symlinkSync(resolve('node_modules'), join(folder, 'node_modules'));
  return folder;
}

async function load(t: ExecutionContext, block: string): Promise<Record<string, (...input: unknown[]) => unknown>> {
  const file = join(await programFolder(t), 'verify.mjs');
  writeFileSync(file, block);
  return import(file);
}

/** Runs a program to its end. @returns whether it was content, by status and output. */
async function run(file: string, args: string[], options: { cwd?: string; env?: Headers }): Promise<boolean> {
  const env = { PATH: process.env.PATH ?? '', ...options.env };
  return promisify(execFile)(file, args, { ...options, env }).then(
    ({ stdout }) => stdout.includes('from Hushbox'),
    () => false,
  );
}

test('the check in Node takes what is from us and nothing else', async (t) => {
  const { verify } = await load(t, blockWith("from 'standardwebhooks'"));
  await holdTo(t, async ({ secret, headers, body }) => {
    try {
      const event = verify?.(secret, headers, body) as { type: string } | undefined;
      return event?.type === 'secret.read';
    } catch {
      return false;
    }
  });
});

testWith('python3')('the check in Python takes what is from us and nothing else', async (t) => {
  const script = `${blockWith('def verify')}
event = verify(*json.loads(sys.argv[1]), sys.argv[2].encode())
print(event["type"] == "secret.read" and "from Hushbox")`;
  await holdTo(t, ({ secret, headers, body }) =>
    run('python3', ['-c', `import sys\n${script}`, JSON.stringify([secret, headers]), body], {}),
  );
});

testWith('openssl')('the check with openssl takes what is from us and nothing else', async (t) => {
  const script = blockWith('openssl dgst');
  const cwd = await temporaryFolder(t);
  await holdTo(t, ({ secret, headers, body }) => {
    writeFileSync(join(cwd, 'body.json'), body);
    const env = {
      SECRET: secret,
      ID: headers['webhook-id'] ?? '',
      TIMESTAMP: headers['webhook-timestamp'] ?? '',
      SIGNATURE: headers['webhook-signature'] ?? '',
    };
    return run('sh', ['-c', script], { cwd, env });
  });
});

test('the check of the token takes ours, for that origin and that secret', async (t) => {
  const { verifyToken } = await load(t, blockWith('verifyToken'));
  const { secret, headers, origin } = await receive(t);
  const claims = await verifyToken?.(secret, headers, origin);
  t.like(claims, { aud: origin, payload: { user: 'username' } });
  const check = async (...input: unknown[]): Promise<unknown> => verifyToken?.(...input);
  await t.throwsAsync(check(secret, headers, 'https://elsewhere.example'));
  await t.throwsAsync(check(`whsec_${Buffer.alloc(64, 1).toString('base64')}`, headers, origin));
  const [head, payload = '', signature] = (headers['x-my-jwt'] as string).split('.');
  const changed = Buffer.from(payload, 'base64url').toString().replace('username', 'somebody');
  const forged = [head, Buffer.from(changed).toString('base64url'), signature].join('.');
  await t.throwsAsync(check(secret, { 'x-my-jwt': forged }, origin));
});

testWith('curl')('the receiver to try it with prints the event', async (t) => {
  const server = await start(t);
  const port = await findFreePort();
  const receiver = spawn('sh', ['-c', `exec ${blockWith('require("http")').replace('3000', String(port))}`]);
  t.teardown(() => receiver.kill('SIGKILL'));
  let printed = '';
  receiver.stdout.setEncoding('utf8').on('data', (text: string) => {
    printed += text;
  });
  const url = `http://127.0.0.1:${port}/`;
  await until('the receiver', async () => (await fetch(url).catch(() => undefined))?.status === 200);
  const script = blockWith('/secrets/$KEY').replaceAll('http://127.0.0.1:8000', server.base);
  const shell = await promisify(execFile)('sh', ['-c', script.replace('http://127.0.0.1:3000/', url)]);
  t.is(shell.stdout, '{"secret":"some secret"}');
  await until('the event', () => printed.includes('"type":"secret.read"'));
  t.regex(printed, /'webhook-id': 'msg_/);
});

test("the document's example of an event is of the key that it shows, and of one moment", (t) => {
  const [key, secretId] = [/^KEY=([\w-]{48})$/m, /"secret_id":"([0-9a-f]{32})"/].map(
    (form) => form.exec(DOCUMENT)?.[1],
  );
  t.is(fingerprintOf(key ?? ''), secretId as string);
  const sentAt = Number(/^webhook-timestamp: (\d+)$/m.exec(DOCUMENT)?.[1]);
  t.is(/"timestamp":"([^"]+)"/.exec(DOCUMENT)?.[1], new Date(sentAt * 1000).toISOString());
});

type Adapter = { url: string; folder: string; send(message: Message): Promise<number> };

/** The document's program, between us and something that stands for Slack. */
async function startAdapter(t: ExecutionContext, slackUrl: string): Promise<Adapter> {
  const folder = await temporaryFolder(t);
  writeFileSync(join(folder, 'hushbox-to-slack.mjs'), blockWith('hushbox-to-slack.mjs\n'));
  const env = { PATH: process.env.PATH ?? '', SLACK_URL: slackUrl, PORT: '0' };
  const child = spawn(process.execPath, ['hushbox-to-slack.mjs'], {
    cwd: folder,
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(async () => {
    if (child.kill('SIGKILL')) await once(child, 'exit');
  });
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  await until('the adapter', () => said.includes('\n'));
  const url = `http://127.0.0.1:${/\d+/.exec(said)?.[0]}/`;
  const send = async ({ headers, body }: Message): Promise<number> => {
    const names = ['webhook-id', 'webhook-timestamp', 'webhook-signature'];
    const sent = Object.fromEntries(names.map((name) => [name, headers[name] ?? '']));
    return (await fetch(url, { method: 'POST', headers: sent, body })).status;
  };
  return { url, folder, send };
}

testWith('curl', 'sha256sum')(
  'the adapter for Slack says what happened, once, and nothing that is forged',
  async (t) => {
    const [server, slack] = [await start(t), await startReceiver(t)];
    const adapter = await startAdapter(t, slack.url);
    const script = blockWith('>> webhook-secrets')
      .replaceAll('http://127.0.0.1:8000', server.base)
      .replaceAll('http://127.0.0.1:3000/', adapter.url);
    const { stdout } = await promisify(execFile)('sh', ['-c', `${script}\nprintf %s "$KEY"`], { cwd: adapter.folder });
    t.is((await server.post(`/secrets/${stdout}`)).status, 200);
    await until('the message', () => slack.calls.length === 1);
    const text = `db password for Anna: read at ${new Date(server.clock.now).toISOString()}`;
    t.deepEqual(JSON.parse(slack.calls[0]?.body ?? ''), { text });
    t.is(slack.calls[0]?.headers['content-type'], 'application/json');
    await until('its end', async () => (await server.storage.events.countWaiting()).events === 0);

    const [id = '', secret = ''] = readFileSync(join(adapter.folder, 'webhook-secrets'), 'utf8').split(' ');
    const body = JSON.stringify({ type: 'secret.read', timestamp: 'now', data: { secret_id: id } });
    const message = signedAt({ secret, headers: { 'webhook-id': 'msg_again' }, body }, 0);
    for (const [name, fake] of Object.entries(fakesOf(message))) t.is(await adapter.send(fake), 401, name);
    const another = signedAt({ ...message, body: body.replace(id, 'another') }, 0);
    t.is(await adapter.send(another), 401, 'of another secret');
    t.is(slack.calls.length, 1);

    slack.answer = { status: 500 };
    t.is(await adapter.send(message), 502);
    slack.answer = { status: 200 };
    t.deepEqual([await adapter.send(message), await adapter.send(message)], [204, 204]);
    t.is(slack.calls.length, 3); // the second is a repeat
  },
);
