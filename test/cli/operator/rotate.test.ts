import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { SETTLED_MS } from '../../../src/cli/operator/rotate.ts';
import { sealMail } from '../../../src/mail/sealed.ts';
import { createHead } from '../../../src/sealing/head.ts';
import { createKeyRing, masterKeyIdOf } from '../../../src/sealing/key-ring.ts';
import { createSecretKey } from '../../../src/secrets/keys.ts';
import type { SecretStore } from '../../../src/secrets/store.ts';
import { createSigningKeys } from '../../../src/tokens/access/signing-keys.ts';
import { secretsAt } from '../../fixtures/fixture.ts';
import { hushbox } from '../../support/process/hushbox.ts';
import { remember } from '../../support/process/leaks.ts';
import { withMounts } from '../../support/process/tools.ts';
import { ENGINES, type Place, SQLITE, temporaryFolder } from '../../support/storage/storage.ts';

const HUSHBOX = fileURLToPath(new URL('../../../bin/hushbox', import.meta.url));
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

function newKey(): string {
  const key = randomBytes(32).toString('hex');
  remember(key); // no command may print it
  return key;
}

function fingerprint(key: string): string {
  return masterKeyIdOf(Buffer.from(key, 'hex')).toString('hex');
}

function keysIn(path: string): string[] {
  const keys = readFileSync(path, 'utf8').match(/[0-9a-f]{64}/g) ?? [];
  for (const key of keys) remember(key);
  return keys;
}

/** Makes the files so old that every worker has seen them. */
function settle(...paths: string[]): void {
  const before = new Date(Date.now() - SETTLED_MS);
  for (const path of paths) utimesSync(path, before, before);
}

/** Stores a secret and reads another with a copy, both sealed under these keys. @returns when the first expires. */
async function store(place: Place, keys: readonly [string, ...string[]]): Promise<number> {
  const { secrets, fence, close } = await place.open();
  await fence.advance(Date.now(), []); // as a service does
  const rules = secretsAt(secrets, keys, Date.now);
  const { expiresAt } = await rules.create({ secret: 'waiting', ttlMs: HOUR, receipt: false });
  const copied = await rules.create({ secret: 'copied', ttlMs: HOUR, receipt: false });
  await rules.read(copied.secretKey, { idempotencyKey: randomBytes(16).toString('hex') });
  await storeRequest(secrets, keys[0], Date.now() + HOUR / 2);
  await close();
  return expiresAt;
}

/** Stores an open request. The commands look at the head of its envelope alone. */
async function storeRequest(store: SecretStore, key: string, expiresAt: number): Promise<void> {
  const { id } = createSecretKey(expiresAt);
  const envelope = createHead(2, 0, createKeyRing([Buffer.from(key, 'hex')]).current);
  await store.create({ id, envelope, createdAt: Date.now(), expiresAt, requestHash: randomBytes(32) });
}

type World = { place: Place; env: Record<string, string>; path(name: string): string };

/** A storage, and a folder for keys. */
async function world(t: ExecutionContext, engine = SQLITE): Promise<World> {
  const place = await engine.place(t);
  const folder = join(await temporaryFolder(t), 'keys');
  mkdirSync(folder, 0o700);
  return { place, env: { STORAGE_URL: place.url, DATA_DIR: folder }, path: (name) => join(folder, name) };
}

for (const engine of ENGINES) {
  const testEngine = engine.test.serial ?? engine.test;

  testEngine(`${engine.name}: the new key seals, the old one stays, and the command says when it can go`, async (t) => {
    const { place, env, path } = await world(t, engine);
    const old = newKey();
    writeFileSync(path('master.key'), `${old}\n`, { mode: 0o600 });
    const expiresAt = await store(place, [old]);
    const { code, stdout, stderr } = await hushbox(['rotate-master-key'], env);
    t.deepEqual([code, stderr], [0, '']);
    const [fresh = '', ...older] = keysIn(path('master.key'));
    t.deepEqual(older, [old]);
    t.not(fresh, old);
    const neededUntil = new Date(expiresAt + MINUTE).toISOString();
    t.true(stdout.includes(`The new master key ${fingerprint(fresh)} seals from now on, ${fingerprint(old)} stays`));
    t.true(stdout.includes(`1 secret and 1 for rereading and 1 request sealed with it, needed until ${neededUntil}`));
    t.regex(stdout, /SIGHUP/);
    t.notRegex(stdout, new RegExp(`${fresh}|${old}`));

    await store(place, [fresh, old]);
    const status = await hushbox(['rotate-master-key', '--status'], env);
    t.is(status.code, 0);
    const lines = status.stdout.trimEnd().split('\n');
    t.is(lines.length, 2);
    t.regex(lines[0] ?? '', new RegExp(`^${fingerprint(fresh)} {2}seals and reads: 1 secret and 1 `));
    t.is(
      lines[1],
      `${fingerprint(old)}  reads: 1 secret and 1 for rereading and 1 request sealed with it, needed until ${neededUntil}`,
    );
  });

  testEngine(`${engine.name}: only what nothing needs is pruned`, async (t) => {
    const { place, env, path } = await world(t, engine);
    const [current, needed, free] = [newKey(), newKey(), newKey()];
    writeFileSync(path('master.key'), `${current}\n${free}\n${needed}\n`, { mode: 0o600 });
    await store(place, [needed]);
    settle(path('master.key'));
    const { code, stdout } = await hushbox(['rotate-master-key', '--prune'], env);
    t.is(code, 0);
    t.is(stdout, `${fingerprint(free)}  is gone: nothing was sealed with it.\n`);
    t.deepEqual(keysIn(path('master.key')), [current, needed]);
    settle(path('master.key'));
    t.is((await hushbox(['rotate-master-key', '--prune'], env)).stdout, 'Every key is needed, or seals.\n');
  });

  testEngine(`${engine.name}: a key that the webhook of a read secret needs is shown, and not pruned`, async (t) => {
    const { place, env, path } = await world(t, engine);
    const [current, needed] = [newKey(), newKey()];
    writeFileSync(path('master.key'), `${current}\n${needed}\n`, { mode: 0o600 });
    const { secrets, events, fence, close } = await place.open();
    await fence.advance(Date.now(), []);
    const sealed = Buffer.concat([Buffer.of(1, 0), Buffer.from(fingerprint(needed), 'hex'), randomBytes(200)]);
    const createdAt = Date.now();
    const expiresAt = createdAt + HOUR;
    const { id } = createSecretKey(expiresAt);
    const notify = { sealed, destination: randomBytes(16) };
    await secrets.create({ id, envelope: randomBytes(64), createdAt, expiresAt, notify });
    await secrets.claim(id, createdAt, { refundTry: false });
    settle(path('master.key'));
    t.is((await hushbox(['rotate-master-key', '--prune'], env)).stdout, 'Every key is needed, or seals.\n');
    const { stdout } = await hushbox(['rotate-master-key', '--status'], env);
    t.regex(stdout, new RegExp(`^${fingerprint(needed)} {2}reads: 1 webhook sealed with it`, 'm'));
    await events.finish([id]);
    await close();
    const { stdout: freed } = await hushbox(['rotate-master-key', '--prune'], env);
    t.is(freed, `${fingerprint(needed)}  is gone: nothing was sealed with it.\n`);
  });

  testEngine(`${engine.name}: a lost key that stored secrets need is shown, with exit status 1`, async (t) => {
    const { place, env, path } = await world(t, engine);
    const lost = newKey();
    writeFileSync(path('master.key'), newKey(), { mode: 0o600 });
    await store(place, [lost]);
    const { code, stdout } = await hushbox(['rotate-master-key', '--status'], env);
    t.is(code, 1);
    t.regex(
      stdout,
      new RegExp(`^${fingerprint(lost)} {2}is not here: 1 secret and 1 for rereading and 1 request`, 'm'),
    );
  });
}

test.serial('keys in two files change in both: the old one is in the list, the new one alone', async (t) => {
  const { place, env, path } = await world(t);
  const [old, oldest] = [newKey(), newKey()];
  const files = { MASTER_KEY_FILE: path('current'), MASTER_KEY_PREVIOUS_FILE: path('previous') };
  writeFileSync(files.MASTER_KEY_FILE, old, { mode: 0o600 });
  writeFileSync(files.MASTER_KEY_PREVIOUS_FILE, oldest, { mode: 0o600 });
  t.is((await hushbox(['rotate-master-key'], { ...env, ...files })).code, 0);
  t.is(keysIn(files.MASTER_KEY_FILE).length, 1);
  t.deepEqual(keysIn(files.MASTER_KEY_PREVIOUS_FILE), [old, oldest]);
  await store(place, [keysIn(files.MASTER_KEY_FILE)[0] as string]);
  settle(...Object.values(files));
  t.is((await hushbox(['rotate-master-key', '--prune'], { ...env, ...files })).code, 0);
  t.is(keysIn(files.MASTER_KEY_FILE).length, 1);
  t.deepEqual(keysIn(files.MASTER_KEY_PREVIOUS_FILE), []);
  t.is((await hushbox(['doctor'], { ...env, ...files })).code, 0, 'an empty list is one');
});

test.serial('nothing is pruned while a worker may not have seen the last change', async (t) => {
  const { env, path } = await world(t);
  const keys = [newKey(), newKey()];
  writeFileSync(path('master.key'), keys.join('\n'), { mode: 0o600 });
  const { code, stderr } = await hushbox(['rotate-master-key', '--prune'], env);
  t.is(code, 1);
  t.regex(stderr, /changed just now.*wait 5 minutes/);
  t.deepEqual(keysIn(path('master.key')), keys);
});

test.serial('nothing is pruned when the storage does not answer; rotating works', async (t) => {
  const { env, path } = await world(t);
  const keys = [newKey(), newKey()];
  writeFileSync(path('master.key'), keys.join('\n'), { mode: 0o600 });
  settle(path('master.key'));
  const away = { ...env, STORAGE_URL: 'mongodb://127.0.0.1:1/x' };
  t.is((await hushbox(['rotate-master-key', '--prune'], away)).code, 1);
  t.deepEqual(keysIn(path('master.key')), keys);
  const { code, stdout } = await hushbox(['rotate-master-key'], away);
  t.is(code, 0);
  t.regex(stdout, /storage could not be asked.*in any case it can go after \d{4}-/);
  t.deepEqual(keysIn(path('master.key')).slice(1), keys);
});

for (const engine of ENGINES) {
  const testEngine = engine.test.serial ?? engine.test;
  testEngine(`${engine.name}: nothing is pruned for a storage that no service ever used`, async (t) => {
    const { place, env, path } = await world(t, engine);
    const keys = [newKey(), newKey()];
    writeFileSync(path('master.key'), keys.join('\n'), { mode: 0o600 });
    settle(path('master.key'));
    const isRefused = async (): Promise<void> => {
      for (const option of ['--prune', '--status']) {
        const { code, stderr } = await hushbox(['rotate-master-key', option], env);
        t.is(code, 1);
        t.regex(stderr, /no service ever used this storage|there is no database/);
      }
      t.deepEqual(keysIn(path('master.key')), keys);
    };
    await isRefused();
    await (await place.open()).close();
    await isRefused();
  });
}

test.serial('a key that is a variable is not changed; a new one goes to a file, and is never printed', async (t) => {
  const { place, env, path } = await world(t);
  const MASTER_KEY = newKey();
  await store(place, [MASTER_KEY]);
  const refused = await hushbox(['rotate-master-key'], { ...env, MASTER_KEY });
  t.is(refused.code, 1);
  t.regex(refused.stderr, /--out FILE/);
  t.is((await hushbox(['rotate-master-key', '--prune'], { ...env, MASTER_KEY })).code, 1);
  t.deepEqual(readdirSync(path('')), []);

  const written = await hushbox(['rotate-master-key', '--out', path('new')], { ...env, MASTER_KEY });
  t.is(written.code, 0);
  const [fresh = ''] = keysIn(path('new'));
  t.is(statSync(path('new')).mode & 0o777, 0o600);
  t.notRegex(written.stdout, new RegExp(`${fresh}|${MASTER_KEY}`));
  t.regex(written.stdout, new RegExp(`${fingerprint(fresh)} to .*1 secret and 1 for rereading`, 's'));
  const again = await hushbox(['rotate-master-key', '--out', path('new')], { ...env, MASTER_KEY });
  t.is(again.code, 1, 'what is there is never overwritten');
  t.deepEqual(keysIn(path('new')), [fresh]);
});

test.serial('a new key for several hosts changes none that is in use', async (t) => {
  const { env, path } = await world(t);
  const key = newKey();
  writeFileSync(path('master.key'), key, { mode: 0o600 });
  t.is((await hushbox(['rotate-master-key', '--out', path('new')], env)).code, 0);
  t.deepEqual(keysIn(path('master.key')), [key]);
});

test.serial('without a key none is created', async (t) => {
  const { env, path } = await world(t);
  const { code, stderr } = await hushbox(['rotate-master-key'], env);
  t.is(code, 1);
  t.regex(stderr, /first start creates one/);
  t.deepEqual(readdirSync(path('')), []);
});

test.serial('an interrupted change is reported, with advice', async (t) => {
  const { env, path } = await world(t);
  const key = newKey();
  writeFileSync(path('master.key'), key, { mode: 0o600 });
  writeFileSync(path('master.key.new'), '');
  const { code, stderr } = await hushbox(['rotate-master-key'], env);
  t.is(code, 1);
  t.regex(stderr, /interrupted less than a minute ago .*master\.key\.new\): wait a minute/);
  t.deepEqual(keysIn(path('master.key')), [key]);
  t.true(existsSync(path('master.key.new')));
});

test.serial('what a killed change left is taken over after a minute', async (t) => {
  const { env, path } = await world(t);
  const key = newKey();
  writeFileSync(path('master.key'), key, { mode: 0o600 });
  writeFileSync(path('master.key.new'), newKey());
  utimesSync(path('master.key.new'), 0, Date.now() / 1000 - 61);
  const { code } = await hushbox(['rotate-master-key'], env);
  t.is(code, 0);
  const keys = keysIn(path('master.key'));
  t.is(keys.length, 2);
  t.is(keys[1], key);
  t.false(readdirSync(path('')).some((name) => name.startsWith('master.key.')));
});

withMounts.serial(
  'keys that are read-only, as in a container of the service, are changed by another command',
  async (t) => {
    const { env, path } = await world(t);
    const keys = [newKey()];
    writeFileSync(path('master.key'), keys.join('\n'), { mode: 0o600 });
    const readOnly = `mount --bind '${path('')}' '${path('')}' && mount -o remount,ro,bind '${path('')}'; exec "$0" "$@"`;
    const command = 'docker compose run --rm setup hushbox rotate-master-key';
    const { PATH } = process.env;
    const { status, stderr } = spawnSync('unshare', ['-m', 'sh', '-c', readOnly, HUSHBOX, 'rotate-master-key'], {
      env: { PATH, ...env },
      encoding: 'utf8',
    });
    t.is(status, 1);
    t.true(
      stderr.endsWith(`cannot be changed (EROFS): they are read-only here. With Docker Compose, run: ${command}\n`),
    );
    t.deepEqual(keysIn(path('master.key')), keys);
  },
);

for (const engine of ENGINES) {
  engine.test(`${engine.name}: waiting mail needs its master key until it is sent or given up`, async (t) => {
    const { place, env, path } = await world(t, engine);
    const [old, fresh] = [newKey(), newKey()];
    const { mails, fence, close } = await place.open();
    await fence.advance(Date.now(), []); // as a service does
    const id = randomBytes(32);
    const mail = { to: 'anna@example.org', kind: 'activate', language: 'en', values: {} } as const;
    const sealed = sealMail(createKeyRing([Buffer.from(old, 'hex')]).current, id, mail);
    await mails.add({ id, sealed, occurredAt: Date.now(), dueAt: Date.now() });
    writeFileSync(path('master'), `${fresh}\n${old}`, { mode: 0o600 });
    settle(path('master'));
    const settings = { ...env, MASTER_KEY_FILE: path('master') };
    const status = await hushbox(['rotate-master-key', '--status'], settings);
    t.regex(status.stdout, new RegExp(`${fingerprint(old)} {2}reads: 1 mail sealed with it, needed until `));
    t.regex((await hushbox(['rotate-master-key', '--prune'], settings)).stdout, /Every key is needed/);
    await mails.finish([id]);
    await close();
    t.regex((await hushbox(['rotate-master-key', '--prune'], settings)).stdout, /is gone/);
  });

  engine.test(`${engine.name}: a signing key needs its master key until a service has sealed it again`, async (t) => {
    const { place, env, path } = await world(t, engine);
    const [old, fresh] = [newKey(), newKey()];
    await store(place, [old]);
    writeFileSync(path('master'), old, { mode: 0o600 });
    const settings = { ...env, MASTER_KEY_FILE: path('master') };
    t.regex((await hushbox(['rotate-signing-key'], settings)).stdout, /is served from now on, and signs from/);
    writeFileSync(path('master'), `${fresh}\n${old}`, { mode: 0o600 });
    settle(path('master'));
    const status = await hushbox(['rotate-master-key', '--status'], settings);
    t.regex(
      status.stdout,
      new RegExp(
        `${fingerprint(old)} {2}reads: .*1 signing key .*after a rotation a running service seals signing keys again`,
      ),
    );
    const { signingKeys, close } = await place.open();
    const ring = createKeyRing([Buffer.from(fresh, 'hex'), Buffer.from(old, 'hex')]);
    const keys = createSigningKeys({ store: signingKeys, ring, clock: Date.now });
    t.is(await keys.reseal(), 1);
    await close();
    t.notRegex((await hushbox(['rotate-master-key', '--status'], settings)).stdout, /^\w+ {2}reads: .*signing key/m);
    t.regex((await hushbox(['rotate-signing-key', '--revoke'], settings)).stdout, /signs from now on/);
  });
}
