import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { Hushbox, type HushboxError } from '../../../client/hushbox.ts';
import { resultOf, runCommand, shareServer, spawnCommand } from '../../support/process/command.ts';
import { until } from '../../support/process/program.ts';
import { temporaryFolder } from '../../support/storage/storage.ts';
import { type Received, startScriptedServer } from '../scripted-server.ts';

const shared = shareServer();
const box = () => new Hushbox(shared().base);
const linkTo = async (text: string, phrase?: string) => (await box().send(text, { phrase })).link;

test.serial('a command has the secrets in its environment, and nothing prints them', async (t) => {
  const { run } = shared();
  const [a, b] = [await linkTo('one\n two'), await linkTo('second')];
  const script = 'printf %s "$A" | wc -c; test "$B" = second && test "$C" = second && test "$DEBUG" = kept; exit 7';
  const args = ['exec', '--env', `A=${a}`, '--env', 'B', '--env', `C=${b}`, '--', 'sh', '-c', script];
  const { code, stdout, stderr } = await run(args, { env: { B: b, DEBUG: 'kept' } });
  t.is(code, 7);
  t.is(stdout.trim(), '8');
  t.regex(stderr, /warning.*--env NAME alone/);
  t.notRegex(stderr, /second|secrets\//);
  t.is((await run(['look', '-'], { stdin: a })).code, 3);
});

test.serial('stdin, and arguments that look like ours, belong to the command', async (t) => {
  const { run } = shared();
  const args = ['exec', '--env', 'A', '--', 'sh', '-c', 'cat; echo "$@"', 'sh', '--json', '--', '--env'];
  const { stdout } = await run(args, { env: { A: await linkTo('x') }, stdin: 'its stdin ' });
  t.is(stdout, 'its stdin --json -- --env\n');
});

test.serial('a phrase that comes from a pipe is read once, for all that need it', async (t) => {
  const [a, b] = [await linkTo('one', 'phrase'), await linkTo('two', 'phrase')];
  const hushbox = new URL('../../../bin/hushbox', import.meta.url).pathname;
  const script = `HUSHBOX_PHRASE_FILE=<(echo phrase) exec "$0" exec --env A --env B -- sh -c 'echo "$A $B"'`;
  const env = { HUSHBOX_URL: shared().base, A: a, B: b };
  t.like(await runCommand(['-c', script, hushbox], { program: 'bash', env }), { code: 0, stdout: 'one two\n' });
});

test.serial('nothing of Node shows what is read, whatever NODE_DEBUG says', async (t) => {
  const link = await linkTo('some secret');
  const main = new URL('../../../client/command/main.ts', import.meta.url).pathname;
  const env = { HUSHBOX_URL: shared().base, A: link, NODE_DEBUG: '*', NODE_DEBUG_NATIVE: 'http2' };
  const args = [main, 'exec', '--env', 'A', '--', 'sh', '-c', 'echo "$A$NODE_DEBUG"'];
  const { stdout, stderr } = await runCommand(args, { program: process.execPath, env });
  t.is(stdout, 'some secret\n');
  t.regex(stderr, /ESM/, 'Node says something');
  for (const part of ['some secret', ...link.split(/[/#]/).slice(-2)]) t.false(stderr.includes(part));
});

test.serial('nothing is used up where something is wrong that can be seen before', async (t) => {
  const { base, run } = shared();
  const folder = await temporaryFolder(t);
  const [plain, script, orphan] = ['plain', 'script', 'orphan'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  for (const path of [plain, script]) writeFileSync(path, '#!/bin/sh\ntrue');
  chmodSync(script, 0o700);
  writeFileSync(orphan, '#!/no/such/interpreter\n', { mode: 0o700 });
  const unfit = [
    [127, '#!/bin/sh\r\ntrue\r\n'],
    [127, '#!no-such-interpreter\n'],
    [127, `#!${orphan}\n`],
    [126, `#! ${plain} -e\n`],
    [126, `#!${join(folder, 'unfit-4')}\n`],
  ] as const;
  const scripts = unfit.map(([code, text], at) => {
    const path = join(folder, `unfit-${at}`);
    writeFileSync(path, text, { mode: 0o700 });
    return [code, undefined, path] as const;
  });
  const good = await linkTo('good');
  const gone = await linkTo('gone');
  await box().open(gone);
  const { keepLink } = await box().request();
  const files = (await box().send([new File(['x'], 'x')])).link;
  const guarded = await linkTo('guarded', 'phrase');
  for (const [code, link, command] of [
    [2, `${good.slice(0, -2)}`, 'true'],
    [2, base, 'true'],
    [3, gone, 'true'],
    [6, keepLink, 'true'],
    [4, guarded, 'true'],
    [1, files, 'true'],
    [5, good.replace(base, 'http://127.0.0.1:1'), 'true'],
    [2, good.replace(base, 'http://192.0.2.1'), 'true'],
    [127, undefined, 'no-such-command'],
    [127, undefined, join(folder, 'none')],
    [127, undefined, ''],
    [126, undefined, plain],
    [126, undefined, '/'],
    [127, undefined, orphan],
    ...scripts,
  ] as const) {
    const bad = link ? ['--env', `BAD=${link}`] : [];
    const { code: actual, stderr } = await run(['exec', '--env', 'GOOD', ...bad, '--', command], {
      env: { GOOD: good },
    });
    t.is(actual, command === '/' ? 127 : code, `${link} ${command}`);
    if (link) t.regex(stderr, /^hushbox: BAD: /m);
    t.notRegex(stderr, /used up: /);
  }
  for (const args of [
    ['--env', `GOOD=${good}`],
    ['--env', `GOOD=${good}`, '--'],
    ['--env', `GOOD=${good}`, 'true'],
    ['--env', `1GOOD=${good}`, '--', 'true'],
    ['--env', `GOOD=${good}`, '--env', 'GOOD', '--', 'true'],
    ['--env', 'MISSING', '--', 'true'],
    ['--env', `A=${good}`, '--env', `B=${good.slice(0, -43)}${guarded.slice(-43)}`, '--', 'true'],
    ['--', 'true'],
  ]) {
    t.is((await run(['exec', ...args])).code, 2, args.join(' '));
  }
  t.is((await box().open(good)).text, 'good');
  t.is((await box().open(files)).files.length, 1);
  t.is((await box().open(guarded, { phrase: 'phrase' })).text, 'guarded');
  const [own, ownScript] = ['ünd', 'own-script'].map((name) => join(folder, name)) as [string, string];
  writeFileSync(own, '#!/bin/sh\n. "$1"', { mode: 0o700 });
  writeFileSync(ownScript, `#!${own}\nexit 9`, { mode: 0o700 });
  for (const [path, code] of [
    [script, 0],
    [ownScript, 9],
  ] as const) {
    t.is((await run(['exec', '--env', 'A', '--', path], { env: { A: await linkTo('x') } })).code, code);
  }
});

test.serial('without a PATH a command is found where the system looks', async (t) => {
  const main = new URL('../../../client/command/main.ts', import.meta.url).pathname;
  const args = ['-i', `A=${await linkTo('found')}`, process.execPath, main, 'exec', '--env', 'A', '--', 'env'];
  t.regex((await runCommand(args, { program: 'env' })).stdout, /^A=found$/m);
});

test.serial('a wrong phrase is noticed before secrets without one are read', async (t) => {
  const { run } = shared();
  const folder = await temporaryFolder(t);
  const env = { HUSHBOX_PHRASE_FILE: join(folder, 'phrase'), A: await linkTo('a'), B: await linkTo('b', 'right') };
  writeFileSync(env.HUSHBOX_PHRASE_FILE, 'wrong');
  const args = ['exec', '--env', 'A', '--env', 'B', '--', 'sh', '-c', 'echo "$A$B"'];
  const { code, stdout, stderr } = await run(args, { env });
  t.is(code, 4);
  t.is(stdout, '');
  t.regex(stderr, /B: Incorrect phrase. Tries left: 9/);
  t.notRegex(stderr, /used up/);
  writeFileSync(env.HUSHBOX_PHRASE_FILE, 'right');
  t.like(await run(args, { env }), { code: 0, stdout: 'ab\n' });
});

test.serial('where a later read fails, the command does not run and the used variables are named', async (t) => {
  const { base, run } = shared();
  const folder = await temporaryFolder(t);
  const mark = join(folder, 'mark');
  const command = ['--', 'touch', mark];
  // Looks answer, and the second read finds it gone.
  let reads = 0;
  const proxy = await startScriptedServer(t, async (request) => {
    if (request.method === 'POST' && ++reads === 2) return { status: 404, body: { Error: 'x', code: 'KEY_NOT_FOUND' } };
    return forward(base, request);
  });
  const links = [await linkTo('first'), await linkTo('second')].map((link) => link.replace(base, proxy.base));
  const env = { FIRST: links[0] as string, SECOND: links[1] as string };
  const broken = await run(['exec', '--env', 'FIRST', '--env', 'SECOND', ...command], { env });
  t.is(broken.code, 3);
  t.regex(broken.stderr, /used up: FIRST$/m);
  for (const [text, reason] of [
    ['nul\0', /NUL/],
    ['x'.repeat(200_000), /too long/],
  ] as const) {
    const { code, stderr } = await run(['exec', '--env', 'A', ...command], { env: { A: await linkTo(text) } });
    t.is(code, 1);
    t.regex(stderr, reason);
    t.regex(stderr, /used up: A$/m);
  }
  t.false(existsSync(mark));
});

async function forward(base: string, { method, path, headers, body }: Received) {
  const answer = await fetch(base + path, { method, headers: headers as never, ...(method === 'POST' && { body }) });
  return { status: answer.status, body: await answer.text() };
}

const CATCHES = `
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR2']) process.on(name, () => { console.log(name); process.exit(9); });
  console.log('ready'); setInterval(() => {}, 1000);`;

async function startCatcher(t: ExecutionContext, script: string) {
  const { base } = shared();
  const env = { HUSHBOX_URL: base, A: await linkTo('x') };
  const child = spawnCommand(['exec', '--env', 'A', '--', 'node', '-e', script], { env });
  t.teardown(() => child.kill('SIGKILL'));
  let said = '';
  child.stdout?.on('data', (text) => {
    said += text;
  });
  const result = resultOf(child);
  await until('the command', () => said.includes('ready'));
  return { child, result };
}

test.serial('signals are passed on, and the exit code is passed back', async (t) => {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR2'] as const) {
    const { child, result } = await startCatcher(t, CATCHES);
    child.kill(signal);
    t.like(await result, { code: 9, signal: null, stdout: `ready\n${signal}\n` });
  }
});

test.serial('a command that a signal ends is 128 and its number', async (t) => {
  const { run } = shared();
  const { child, result } = await startCatcher(t, "console.log('ready'); setInterval(() => {}, 1000);");
  child.kill('SIGTERM');
  t.like(await result, { code: 143, signal: null });
  const args = ['exec', '--env', 'A', '--', 'sh', '-c', 'kill -9 $$'];
  t.is((await run(args, { env: { A: await linkTo('x') } })).code, 137);
});

test.serial('kill -9 between the looks and the read uses nothing up, and no command is left', async (t) => {
  const { base } = shared();
  const folder = await temporaryFolder(t);
  const mark = join(folder, 'mark');
  for (const step of [1, 2, 3]) {
    const link = await linkTo(`kept ${step}`);
    let child: ReturnType<typeof spawnCommand> | undefined;
    const proxy = await startScriptedServer(t, async (request, count) => {
      if (count < step) return forward(base, request);
      child?.kill('SIGKILL');
      return () => undefined; // no answer
    });
    child = spawnCommand(['exec', '--env', 'A', '--', 'touch', mark], { env: { A: link.replace(base, proxy.base) } });
    t.is((await resultOf(child)).signal, 'SIGKILL');
    t.is((await box().open(link)).text, `kept ${step}`);
  }
  t.false(existsSync(mark));
});

test.serial('kill -9 between two reads leaves the second secret, and no command runs', async (t) => {
  const { base } = shared();
  const mark = join(await temporaryFolder(t), 'mark');
  const [first, second] = [await linkTo('first'), await linkTo('second')];
  let reads = 0;
  let child: ReturnType<typeof spawnCommand> | undefined;
  const proxy = await startScriptedServer(t, async (request) => {
    if (request.method !== 'POST' || ++reads === 1) return forward(base, request);
    child?.kill('SIGKILL');
    return () => undefined; // no answer
  });
  const env = { A: first.replace(base, proxy.base), B: second.replace(base, proxy.base) };
  child = spawnCommand(['exec', '--env', 'A', '--env', 'B', '--', 'touch', mark], { env });
  t.is((await resultOf(child)).signal, 'SIGKILL');
  t.is((await t.throwsAsync<HushboxError>(box().look(first)))?.code, 'KEY_NOT_FOUND');
  t.is((await box().open(second)).text, 'second');
  t.false(existsSync(mark));
});

test.serial('other processes do not see the link of an argument for long', async (t) => {
  const { base } = shared();
  const child = spawnCommand(['exec', '--env', `A=${await linkTo('x')}`, '--', 'sh', '-c', 'echo ready; sleep 60'], {
    env: { HUSHBOX_URL: base },
  });
  t.teardown(() => process.kill(-(child.pid as number), 'SIGKILL'));
  let said = '';
  child.stdout?.on('data', (text) => {
    said += text;
  });
  await until('the command', () => said.includes('ready'));
  t.notRegex(readFileSync(`/proc/${child.pid}/cmdline`, 'utf8'), /secrets/);
});
