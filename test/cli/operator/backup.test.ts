import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  existsSync,
  ftruncateSync,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { readBackup } from '../../../src/cli/operator/backup-file.ts';
import type { NewSecret } from '../../../src/secrets/store.ts';
import { openRecords } from '../../../src/storage/open.ts';
import {
  CREATED_AT,
  createTraced,
  createUntraced,
  NO_REFUND,
  newCopy,
  newNotify,
  receiptOf,
  sweepAll,
  type Traced,
  take,
  times,
} from '../../storage/contract/world.ts';
import { send } from '../../support/http/client.ts';
import { hushbox } from '../../support/process/hushbox.ts';
import { start } from '../../support/process/program.ts';
import { copyDatabase } from '../../support/process/put-back.ts';
import { ENGINES, MONGODB, type Place, SQLITE, temporaryFolder } from '../../support/storage/storage.ts';

const MASTER_KEY = 'a7'.repeat(32);
const HOUR = 3_600_000;

function environmentOf({ url }: Place): Record<string, string> {
  return { STORAGE_URL: url, MASTER_KEY };
}

type Filled = { ended: Traced[]; waiting: Traced; hidden: readonly Uint8Array[] };

/** Three that ended, each in its way, with a receipt; and what must be in no backup. */
async function fill(t: ExecutionContext, place: Place): Promise<Filled> {
  const { secrets: store, close } = await place.open();
  const now = Date.now();
  const later = { expiresAt: now + HOUR };
  const [read, copied, burned, waiting] = [
    await createTraced(store, { ...later, notify: newNotify() }),
    await createTraced(store, later),
    await createTraced(store, { ...later, notify: newNotify() }),
    await createTraced(store, { ...later, notify: newNotify() }),
  ];
  const untraced = await createUntraced(store, { ...later, notify: newNotify() });
  await createUntraced(store, later);
  for (const { id } of [read, untraced]) await store.claim(id, now, NO_REFUND);
  await store.claim(copied.id, now, { copy: newCopy(now + HOUR), ...NO_REFUND });
  await store.burn(burned.id, burned.receiptHash, now, 0);
  t.like(await receiptOf(store, read, now), { state: 'read' });
  await close();
  const ended = [read, copied, burned];
  const all = [...ended, waiting, untraced];
  return { ended, waiting, hidden: all.flatMap(({ envelope, notify }) => [envelope, notify?.sealed ?? envelope]) };
}

const PAIRS = ENGINES.flatMap((from) => ENGINES.map((to) => [from, to] as const));
for (const [from, to] of PAIRS) {
  const runs = [from, to].includes(MONGODB) ? (MONGODB.test.serial ?? MONGODB.test) : test.serial;
  runs(`what receipts tell goes from ${from.name} to ${to.name}, and no secret does`, async (t) => {
    const [source, target] = [await from.place(t), await to.place(t)];
    const file = join(await temporaryFolder(t), 'backup');
    const { ended, waiting, hidden } = await fill(t, source);
    const backup = await hushbox(['backup', file], environmentOf(source));
    t.like(backup, { code: 0, stdout: '' });
    t.regex(backup.stderr, /Wrote 3 receipts.*left out on purpose/s);
    t.is(statSync(file).mode & 0o777, 0o600);
    const text = readFileSync(file, 'utf8');
    for (const { id } of ended) t.true(text.includes(Buffer.from(id).toString('base64url')));
    t.false(text.includes(Buffer.from(waiting.id).toString('base64url')));
    for (const bytes of hidden) t.false(text.includes(Buffer.from(bytes).toString('base64url').slice(4, 40)));

    const first = await hushbox(['restore', file], environmentOf(target));
    t.like(first, { code: 0, stderr: '' });
    t.regex(first.stdout, /^3 of 3 receipts put back/);
    t.regex((await hushbox(['restore', file], environmentOf(target))).stdout, /^0 of 3 receipts/);
    const { secrets: store, events } = await target.open();
    const { secrets: origin } = await source.open();
    for (const secret of ended) {
      const now = Date.now();
      t.deepEqual(await receiptOf(store, secret, now), await receiptOf(origin, secret, now));
      t.is(await store.find(secret.id, now), undefined);
    }
    t.is(await receiptOf(store, waiting, Date.now()), undefined);
    await sweepAll(store, Date.now() + 2 * HOUR);
    t.deepEqual(await events.countWaiting(), { events: 0, oldestAt: undefined }, 'nobody is told of what was put back');
  });
}

for (const { name, place: placeOf, test: runs } of ENGINES) {
  const title = 'a copy of the database has the events that waited, under the same id; of what is refused none';
  (runs.serial ?? runs)(`${name}: ${title}`, async (t) => {
    const place = await placeOf(t);
    const { secrets: store, events, close } = await place.open();
    const now = Date.now();
    const [read, unread] = await times(2, () => createUntraced(store, { expiresAt: now + HOUR, notify: newNotify() }));
    await store.claim((read as NewSecret).id, now, NO_REFUND);
    const putBack = await copyDatabase(t, place.url);
    const told = await take(events, now);
    await events.finish(told.map(({ id }) => id));
    await store.claim((unread as NewSecret).id, now, NO_REFUND);
    await close();
    await putBack();

    const { secrets: again, events: repeated } = await place.open();
    await sweepAll(again, now + 2 * HOUR, 100, CREATED_AT);
    t.is(told.length, 1);
    t.deepEqual(await take(repeated, now), told);
    t.deepEqual(await repeated.countWaiting(), { events: 1, oldestAt: now });
  });
}

test.serial('a backup goes through pipes, beside a service that runs', async (t) => {
  const program = await start(t);
  const env = { STORAGE_URL: `sqlite:${join(program.folder, 'hushbox.db')}`, DATA_DIR: program.folder };
  const made = await send(program.base, '/generate', { secret: 'through a pipe', receipt: true });
  const receipt = () => send(program.base, `/receipts/${made.body.receipt_key}`);
  await send(program.base, `/secrets/${made.body.secret_key}`, {});
  const { body: told } = await receipt();
  const { code, stdout } = await hushbox(['backup', '-'], env);
  t.is(code, 0);
  t.is(stdout.split('\n').length, 4);

  const other = await start(t);
  const otherEnv = { STORAGE_URL: `sqlite:${join(other.folder, 'hushbox.db')}`, DATA_DIR: other.folder };
  t.regex((await hushbox(['restore', '-'], otherEnv, stdout)).stdout, /^1 of 1 receipt /);
  t.deepEqual((await send(other.base, `/receipts/${made.body.receipt_key}`)).body, told);
  t.is((await send(other.base, `/secrets/${made.body.secret_key}`, {})).status, 404);
});

test.serial('many records go page by page', async (t) => {
  const [source, target] = [await SQLITE.place(t), await SQLITE.place(t)];
  const { secrets: store, close } = await source.open();
  const now = Date.now();
  const secrets = await Promise.all(
    Array.from({ length: 1_234 }, () => createTraced(store, { expiresAt: now + HOUR })),
  );
  await Promise.all(secrets.map(({ id, receiptHash }) => store.burn(id, receiptHash, now, 0)));
  await close();
  const { stdout } = await hushbox(['backup', '-'], environmentOf(source));
  t.regex((await hushbox(['restore', '-'], environmentOf(target), stdout)).stdout, /^1,234 of 1,234 receipts/);
  const records = await openRecords(
    { sqlitePath: target.url.slice('sqlite:'.length), STORAGE_URL: target.url },
    'look',
  );
  t.is((await records.listEnded({ now, limit: 5_000 })).length, 1_234);
  await records.close();
});

test.serial('an empty backup is one too', async (t) => {
  const [source, target] = [await SQLITE.place(t), await SQLITE.place(t)];
  await (await source.open()).close();
  const { stdout } = await hushbox(['backup', '-'], environmentOf(source));
  t.regex((await hushbox(['restore', '-'], environmentOf(target), stdout)).stdout, /^0 of 0 receipts/);
});

test.serial('where there is no database, a backup makes none; what was a backup before stays', async (t) => {
  const folder = await temporaryFolder(t);
  const file = join(folder, 'backup');
  writeFileSync(file, 'the one before');
  const { code, stderr } = await hushbox(['backup', file], { STORAGE_URL: `sqlite:${folder}/none/x.db`, MASTER_KEY });
  t.is(code, 1);
  t.regex(stderr, /no database/);
  t.deepEqual(readdirSync(folder), ['backup']);
  t.is(readFileSync(file, 'utf8'), 'the one before');
});

test.serial(
  'a backup in the place of an older one is for its owner alone; a broken one leaves the older',
  async (t) => {
    const place = await SQLITE.place(t);
    await fill(t, place);
    const folder = await temporaryFolder(t);
    const file = join(folder, 'backup');
    writeFileSync(file, '{"format":"hushbox-backup","version":1,"created_at":"2026-11-21T12:00:00.000Z"}\n');
    chmodSync(file, 0o644);
    t.is((await hushbox(['backup', file], environmentOf(place))).code, 0);
    t.is(statSync(file).mode & 0o777, 0o600);
    const good = readFileSync(file);
    writeFileSync(place.url.slice('sqlite:'.length), 'not a database '.repeat(1000));
    t.is((await hushbox(['backup', file], environmentOf(place))).code, 1);
    t.deepEqual(readFileSync(file), good);
    t.deepEqual(readdirSync(folder), ['backup']);
  },
);

test.serial('a backup takes the place of nothing but a backup', async (t) => {
  const place = await SQLITE.place(t);
  await fill(t, place);
  const folder = await temporaryFolder(t);
  const names = ['key', 'link', 'nowhere', 'pipe'];
  const [key, link, nowhere, pipe] = names.map((name) => join(folder, name)) as [string, string, string, string];
  writeFileSync(key, MASTER_KEY);
  symlinkSync(key, link);
  symlinkSync(join(folder, 'none'), nowhere);
  spawnSync('mkfifo', [pipe]);
  const paths = [key, link, nowhere, pipe, folder, place.url.slice('sqlite:'.length)];
  for (const path of paths) {
    const before = lstatSync(path).ino;
    const { code, stderr } = await hushbox(['backup', path], environmentOf(place));
    t.is(code, 1, path);
    t.regex(stderr, /is there already, and is no backup/);
    t.is(lstatSync(path).ino, before);
  }
  t.is(readFileSync(key, 'utf8'), MASTER_KEY);
  t.deepEqual(readdirSync(folder).sort(), names);
});

test.serial('a backup that was interrupted is told, and what to do', async (t) => {
  const place = await SQLITE.place(t);
  await fill(t, place);
  const file = join(await temporaryFolder(t), 'backup');
  writeFileSync(`${file}.new`, 'half');
  const { code, stderr } = await hushbox(['backup', file], environmentOf(place));
  t.is(code, 1);
  t.regex(stderr, /interrupted: if it was, remove .*backup\.new/);
  t.is(readFileSync(`${file}.new`, 'utf8'), 'half');
});

/** A backup with three records, as text. */
async function madeBackup(t: ExecutionContext): Promise<{ text: string; target: Place }> {
  const [source, target] = [await SQLITE.place(t), await SQLITE.place(t)];
  await fill(t, source);
  const { stdout } = await hushbox(['backup', '-'], environmentOf(source));
  return { text: stdout, target };
}

test.serial('a backup that was cut, changed, or goes on is refused, before anything is touched', async (t) => {
  const { text, target } = await madeBackup(t);
  const lines = text.trimEnd().split('\n');
  const damaged = [
    text.slice(0, -1),
    text.slice(0, text.length >> 1),
    lines.slice(0, -1).join('\n').concat('\n'),
    [...lines.slice(0, 2), ...lines.slice(3)].join('\n').concat('\n'),
    text.replace('"state":"burned"', '"state":"read"'),
    text + lines[1],
    `${text}${lines.at(-1)}\n`,
    text.replace('"version":1', '"version":2'),
    'secret\n',
    '',
  ];
  for (const wrong of damaged) {
    const { code, stderr } = await hushbox(['restore', '-'], environmentOf(target), wrong);
    t.is(code, 1);
    t.regex(stderr, /backup/);
    t.false(existsSync(target.url.slice('sqlite:'.length)));
  }
});

test.serial('no byte of a backup can be changed or cut off unseen', async (t) => {
  const bytes = Buffer.from((await madeBackup(t)).text);
  const file = openSync(join(await temporaryFolder(t), 'backup'), 'w+');
  t.teardown(() => closeSync(file));
  const isGood = (): boolean => {
    try {
      return [...readBackup(file, Date.now())].length === 3;
    } catch {
      return false;
    }
  };
  writeSync(file, bytes, 0, bytes.length, 0);
  t.true(isGood());
  for (const [at, byte] of bytes.entries()) {
    writeSync(file, Buffer.of(byte ^ 1), 0, 1, at);
    t.false(isGood(), `changed at ${at}`);
    writeSync(file, bytes, at, 1, at);
  }
  t.true(isGood());
  for (let length = bytes.length - 1; length >= 0; length--) {
    ftruncateSync(file, length);
    t.false(isGood(), `cut at ${length}`);
  }
});

const LATER = Date.now() + 24 * HOUR;
const BAD_VALUES: readonly [title: string, from: RegExp, to: string][] = [
  ['a state it cannot have', /"state":"read"/, '"state":"waiting"'],
  ['an id of another length', /"id":"..../, '"id":"'],
  ['an end after the backup was made', /"ended_at":\d+/, `"ended_at":${LATER}`],
  ['a fraction of a read', /"reads":1/, '"reads":1.5'],
  ['a member nobody knows', /"reads":1/, '"reads":1,"envelope":"AQ"'],
  ['a kind nobody knows', /"type":"receipt"/, '"type":"secret"'],
];
for (const [title, from, to] of BAD_VALUES) {
  test.serial(`is refused, with a sum that is right: ${title}`, async (t) => {
    const { text, target } = await madeBackup(t);
    const body = text.slice(0, text.lastIndexOf('{"end"')).replace(from, to);
    t.not(body, text.slice(0, text.lastIndexOf('{"end"')));
    const sha256 = createHash('sha256').update(body).digest('hex');
    const forged = `${body}{"end":true,"counts":{"receipt":3},"sha256":"${sha256}"}\n`;
    const { code, stderr } = await hushbox(['restore', '-'], environmentOf(target), forged);
    t.is(code, 1);
    t.regex(stderr, /line \d is not as it was written/);
    t.false(existsSync(target.url.slice('sqlite:'.length)));
  });
}

test.serial('lines without an end are refused, and not held', async (t) => {
  const { target } = await madeBackup(t);
  const { code, stderr } = await hushbox(['restore', '-'], environmentOf(target), 'x'.repeat(20_000_000));
  t.is(code, 1);
  t.regex(stderr, /too long/);
});

test.serial('a backup from the future is refused: a clock is wrong', async (t) => {
  const { target } = await madeBackup(t);
  const header = `{"format":"hushbox-backup","version":1,"created_at":"${new Date(LATER).toISOString()}"}\n`;
  const sha256 = createHash('sha256').update(header).digest('hex');
  const forged = `${header}{"end":true,"counts":{"receipt":0},"sha256":"${sha256}"}\n`;
  t.regex((await hushbox(['restore', '-'], environmentOf(target), forged)).stderr, /clock/);
});
