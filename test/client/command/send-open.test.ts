import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { Hushbox } from '../../../client/hushbox.ts';
import { resultOf, runCommand, shareServer, spawnCommand } from '../../support/process/command.ts';
import { asRoot } from '../../support/process/tools.ts';
import { temporaryFolder } from '../../support/storage/storage.ts';
import { startScriptedServer } from '../scripted-server.ts';
import { hostileStrings } from './hostile.ts';

const shared = shareServer();
const box = () => new Hushbox(shared().base);

const mode = (path: string) => statSync(path).mode & 0o777;

/** Where stderr says that what was read is kept. */
function rescued(stderr: string): string {
  return /kept in (\S+)$/m.exec(stderr)?.[1] ?? '';
}

test.serial('the link is all that send prints, and it opens once', async (t) => {
  const { base, run } = shared();
  const sent = await run(['send'], { stdin: 'some secret\n' });
  t.regex(sent.stdout, new RegExp(`^${base}/secrets/[\\w-]{48}#[\\w-]{43}\n$`));
  t.is(sent.stderr, '');
  const link = sent.stdout.trim();
  const looked = await run(['look', '-'], { stdin: link });
  t.is(looked.code, 0);
  t.regex(looked.stdout, /^A secret that waits until .*no phrase\n$/);
  t.like(await run(['open', '-'], { stdin: `${link}\n` }), { code: 0, stdout: 'some secret', stderr: '' });
  for (const command of ['open', 'look']) t.like(await run([command, '-'], { stdin: link }), { code: 3, stdout: '' });
});

test.serial('text comes back byte for byte, without one line end of stdin', async (t) => {
  const { run } = shared();
  for (const [stdin, text] of [
    ['a\n\n', 'a\n'],
    ['a\r\n', 'a'],
    ['\uFEFF a\tb ', '\uFEFF a\tb '],
    ['lone\rreturn\r', 'lone\rreturn\r'],
    ['nul\0\x1b[31m', 'nul\0\x1b[31m'],
  ] as const) {
    const { stdout: link } = await run(['send'], { stdin });
    const { bytes } = await run(['open', '-'], { stdin: link });
    t.deepEqual(bytes, Buffer.from(text));
  }
});

test.serial('what cannot be sent is wrong use, and sends nothing', async (t) => {
  const { run, metrics } = shared();
  const before = metrics()
    .match(/hushbox_secrets_created_total.*/g)
    ?.join();
  const folder = await temporaryFolder(t);
  const hinted = await run(['send'], { stdin: Buffer.from([0x61, 0xff]) });
  t.is(hinted.code, 2);
  t.regex(hinted.stderr, /not UTF-8.*hushbox send FILE/);
  for (const [args, stdin] of [
    [['send'], ''],
    [['send'], '\n'],
    [['send', '--ttl', '0d'], 'x'],
    [['send', '--ttl', '3w'], 'x'],
    [['send', '--ttl', ''], 'x'],
    [['send', '--ttl', '9999d'], 'x'],
    [['send', '--copies', '0'], 'x'],
    [['send', '--copies', '101'], 'x'],
    [['send', '--loud'], 'x'],
    [['send', '--phrase=leaked phrase'], 'x'],
    [['send', '--plain', 'package.json'], ''],
    [['send', folder], ''],
    [['send', '--server', 'ftp://x'], 'x'],
    [['send', '--server', 'http://user:leaked@127.0.0.1'], 'x'],
    [['look'], ''],
    [['look', '-'], ''],
    [['look', 'a', 'b'], ''],
    [['answer', '-'], 'x'],
    [['request', 'x'], ''],
    [['request', '--out', 'x'], ''],
    [['open', '-', '--json', '--out', '-'], ''],
    [['completion', 'tcsh'], ''],
  ] as const) {
    const { code, stdout, stderr } = await run(args, { stdin });
    t.is(code, 2, args.join(' '));
    t.is(stdout, '');
    t.notRegex(stderr, /leaked/);
  }
  const typed = await run(['send', 'my leaked secret'], { stdin: '' });
  t.is(typed.code, 2);
  t.regex(typed.stderr, /argument 1 is not a file .*ps/);
  t.notRegex(typed.stderr, /leaked/);
  t.is(
    metrics()
      .match(/hushbox_secrets_created_total.*/g)
      ?.join(),
    before,
  );
});

test.serial('a link in an argument is warned of', async (t) => {
  const { run } = shared();
  const { stdout } = await run(['send'], { stdin: 'x' });
  const { code, stderr } = await run(['look', stdout.trim()]);
  t.is(code, 0);
  t.regex(stderr, /warning.*ps/);
  t.false(stderr.includes(stdout.trim()));
});

test.serial('a phrase comes from a file, and is missing at once without one', async (t) => {
  const { run } = shared();
  const folder = await temporaryFolder(t);
  const file = join(folder, 'phrase');
  const env = { HUSHBOX_PHRASE_FILE: file };
  writeFileSync(file, 'the phrase\n');
  t.like(await run(['send', '--phrase'], { stdin: 'x' }), { code: 4, stdout: '' });
  t.like(await run(['send', '--phrase'], { stdin: '' }), { code: 4, stdout: '' }, 'before stdin is read');
  const { stdout: link } = await run(['send', '--phrase'], { stdin: 'guarded', env });
  t.regex((await run(['look', '-'], { stdin: link })).stdout, /needs a phrase/);
  t.like(await run(['open', '-'], { stdin: link }), { code: 4, stdout: '' });
  t.like(await run(['open', '-'], { stdin: link, env: { HUSHBOX_PHRASE_FILE: `${file}2` } }), { code: 4 });
  for (const wrong of ['', '\n', 'x'.repeat(1025), 'wrong']) {
    writeFileSync(file, wrong);
    const { code, stdout, stderr } = await run(['open', '-'], { stdin: link, env });
    t.is(code, 4);
    t.is(stdout, '');
    if (wrong === 'wrong') t.regex(stderr, /Tries left: 9/);
  }
  const asJson = await run(['open', '-', '--json'], { stdin: link, env });
  t.like(JSON.parse(asJson.stderr), { code: 'WRONG_PHRASE', tries_left: 8 });
  for (let tries = 8; tries > 0; tries--)
    await box()
      .open(link, { phrase: 'wrong' })
      .catch(() => {});
  t.is((await run(['open', '-'], { stdin: link, env })).code, 4);
});

test.serial('receipts: followed, burned, and gone', async (t) => {
  const { base, run } = shared();
  const sent = await run(['send', '--receipt', '--ttl', '1h5m'], { stdin: 'x' });
  t.regex(sent.stderr, /^receipt_[\w-]+\n$/);
  const key = sent.stderr.trim();
  t.regex((await run(['receipt', key])).stdout, /^waiting until /);
  t.like(JSON.parse((await run(['receipt', key, '--json'])).stdout), { state: 'waiting', reads: 0, wrong_tries: 0 });
  t.is((await run(['burn', '-'], { stdin: key })).code, 0);
  t.regex((await run(['receipt', '-'], { stdin: `${base}/receipts/${key}` })).stdout, /^burned since /);
  t.is((await run(['open', '-'], { stdin: sent.stdout })).code, 3);
  t.is((await run(['burn', key])).code, 3);
  t.is((await run(['burn', 'receipt_unknown0'])).code, 3);
  t.is((await run(['burn', 'not a key'])).code, 2);
});

test.serial('copies: a link for each reader, and a receipt for each link', async (t) => {
  const { run } = shared();
  const { stdout, stderr } = await run(['send', '--copies', '3', '--receipt'], { stdin: 'for all' });
  const links = stdout.trim().split('\n');
  t.is(new Set(links).size, 3);
  t.is(new Set(stderr.trim().split('\n')).size, 3);
  for (const link of links) t.is((await box().open(link)).text, 'for all');
});

test.serial('as JSON', async (t) => {
  const { run } = shared();
  const sent = await run(['send', '--json', '--receipt'], { stdin: 'x\u202e' });
  const { link, ...more } = JSON.parse(sent.stdout);
  t.deepEqual(Object.keys(more), ['expires_at', 'receipt_key']);
  t.is(sent.stderr, '');
  const looked = JSON.parse((await run(['look', '-', '--json'], { stdin: link })).stdout);
  t.deepEqual(looked, { answered: true, phrase: false, sealed: true, files: false, expires_at: more.expires_at });
  const opened = await run(['open', '-', '--json'], { stdin: link });
  t.deepEqual(JSON.parse(opened.stdout), { text: 'x\u202e', files: [] });
  t.false(opened.stdout.includes('\u202e'));
  t.like(JSON.parse((await run(['open', '-', '--json'], { stdin: link })).stderr), { code: 'KEY_NOT_FOUND' });
  const { stdout } = await run(['send', '--plain'], { stdin: 'unsealed' });
  t.notRegex(stdout, /#/);
  t.is((await box().open(stdout.trim())).text, 'unsealed');
});

test.serial('a spoilt link, and one of another kind, use nothing up', async (t) => {
  const { base, run } = shared();
  const { link } = await box().send('kept');
  const { link: request, keepLink } = await box().request();
  for (const spoilt of [
    link.slice(0, -1),
    link.replace(/#.*/, ''),
    `${link}x`,
    link.replace('/secrets/', '/x/'),
    base,
  ]) {
    t.is((await run(['open', '-'], { stdin: spoilt })).code, 2, spoilt);
  }
  t.is((await run(['open', '-'], { stdin: request })).code, 2);
  t.is((await run(['answer', link], { stdin: 'x' })).code, 2);
  t.is((await run(['open', '-'], { stdin: keepLink })).code, 6);
  t.is((await run(['look', '-'], { stdin: keepLink })).code, 6);
  t.is((await box().open(link)).text, 'kept');
});

test.serial('files come back, beside text, under names that are safe and not taken', async (t) => {
  const { run } = shared();
  const folder = await temporaryFolder(t);
  const inside = join(folder, 'in', 'side');
  mkdirSync(inside, { recursive: true });
  writeFileSync(join(inside, 'b.txt'), 'old');
  symlinkSync('../../target', join(inside, 'c.txt'));
  writeFileSync(join(folder, 'a.bin'), Buffer.from([0, 255, 10]));
  const sent = await run(['send', join(folder, 'a.bin'), '-', 'LICENSE'], { stdin: '\uFEFFwith text\n' });
  const opened = await run(['open', '-', '--out', inside], { stdin: sent.stdout });
  t.like(opened, { code: 0, stdout: '\uFEFFwith text' });
  t.deepEqual(readFileSync(join(inside, 'a.bin')), Buffer.from([0, 255, 10]));
  t.deepEqual(readFileSync(join(inside, 'LICENSE')), readFileSync('LICENSE'));
  t.is(mode(join(inside, 'a.bin')), 0o600);
  const files = ['b.txt', 'b.txt', 'c.txt', '../../up', '/etc/x', '.hidden'].map((name) => new File([name], name));
  const { link } = await box().send(files);
  const again = await run(['open', '-', '--json'], { stdin: link, cwd: inside });
  t.deepEqual(readdirSync(inside).sort(), [
    ...['LICENSE', 'a.bin', 'b (2).txt', 'b (3).txt', 'b.txt', 'c (2).txt', 'c.txt', 'hidden', 'up', 'x'],
  ]);
  t.is(JSON.parse(again.stdout).files[0].path, 'b (2).txt');
  t.is(readFileSync(join(inside, 'b.txt'), 'utf8'), 'old');
  t.false(existsSync(join(folder, 'target')));
});

test.serial('1,000 random hostile names: no file outside of the folder, none lost', async (t) => {
  const { run } = shared();
  const folder = await temporaryFolder(t);
  const inside = join(folder, 'in');
  mkdirSync(inside);
  const files = hostileStrings(1000, t.log).map((name, at) => new File([`${at}`], name));
  const { link } = await box().send(files);
  const { code, stderr } = await run(['open', '-'], { stdin: link, cwd: inside });
  t.is(code, 0);
  t.is(stderr, '');
  t.deepEqual(readdirSync(folder), ['in']);
  const names = readdirSync(inside);
  t.is(new Set(names.map((name) => readFileSync(join(inside, name), 'utf8'))).size, 1000);
  for (const name of names) t.notRegex(name, /[\p{C}\\<>:"|?*]|^[.-]/u);
});

test.serial('a folder that cannot be written to is noticed before anything is read', async (t) => {
  const { run } = shared();
  const folder = await temporaryFolder(t);
  writeFileSync(join(folder, 'file'), '');
  const { link } = await box().send([new File(['x'], 'x')]);
  for (const out of [join(folder, 'none'), join(folder, 'file'), '/proc']) {
    t.like(await run(['open', '-', '--out', out], { stdin: link }), { code: 1, stdout: '' });
  }
  t.is((await run(['open', '-'], { stdin: link, cwd: '/proc' })).code, 1);
  t.deepEqual(readdirSync(folder), ['file']);
  t.is((await box().open(link)).files.length, 1);
  const text = (await box().send('text')).link;
  t.is((await run(['open', '-', '--out', '/proc'], { stdin: text })).code, 1);
  t.like(await run(['open', '-'], { stdin: text, cwd: '/proc' }), { code: 0, stdout: 'text' });
});

test.serial('--out - writes a single file to stdout; more than one is kept elsewhere', async (t) => {
  const { run } = shared();
  const TMPDIR = await temporaryFolder(t);
  const bytes = Buffer.from([0, 255, 27]);
  const single = (await box().send([new File([bytes], 'x')])).link;
  t.deepEqual((await run(['open', '-', '--out', '-'], { stdin: single })).bytes, bytes);
  const text = (await box().send('text')).link;
  t.is((await run(['open', '-', '--out', '-'], { stdin: text })).stdout, 'text');
  const both = (await box().send({ text: 'text', files: [new File(['file'], '\x1b[2J')] })).link;
  const { code, stdout, stderr } = await run(['open', '-', '--out', '-'], { stdin: both, env: { TMPDIR } });
  t.is(code, 1);
  t.is(stdout, '');
  t.false(stderr.includes('\x1b'));
  t.deepEqual(contents(TMPDIR), ['file', 'text']);
});

function contents(folder: string): string[] {
  return readdirSync(folder)
    .map((name) => {
      if (mode(join(folder, name)) !== 0o600) throw new Error('others can read it');
      return readFileSync(join(folder, name), 'utf8');
    })
    .sort();
}

test.serial('what was read is not lost when stdout takes nothing', async (t) => {
  const { base } = shared();
  const TMPDIR = await temporaryFolder(t);
  const env = { HUSHBOX_URL: base, TMPDIR };
  for (const [program, args] of [
    ['sh', ['-c', '"$0" open - >/dev/full']],
    ['sh', ['-c', '"$0" open - >&-']],
    ['sh', ['-c', 'exec 3>&1; { "$0" open - 2>&3; } | true']],
  ] as const) {
    // Larger than what a pipe takes that nobody reads.
    const text = 'a'.repeat(200_000);
    const { link } = await box().send(text);
    const hushbox = new URL('../../../bin/hushbox', import.meta.url).pathname;
    const { stdout, stderr } = await runCommand([...args, hushbox], { program, env, stdin: link });
    const path = rescued(stdout + stderr);
    t.true(path.startsWith(TMPDIR), stdout + stderr);
    t.is(readFileSync(path, 'utf8'), text);
    t.is(mode(path), 0o600);
  }
});

test.serial('what was read is not lost where stdout is closed, without a shell in between', async (t) => {
  const TMPDIR = await temporaryFolder(t);
  const env = { HUSHBOX_URL: shared().base, TMPDIR };
  const open = (args: string, link: string) =>
    runCommand(['-c', `exec "$0" "$@" open ${args}`, process.execPath, MAIN], { program: 'sh', env, stdin: link });
  for (const args of ['- >&-', '--json - >&-', '--out - - >&-', '- 1<>/dev/null']) {
    const { link } = await box().send('text');
    const { code, stderr } = await open(args, link);
    t.is(code, 1, args);
    t.is(readFileSync(rescued(stderr), 'utf8'), 'text', args);
  }
  const { link } = await box().send('text');
  t.like(await open('- >/dev/null', link), { code: 0, stderr: '' }, 'where somebody wants it to be lost');
});

/** As for a user whom the system does not know, in a container for example. */
const HOMELESS = `data:text/javascript,${encodeURIComponent(
  "import os from 'node:os'; import { syncBuiltinESMExports } from 'node:module'; os.homedir = () => { throw new Error('no home'); }; syncBuiltinESMExports();",
)}`;
const MAIN = new URL('../../../client/command/main.ts', import.meta.url).pathname;

test.serial('a user without a home can read, and what was read is not lost', async (t) => {
  const env = { HUSHBOX_URL: shared().base, TMPDIR: '/nowhere' };
  const cwd = await temporaryFolder(t);
  const args = [process.execPath, '--import', HOMELESS, MAIN, 'open', '-'];
  for (const [redirected, kept] of [
    ['', []],
    ['>/dev/full', ['text']],
  ] as const) {
    const { link } = await box().send('text');
    const options = { program: 'sh', env, cwd, stdin: link };
    const { stdout, stderr } = await runCommand(['-c', `exec "$0" "$@" ${redirected}`, ...args], options);
    t.is(stdout, kept.length > 0 ? '' : 'text', stderr);
    t.deepEqual(contents(cwd), kept);
  }
});

test.serial('no code is taken from a cache in the present folder', async (t) => {
  const cwd = await temporaryFolder(t);
  for (const env of [{ HOME: '', XDG_CACHE_HOME: '' }, { HOME: 'home' }, { XDG_CACHE_HOME: 'caches' }]) {
    t.is((await runCommand([MAIN, 'help'], { program: process.execPath, env: { HOME: cwd, ...env }, cwd })).code, 0);
    t.deepEqual(readdirSync(cwd), 'HOME' in env ? [] : ['.cache'], 'the one of the home may be used');
  }
});

asRoot.serial('a file that a full disk does not take is kept elsewhere, and no half of it stays', async (t) => {
  const { base } = shared();
  const TMPDIR = await temporaryFolder(t);
  const { link } = await box().send({ text: 'text', files: [new File(['b'.repeat(500_000)], 'b.txt')] });
  const disk = await temporaryFolder(t);
  const text = (await box().send('t'.repeat(400_000))).link;
  const script = `mount -t tmpfs -o size=256k none "$1" && cd "$1" && "$0" open -; echo "$?"; ls -A "$1"
    echo "$TEXT" | "$0" open - >text; echo "$?"`;
  const hushbox = new URL('../../../bin/hushbox', import.meta.url).pathname;
  const result = await runCommand(['-m', 'sh', '-c', script, hushbox, disk], {
    program: 'unshare',
    env: { HUSHBOX_URL: base, TMPDIR, TEXT: text },
    stdin: link,
  });
  if (/mount|unshare/.test(result.stderr)) return t.log('no mounts here');
  t.is(result.stdout, 'text1\n1\n');
  t.deepEqual(contents(TMPDIR), ['b'.repeat(500_000), 't'.repeat(400_000)]);
});

test.serial('a signal while a secret is read waits until it is written', async (t) => {
  const { base } = shared();
  const { link } = await box().send('on its way');
  // The read stays unanswered until the signal is there.
  let child: ReturnType<typeof spawnCommand>;
  const proxy = await startScriptedServer(t, async ({ method, path, headers, body }) => {
    if (method === 'POST') {
      child.kill('SIGTERM');
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
    const init = { method, headers: headers as never, ...(method === 'POST' && { body }) };
    const answer = await fetch(base + path, init);
    return { status: answer.status, body: await answer.text() };
  });
  child = spawnCommand(['open', '-'], {});
  child.stdin?.end(link.replace(base, proxy.base));
  const { code, stdout, stderr } = await resultOf(child);
  t.is(code, 0);
  t.is(stdout, 'on its way');
  t.regex(stderr, /is being read/);
});

test.serial('requests: asked, answered once, opened', async (t) => {
  const { run } = shared();
  const asked = await run(['request', '--note', 'the key\x1b[2J', '--ttl', '1d']);
  t.is(asked.code, 0);
  const [link, keep] = [asked.stdout.trim(), asked.stderr.trim()];
  t.regex(link, /^http\S+\/requests\/\S+#[\w-]{43}$/);
  t.regex(keep, /^http\S+\/secrets\/\S+#[\w-]{43}$/);
  const looked = await run(['look', '-'], { stdin: link });
  t.true(looked.stdout.includes('("the key␛[2J")'));
  t.like(await run(['answer', link, '--receipt'], { stdin: 'the answer\n' }), { code: 0, stdout: '' });
  t.is((await run(['answer', link], { stdin: 'late' })).code, 3);
  t.like(await run(['open', '-'], { stdin: keep }), { code: 0, stdout: 'the answer' });
  const other = JSON.parse((await run(['request', '--json'])).stdout);
  t.deepEqual(Object.keys(other), ['link', 'keep_link', 'expires_at']);
  t.is((await run(['burn', '-'], { stdin: other.keep_link })).code, 0);
  t.is((await run(['answer', '-', 'LICENSE'], { stdin: other.link })).code, 3);
});

test.serial('a request waits for its answer, and opens it', async (t) => {
  const { base } = shared();
  const folder = await temporaryFolder(t);
  const child = spawnCommand(['request', '--wait', '--out', folder], { env: { HUSHBOX_URL: base } });
  const answered = new Promise<void>((resolve, reject) => {
    child.stdout?.once('data', (link: Buffer) => {
      const content = { text: 'here it is', files: [new File(['x'], 'x.txt')] };
      box()
        .answer(`${link}`.trim(), content)
        .then(() => resolve(), reject);
    });
  });
  const result = resultOf(child);
  await answered;
  const { code, stdout } = await result;
  t.is(code, 0);
  t.regex(stdout, /^http.*\nhere it is$/);
  t.is(readFileSync(join(folder, 'x.txt'), 'utf8'), 'x');
});
