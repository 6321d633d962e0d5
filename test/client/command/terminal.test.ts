import { spawnSync } from 'node:child_process';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Hushbox } from '../../../client/hushbox.ts';
import { runOnTerminal, shareServer } from '../../support/process/command.ts';
import { testIf } from '../../support/process/needs.ts';
import { temporaryFolder } from '../../support/storage/storage.ts';
import { startScriptedServer } from '../scripted-server.ts';
import { hostileStrings } from './hostile.ts';

const hasScript = spawnSync('script', ['--version'], { encoding: 'utf8' }).stdout?.includes('util-linux') ?? false;
const withTerminal = testIf(hasScript, 'script').serial;

const shared = shareServer();
const box = () => new Hushbox(shared().base);
const onTerminal = (command: string, typed: Parameters<typeof runOnTerminal>[2] = [], cwd?: string) =>
  runOnTerminal(command, { env: { HUSHBOX_URL: shared().base, HISTFILE: '' }, ...(cwd && { cwd }) }, typed);

withTerminal('a secret and its phrase are typed, and not shown', async (t) => {
  const { code, shown } = await onTerminal('hushbox send --phrase --receipt', [
    ['Ctrl-D: ', 'typed sekret\x7f\x7f\x7f\x7fcret\rsecond line\r\x04'],
    ['Phrase for this secret: ', 'the wrong one\x15the phräse\r'],
  ]);
  t.is(code, 0);
  t.notRegex(shown, /sekret|second|phräse/);
  t.regex(shown, /Receipt key, to follow or burn it: receipt_/);
  const link = /http\S+#[\w-]{43}/.exec(shown)?.[0] ?? '';
  t.is((await box().open(link, { phrase: 'the phräse' })).text, 'typed secret\nsecond line');
});

withTerminal('a phrase is asked for on the terminal where stdin is something else', async (t) => {
  const { link } = await box().send('guarded', { phrase: 'the phrase' });
  const { code, shown } = await onTerminal(`echo '${link}' | hushbox open - | od -c`, [
    ['Phrase of this secret: ', 'the phrase\r'],
  ]);
  t.is(code, 0);
  t.notRegex(shown, /the phrase/);
  t.regex(shown, /g {3}u {3}a {3}r {3}d/);
});

withTerminal('a wrong or empty phrase, and Ctrl-C, end it and read nothing', async (t) => {
  const { link } = await box().send('guarded', { phrase: 'the phrase' });
  for (const [keys, exit, said] of [
    ['wrong\r', 4, /Tries left: 9/],
    ['\r', 4, /empty/],
    ['abc\x03', 130, /interrupted/],
  ] as const) {
    const { code, shown } = await onTerminal(`hushbox open '${link}'; code=$?; stty -a | grep -ow 'echo'; exit $code`, [
      ['Phrase of this secret: ', keys],
    ]);
    t.is(code, exit);
    t.regex(shown, said);
    t.regex(shown, /^echo\r?$/m); // the terminal shows again what is typed
  }
  t.is((await box().open(link, { phrase: 'the phrase' })).text, 'guarded');
});

withTerminal('what comes from strangers does nothing to a terminal', async (t) => {
  const all = Array.from({ length: 0x2070 }, (_, code) => String.fromCodePoint(code)).join('');
  const name = 'a\x1b[2J\u202eb.txt';
  const { link } = await box().send({ text: `${all}last line`, files: [new File(['\x1b[31mred'], name)] });
  const folder = await temporaryFolder(t);
  const { code, shown } = await onTerminal(`hushbox open '${link}'`, [], folder);
  t.is(code, 0);
  t.notRegex(shown.replaceAll('\r\n', '\n'), /[^\n\P{Cc}]|[\u200e\u200f\u202a-\u202e\u2066-\u2069]/u);
  t.regex(shown, /␛.*␡.*last line\r\n$/s);
  t.regex(shown, /a\[2Jb\.txt: 8 bytes/);
  for (const [send, open] of [
    [() => box().send([new File(['\x1b[31mred'], name)]), '--out -'],
    [() => box().send('\x1b[31mred\u202e'), '--json'],
  ] as const) {
    const { shown: printed } = await onTerminal(`hushbox open '${(await send()).link}' ${open}`);
    t.notRegex(printed.replaceAll('\r\n', '\n'), /[^\n\P{Cc}]|\u202e/u);
    t.regex(printed, /red/);
  }
  const { link: asked } = await box().request({ note: '\x1b[2Jnote\u202e' });
  t.notRegex((await onTerminal(`hushbox look '${asked}'`)).shown.replaceAll('\r\n', ''), /[\p{Cc}\u202e]/u);
});

withTerminal('1,000 random hostile names and texts do nothing to a terminal', async (t) => {
  const strings = hostileStrings(1000, t.log);
  const files = strings.map((name, at) => new File([`${at}`], name));
  const folder = await temporaryFolder(t);
  const { link } = await box().send({ text: strings.join(''), files });
  const { code, shown } = await onTerminal(`hushbox open '${link}'`, [], folder);
  t.is(code, 0);
  t.notRegex(shown.replaceAll('\r\n', '\n'), /[^\n\P{Cc}]|[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/u);
  t.is(readdirSync(folder).length, 1000);
});

withTerminal('a bar is drawn for what takes long, on a terminal alone', async (t) => {
  const folder = await temporaryFolder(t);
  writeFileSync(join(folder, 'large'), Buffer.alloc(700_000));
  const { base } = await startScriptedServer(t, async () => {
    await sleep(500); // more than is waited before a bar is drawn
    return { status: 201, body: { secret_key: 'KEY', expires_at: '2026-11-24T04:05:00.000Z' } };
  });
  const { code, shown } = await onTerminal(`hushbox send --server ${base} --copies 3 ${join(folder, 'large')}`);
  t.is(code, 0, shown);
  t.regex(shown, /Sending \[#*\.*\] +\d+ %/);
  t.is(shown.match(/#[\w-]{43}/g)?.length, 3);
});

withTerminal('Ctrl-C at a terminal reaches the command once', async (t) => {
  const { link } = await box().send('x');
  const script = `let count = 0;
    process.on("SIGINT", () => { if (!count++) setTimeout(() => process.exit(4 + count), 500); });
    console.log("ready"); setTimeout(() => {}, 30000);`;
  const { code } = await onTerminal(`exec hushbox exec --env 'A=${link}' -- node -e '${script}'`, [['ready', '\x03']]);
  t.is(code, 5);
});

withTerminal('after its phrase was typed, the terminal belongs to the command', async (t) => {
  const { link } = await box().send('x', { phrase: 'the phrase' });
  const { code, shown } = await onTerminal(
    `exec hushbox exec --env 'A=${link}' -- sh -c 'echo go; read -r l; echo "=$l$A="'`,
    [
      ['for A: ', 'the phrase\r'],
      ['go', 'a line\r'],
    ],
  );
  t.is(code, 0);
  t.true(shown.includes('=a linex='));
});
