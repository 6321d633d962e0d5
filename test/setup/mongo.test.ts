import type { ExecutionContext } from 'ava';
import { type BSON, MongoClient } from 'mongodb';
import { DATABASE, type MongoAccess, USER } from '../../src/setup/keys.ts';
import { prepareMongo } from '../../src/setup/mongo.ts';
import { type MongoProxy, startMongoProxy } from '../storage/mongo/mongo-proxy.ts';
import { MONGODB } from '../support/storage/storage.ts';

// The server of the tests is no replica set and asks for no password: its answers are exchanged on their way. With real
// ones: test/containers/.

const { test } = MONGODB;
const HOST = 'mongo:27017';
const NOT_INITIATED = { ok: 0, code: 94, errmsg: 'no replset config has been received' };
const state = (myState: number): BSON.Document => ({ ok: 1, myState });

type Answers = Record<string, BSON.Document | (() => BSON.Document)>;
type Setting = { proxy: MongoProxy; access: MongoAccess; said: string[]; asked(): string[] };

async function standIn(t: ExecutionContext, answers: Answers): Promise<Setting> {
  const { url } = await MONGODB.place(t);
  const proxy = await startMongoProxy(t, url);
  t.teardown(() => dropUser(url));
  proxy.editAnswers((command) => {
    const answer = answers[nameOf(command)];
    return typeof answer === 'function' ? answer() : answer;
  });
  return {
    proxy,
    access: { rootUrl: proxy.url, serviceUrl: proxy.url, password: 'some-password' },
    said: [],
    asked: () => proxy.commands.map(nameOf),
  };
}

/** Only answers are exchanged: the server has made it. */
async function dropUser(url: string): Promise<void> {
  const client = new MongoClient(url);
  await client
    .db(DATABASE)
    .command({ dropUser: USER })
    .catch(() => {});
  await client.close();
}

function nameOf(command: BSON.Document): string {
  return Object.keys(command)[0] ?? '';
}

function prepare({ access, said }: Setting, ms = 30_000): Promise<void> {
  return prepareMongo({ host: HOST, access, signal: AbortSignal.timeout(ms), say: (message) => said.push(message) });
}

const NEW_USER: Answers = { usersInfo: { ok: 1, users: [] }, createUser: { ok: 1 } };
const OLD_USER: Answers = { usersInfo: { ok: 1, users: [{ user: USER }] }, updateUser: { ok: 1 } };

test('a server that was not initiated yet becomes a replica set of one, and the setup waits for it', async (t) => {
  const states = [NOT_INITIATED, state(5), state(2), state(1)];
  const here = await standIn(t, {
    replSetGetStatus: () => states.shift() ?? state(1),
    replSetInitiate: { ok: 1 },
    ...NEW_USER,
  });
  await prepare(here);
  t.deepEqual(here.asked().slice(0, 5), [
    'replSetGetStatus',
    'replSetInitiate',
    'replSetGetStatus',
    'replSetGetStatus',
    'replSetGetStatus',
  ]);
  const [initiate] = here.proxy.commands.filter((command) => 'replSetInitiate' in command);
  t.deepEqual(initiate?.replSetInitiate, { _id: 'hushbox', members: [{ _id: 0, host: HOST }] });
  t.deepEqual(here.said, ['MongoDB is a replica set now']);
});

test('a server that is a replica set stays as it is', async (t) => {
  const here = await standIn(t, { replSetGetStatus: state(1), ...OLD_USER });
  await prepare(here);
  t.false(here.asked().includes('replSetInitiate'));
  t.deepEqual(here.said, []);
});

for (const [code, what] of [
  [59, 'does not know replica sets'],
  [76, 'was started as a standalone'],
] as const) {
  test(`a server that ${what} runs standalone, which is reported`, async (t) => {
    const here = await standIn(t, { replSetGetStatus: { ok: 0, code, errmsg: 'no' }, ...NEW_USER });
    await prepare(here);
    t.regex(here.said.join(), /^MongoDB has no replica set here and runs standalone: it can lose/);
    t.false(here.asked().includes('replSetInitiate'));
  });
}

test("the service's user may read and write its database, and no more; later it only gets its password", async (t) => {
  const fresh = await standIn(t, { replSetGetStatus: state(1), ...NEW_USER });
  await prepare(fresh);
  const created = fresh.proxy.commands.find((command) => 'createUser' in command);
  t.like(created, { createUser: USER, pwd: 'some-password', $db: DATABASE });
  t.deepEqual(created?.roles, [{ role: 'readWrite', db: DATABASE }]);
  const known = await standIn(t, { replSetGetStatus: state(1), ...OLD_USER });
  await prepare(known);
  t.like(
    known.proxy.commands.find((command) => 'updateUser' in command),
    { updateUser: USER, pwd: 'some-password', $db: DATABASE },
  );
  t.false(known.asked().includes('createUser'));
  t.deepEqual(known.asked().at(-1), 'ping');
});

test('a refused command is tried again', async (t) => {
  let refusals = 2;
  const here = await standIn(t, {
    replSetGetStatus: () => (refusals-- > 0 ? { ok: 0, code: 13, errmsg: 'not yet' } : state(1)),
    ...OLD_USER,
  });
  await prepare(here);
  t.is(here.asked().filter((name) => name === 'replSetGetStatus').length, 3);
});

test('a server that is not there in time is a failure', async (t) => {
  const here = await standIn(t, {});
  await here.proxy.cut();
  const error = await t.throwsAsync(prepare(here, 500));
  t.regex(error?.name ?? '', /^Mongo/);
});

test('a set that finds no primary in time is a failure', async (t) => {
  const here = await standIn(t, { replSetGetStatus: state(2) });
  await t.throwsAsync(prepare(here, 1_000), { name: 'AbortError' });
});
