import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { Hushbox } from '../../../client/hushbox.ts';
import { runCommand, shareServer } from '../../support/process/command.ts';
import { temporaryFolder } from '../../support/storage/storage.ts';
import { breakOff, type Received, startScriptedServer } from '../scripted-server.ts';

const TOKEN = 'the-token-of-the-server';
const shared = shareServer({ env: { CREATE_TOKEN: TOKEN } });
const box = () => new Hushbox(shared().base, { token: TOKEN });

const FAILURES = [
  [429, 'RATE_LIMITED', 5],
  [429, 'QUOTA_EXCEEDED', 5],
  [503, 'BUSY', 5],
  [503, 'STORAGE_UNAVAILABLE', 5],
  [507, 'STORAGE_FULL', 5],
  [413, 'TOO_LARGE', 1],
  [401, 'UNAUTHORIZED', 1],
  [500, 'INTERNAL', 1],
  [404, 'NOT_FOUND', 1],
  [400, 'INVALID_REQUEST', 2],
] as const;

test.serial('every failure of a server has its exit code, and what it says obeys no terminal', async (t) => {
  const { base } = await startScriptedServer(t, (_request, count) => {
    const [status, code] = FAILURES[count - 1] as (typeof FAILURES)[number];
    return { status, headers: { 'retry-after': '7' }, body: { Error: 'a sentence\x1b[2J\n', code } };
  });
  for (const [, code, exit] of FAILURES) {
    const result = await runCommand(['send', '--server', base], { stdin: 'x' });
    t.is(result.code, exit, code);
    t.is(result.stdout, '');
    t.false(result.stderr.includes('\x1b'));
    if (code !== 'UNAUTHORIZED') t.regex(result.stderr, /a sentence.*Try again in 7 s/);
  }
});

test.serial('a server that is away, is none of ours, redirects or breaks off', async (t) => {
  const target = await startScriptedServer(t, () => ({ body: {} }));
  const replies = [
    { status: 302, headers: { location: `${target.base}/` } },
    { status: 200, body: '<html>' },
    { status: 502, body: '<html>' },
    breakOff('{"secret_key":"abc","expires_at":"x"}'),
    { status: 101, headers: { connection: 'upgrade', upgrade: 'x' } },
    { status: 201, body: { secret_key: 'a/../b', expires_at: 'x' } },
  ];
  const { base } = await startScriptedServer(t, (_request, count) => replies[count - 1] as (typeof replies)[number]);
  for (const [server, exit, what] of [
    ['http://127.0.0.1:1', 5, /does not answer. \(ECONNREFUSED\)/],
    [base, 1, /Redirects are not followed/],
    [base, 1, /not what the link promises/],
    [base, 5, /does not answer/],
    [base, 5, /does not answer/],
    [base, 5, /does not answer/],
    [base, 1, /not what the link promises/],
  ] as const) {
    const { code, stdout, stderr } = await runCommand(['send', '--server', server], { stdin: 'x' });
    t.is(code, exit, `${what}`);
    t.is(stdout, '');
    t.regex(stderr, what);
  }
  t.is(target.received.length, 0);
});

test.serial('http to another machine is refused, and nothing is sent', async (t) => {
  const link = `http://192.0.2.1/secrets/${'a'.repeat(48)}#${'A'.repeat(43)}`;
  for (const [args, env] of [
    [['send', '--server', 'http://192.0.2.1'], {}],
    [['send'], { HUSHBOX_URL: 'http://hushbox.example' }],
    [['send'], { HUSHBOX_URL: 'http://127.0.0.1.example' }],
    [['request'], { HUSHBOX_URL: 'http://localhost.example' }],
    [['receipt', 'receipt_x'], { HUSHBOX_URL: 'http://192.0.2.1' }],
    [['open', link], {}],
    [['look', link], {}],
    [['burn', link.replace('/secrets/', '/receipts/').replace(/#.*/, '')], {}],
    [['answer', link.replace('/secrets/', '/requests/')], {}],
    [['exec', '--env', `A=${link}`, '--', 'true'], {}],
  ] as const) {
    const { code, stderr } = await runCommand(args, { env, stdin: 'x' });
    t.is(code, 2, args.join(' '));
    t.regex(stderr, /--insecure/);
  }
  // It is allowed, and not there: TEST-NET is never answered, which nobody waits for here.
  const { code } = await runCommand(['send', '--insecure', '--server', 'http://hushbox.invalid'], { stdin: 'x' });
  t.is(code, 5);
});

test.serial('the token goes to its server alone, a phrase to that of the link', async (t) => {
  const { run, base } = shared();
  const folder = await temporaryFolder(t);
  const env = { HUSHBOX_TOKEN: TOKEN, HUSHBOX_PHRASE_FILE: join(folder, 'phrase') };
  writeFileSync(env.HUSHBOX_PHRASE_FILE, 'the right phrase');
  t.is((await run(['send'], { stdin: 'x' })).code, 1);
  const unfit = await run(['send'], { stdin: 'x', env: { HUSHBOX_TOKEN: 'leaked\n' } });
  t.is(unfit.code, 2);
  t.notRegex(unfit.stderr, /leaked/);
  const { link } = await box().send('guarded', { phrase: 'the right phrase' });
  const seen: Received[] = [];
  const proxy = await startScriptedServer(t, async (request) => {
    seen.push(request);
    const { method, path, headers, body } = request;
    const answer = await fetch(base + path, { method, headers: headers as never, ...(body && { body }) });
    return { status: answer.status, body: await answer.text() };
  });
  const foreign = (text: string) => text.replace(base, proxy.base);
  const { link: asks } = await box().request();
  for (const [args, stdin] of [
    [['look', '-'], foreign(link)],
    [['answer', foreign(asks)], 'x'],
    [['exec', '--env', `A=${foreign(link)}`, '--', 'true'], ''],
  ] as const) {
    t.is((await run(args, { env, stdin })).code, 0, args[0]);
  }
  const local = await startScriptedServer(t, () => ({ status: 404, body: { Error: 'x', code: 'KEY_NOT_FOUND' } }));
  const away = { HUSHBOX_URL: local.base };
  t.is((await run(['open', '-'], { env: { ...env, ...away }, stdin: link })).code, 3);
  t.is(local.received.length, 0);
  t.true(seen.length > 4);
  for (const { headers, body, method } of seen) {
    t.is(headers.authorization, undefined);
    t.is(body.includes('the right phrase'), method === 'POST' && body.includes('"proof"'));
  }
});

test.serial('what a server says of a secret, a request or a receipt obeys no terminal', async (t) => {
  const lie = '\x1b]0;x\x07\u202e\n';
  const { base } = await startScriptedServer(t, () => ({
    body: {
      phrase: false,
      expires_at: lie,
      ended_at: lie,
      created_at: lie,
      state: lie,
      note: lie,
      wrong_tries: 0,
      reads: 0,
    },
  }));
  const links = ['secrets/aaaa', 'requests/request_a', 'receipts/receipt_a'].map((path) => `${base}/${path}`);
  for (const [command, link] of [
    ['look', links[0]],
    ['look', links[1]],
    ['receipt', links[2]],
  ] as const) {
    const { stdout } = await runCommand([command, '-'], { stdin: link as string });
    t.regex(stdout, /^[^\p{C}]+\n$/u, command);
  }
});
