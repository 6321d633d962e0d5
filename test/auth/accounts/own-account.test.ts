import test from 'ava';
import { until } from '../../support/process/program.ts';
import { ENGINES, SQLITE } from '../../support/storage/storage.ts';
import { type Browser, codeOf } from '../sessions/browser-support.ts';
import { EMAIL } from '../sessions/support.ts';
import { type AccountServer, ADDRESS, PROFILE, SECRET, startAccounts, visibleOf } from './support.ts';

const OTHER = 'another one, longer';

const forget = (server: AccountServer, email = ADDRESS) => server.post('/api/v1/password/forgot/', { email });

async function reset(server: AccountServer, token: unknown, password = OTHER): Promise<string> {
  return codeOf(await server.post('/api/v1/password/reset/', { token, password }));
}

async function isIn(browser: Browser): Promise<boolean> {
  return (await browser.send('POST', '/api/v1/test/')).status === 200;
}

for (const engine of ENGINES) {
  const { name, test } = engine;

  test(`${name}: a reset sets the password once, ends all sessions and links, and is told of`, async (t) => {
    const server = await startAccounts(t, engine);
    const browser = await server.signUp();
    for (let n = 0; n < 2; n++) t.is((await forget(server)).status, 202);
    const { link = '', subject } = await server.mailNumber(2);
    t.is(subject, 'Set a new password');
    t.true(link.startsWith(`${server.base}/reset?token=hushbox_link_`));
    const tokens = [await server.tokenNumber(2), await server.tokenNumber(3)];
    t.is(await reset(server, tokens[0], 'short'), '400 INVALID_REQUEST', 'and the link stays good');
    t.is(await reset(server, { $ne: '' }), '400 INVALID_REQUEST');
    t.is(await server.activate(tokens[0] as string), '410 LINK_GONE', 'it is no activation, and stays good');
    t.is(await reset(server, tokens[0]), '204');
    for (const token of tokens) t.is(await reset(server, token), '410 LINK_GONE');
    t.false(await isIn(browser));
    t.is(await codeOf(await browser.refresh()), '401 UNAUTHORIZED');
    t.is((await server.signIn()).code, '401 INVALID_CREDENTIALS');
    t.is((await server.signIn(ADDRESS, OTHER)).code, '200');
    t.is((await server.mailNumber(4)).subject, 'Your password was changed');
    t.is(server.mail.mails.length, 4);
    t.regex(server.logged(), /"audit":"password\.reset"/);
  });

  test(`${name}: a forgotten password of an unknown or disabled account gets the same answer and no mail`, async (t) => {
    const server = await startAccounts(t, engine);
    await server.accounts.create({ email: 'off@example.com', password: SECRET, role: 'member' });
    await server.accounts.disable('off@example.com');
    const answers = [];
    for (const email of ['nobody@example.com', 'off@example.com', 'no address', '', EMAIL]) {
      answers.push(await visibleOf(await forget(server, email), email));
    }
    for (const answer of answers) t.deepEqual(answer, answers[0]);
    await server.mailNumber(1, EMAIL);
    t.is(server.mail.mails.length, 1);
  });

  test(`${name}: another password ends all other sessions and links, and is told of`, async (t) => {
    const server = await startAccounts(t, engine);
    const browser = await server.signUp();
    const other = (await server.signIn()).browser;
    await forget(server);
    const token = await server.tokenNumber(2);
    const change = (body: object) => browser.send('POST', '/api/v1/password/change/', body);
    t.is(await codeOf(await change({ current: 'not this one', password: OTHER })), '401 INVALID_CREDENTIALS');
    t.is(await codeOf(await change({ current: { $ne: '' }, password: OTHER })), '400 INVALID_REQUEST');
    t.is(await codeOf(await change({ current: SECRET, password: 'qwertyuiop' })), '400 INVALID_REQUEST');
    t.is(await codeOf(await change({ current: SECRET, password: OTHER })), '204');
    t.true(await isIn(browser));
    t.is((await browser.refresh()).status, 200);
    t.false(await isIn(other));
    t.is(await reset(server, token), '410 LINK_GONE');
    t.is((await server.signIn()).code, '401 INVALID_CREDENTIALS');
    t.is((await server.signIn(ADDRESS, OTHER)).code, '200');
    t.is((await server.mailNumber(3)).subject, 'Your password was changed');
  });

  test(`${name}: another address is confirmed by its own mail, and the old one is told`, async (t) => {
    const server = await startAccounts(t, engine);
    const browser = await server.signUp();
    const next = 'next@email.ee';
    const change = (body: object) => browser.send('POST', '/api/v1/email/change/', body);
    t.is(await codeOf(await change({ current: 'not this one', email: next })), '401 INVALID_CREDENTIALS');
    t.is(await codeOf(await change({ current: SECRET, email: 'no address' })), '400 INVALID_REQUEST');
    const answers = [];
    for (const email of [next, EMAIL, ADDRESS]) {
      answers.push(await visibleOf(await change({ current: SECRET, email }), email));
    }
    t.like(answers[0], { status: 202 });
    for (const answer of answers) t.deepEqual(answer, answers[0]);
    const token = await server.tokenNumber(1, next);
    t.like(await (await browser.send('GET', '/api/v1/me')).json(), { email: ADDRESS });
    t.is(await reset(server, token), '410 LINK_GONE', 'it resets nothing, and stays good');
    await forget(server);
    const ofOldAddress = await server.tokenNumber(2);
    t.is(await server.activate(token), '200');
    t.is(await server.activate(token), '410 LINK_GONE');
    t.is(await reset(server, ofOldAddress), '410 LINK_GONE');
    t.like(await (await browser.send('GET', '/api/v1/me')).json(), { email: next });
    t.is((await server.mailNumber(3)).subject, 'The address of your account was changed');
    t.is((await server.signIn(ADDRESS)).code, '401 INVALID_CREDENTIALS');
    t.is((await server.signIn(next)).code, '200');
    t.is(server.mail.mails.filter(({ to }) => to === EMAIL).length, 0);
  });

  test(`${name}: a link to an address that was taken meanwhile is gone, and nobody is told`, async (t) => {
    const server = await startAccounts(t, engine);
    const browser = await server.signUp();
    await browser.send('POST', '/api/v1/email/change/', { current: SECRET, email: 'next@email.ee' });
    const token = await server.tokenNumber(1, 'next@email.ee');
    await server.accounts.create({ email: 'next@email.ee', password: SECRET, role: 'member' });
    t.is(await server.activate(token), '410 LINK_GONE');
    t.like(await (await browser.send('GET', '/api/v1/me')).json(), { email: ADDRESS });
    await until('the end of all mail', async () => (await server.storage.mails.countWaiting()).events === 0);
    t.is(server.mail.mails.filter(({ to }) => to === ADDRESS).length, 1);
  });

  test(`${name}: an account is deleted by its owner, with the password, and told of`, async (t) => {
    const server = await startAccounts(t, engine);
    const browser = await server.signUp();
    const other = (await server.signIn()).browser;
    const remove = (current: unknown) => browser.send('DELETE', '/api/v1/me/', { current });
    t.is(await codeOf(await remove('not this one')), '401 INVALID_CREDENTIALS');
    t.is(await codeOf(await remove({ $ne: '' })), '400 INVALID_REQUEST');
    t.is((await remove(SECRET)).status, 204);
    t.is(browser.jar.size, 0);
    t.false(await isIn(other));
    t.is((await server.signIn()).code, '401 INVALID_CREDENTIALS');
    t.is((await server.mailNumber(2)).subject, 'Your account was deleted');
    t.is(await server.storage.accounts.findByEmail(ADDRESS), undefined);
    await server.signUp();
  });

  test(`${name}: members of the profile are replaced, null removes one, and nothing else changes`, async (t) => {
    const server = await startAccounts(t, engine);
    const browser = await server.signUp();
    const patch = (body: unknown) => browser.send('PATCH', '/api/v1/me/', body);
    const changed = await patch({ profile: { sex: null, type: 'boss' } });
    t.is(changed.status, 200);
    const { sex: _, ...rest } = PROFILE;
    const expected = { ...rest, type: 'boss' };
    t.like(await changed.json(), { email: ADDRESS, role: 'member' });
    const profile = async () =>
      ((await (await browser.send('GET', '/api/v1/me')).json()) as { profile: object }).profile;
    t.deepEqual(await profile(), expected);
    for (const body of [
      { role: 'admin' },
      { profile: {}, email: 'a@b.example' },
      { profile: { role: 'admin' } },
      { profile: { type: { $ne: '' } } },
      { profile: '{"id":"x"}' },
      {},
    ]) {
      t.is(await codeOf(await patch(body)), '400 INVALID_REQUEST', JSON.stringify(body));
    }
    t.is(await codeOf(await patch({ profile: '{"type":null}' })), '200');
    const names = ['a', 'b', 'c'].map((first_name) => patch({ profile: { first_name } }));
    const others = [patch({ profile: { last_name: 'x' } }), patch({ profile: { sex: 'y' } })];
    for (const response of await Promise.all([...names, ...others])) t.is(response.status, 200);
    t.like(await profile(), { last_name: 'x', sex: 'y', birth_date: PROFILE.birth_date });
  });
}

test('changes need the token of our own pages, and a session', async (t) => {
  const server = await startAccounts(t);
  const browser = await server.signUp();
  const requests = [
    ['PATCH', '/api/v1/me/', { profile: {} }],
    ['DELETE', '/api/v1/me/', { current: SECRET }],
    ['POST', '/api/v1/password/change/', { current: SECRET, password: OTHER }],
    ['POST', '/api/v1/email/change/', { current: SECRET, email: 'a@b.example' }],
  ] as const;
  for (const [method, path, body] of requests) {
    t.is(await codeOf(await browser.send(method, path, body, { 'x-csrftoken': undefined })), '403 CSRF_FAILED', path);
    t.is(await codeOf(await browser.send(method, path, body, { cookie: undefined })), '401 UNAUTHORIZED', path);
    const foreign = { 'sec-fetch-site': 'same-site' };
    t.is(await codeOf(await browser.send(method, path, body, foreign)), '403 FOREIGN_ORIGIN', path);
  }
  t.is(await codeOf(await server.get('/api/v1/me')), '401 UNAUTHORIZED');
  t.true(await isIn(browser));
});

test('whoever has a session cannot guess the password with it', async (t) => {
  const server = await startAccounts(t, SQLITE, { LIMITS: 'on' });
  const browser = await server.signUp();
  const codes = [];
  for (let n = 0; n < 12; n++) {
    const [path, more] =
      n % 2 ? ['/api/v1/password/change', { password: OTHER }] : ['/api/v1/email/change', { email: 'a@b.ee' }];
    codes.push(await codeOf(await browser.send('POST', path, { current: `guess number ${n}`, ...more })));
  }
  t.deepEqual(codes, [...Array(10).fill('401 INVALID_CREDENTIALS'), ...Array(2).fill('429 RATE_LIMITED')]);
  t.is(await codeOf(await browser.send('DELETE', '/api/v1/me', { current: SECRET })), '429 RATE_LIMITED');
  server.clock.advance({ minutes: 1 });
  t.is(await codeOf(await browser.send('DELETE', '/api/v1/me', { current: SECRET })), '204');
});

test('in production without mail, nothing is sent, and answers are the same', async (t) => {
  const server = await startAccounts(t, SQLITE, {
    NODE_ENV: 'production',
    SMTP_URL: '',
    PROXY_TOKEN: 'a-token-of-the-proxy',
  });
  t.is(await codeOf(await server.register()), '403 REGISTRATION_OFF');
  for (const email of [EMAIL, ADDRESS]) t.is((await forget(server, email)).status, 202);
  const token = await server.logIn();
  const change = (path: string, body: object) =>
    server.post(path, { current: 'a password of its owner', ...body }, { token });
  t.is(await codeOf(await change('/api/v1/email/change', { email: ADDRESS })), '403 MAIL_OFF');
  t.is(await codeOf(await change('/api/v1/password/change', { password: OTHER })), '204');
});
