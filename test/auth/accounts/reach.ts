import type { ExecutionContext } from 'ava';
import { MOST, newRegistration } from '../../storage/contract/accounts.ts';
import { SQLITE } from '../../support/storage/storage.ts';
import { ADDRESS, SECRET, startAccounts } from './support.ts';

const FOREIGN = { 'sec-fetch-site': 'cross-site' };
const OTHER = 'another one, longer';
const NEXT = 'next@email.ee';

const POSTS = {
  register: '/api/v1/register',
  resendLink: '/api/v1/register/resend',
  activate: '/api/v1/activate',
  forgetPassword: '/api/v1/password/forgot',
  resetPassword: '/api/v1/password/reset',
} as const;
const OWN = {
  getMe: ['GET', '/api/v1/me', undefined],
  changeMe: ['PATCH', '/api/v1/me', { profile: { first_name: 'x' } }],
  changePassword: ['POST', '/api/v1/password/change', { current: SECRET, password: SECRET }],
  changeEmail: ['POST', '/api/v1/email/change', { current: SECRET, email: NEXT }],
  deleteMe: ['DELETE', '/api/v1/me', { current: SECRET }],
} as const;

/** Every answer that a server with accounts gives, with the name of its operation. */
export async function* reachAccounts(t: ExecutionContext): AsyncGenerator<[string, Response]> {
  const server = await startAccounts(
    t,
    SQLITE,
    { LIMITS: 'on', TRUSTED_PROXIES: '127.0.0.1' },
    { storeLimits: { maxBytes: 200_000 } },
  );
  const { post, storage } = server;
  yield ['register', await server.register()];
  yield ['resendLink', await post(POSTS.resendLink, { email: ADDRESS })];
  const token = await server.tokenNumber(1);
  yield ['showActivation', await server.get(`/api/v1/activate/?token=${token}`)];
  yield ['activate', await post(POSTS.activate, { token })];
  yield ['activate', await post(POSTS.activate, { token })];
  yield ['activate', await post(POSTS.activate, { token }, { accept: 'text/html' })];
  yield ['resetPassword', await post(POSTS.resetPassword, { token, password: OTHER })];
  yield ['forgetPassword', await post(POSTS.forgetPassword, { email: ADDRESS })];
  const forgotten = await server.tokenNumber(3);
  yield ['resetPassword', await post(POSTS.resetPassword, { token: forgotten, password: SECRET })];
  const { browser } = await server.signIn();
  for (const [name, [method, path, body]] of Object.entries(OWN)) {
    if (name !== 'deleteMe') yield [name, await browser.send(method, path, body)];
    yield [name, await browser.send(method, path, body, { cookie: undefined })];
    yield [name, await browser.send(method, path, body, { ...FOREIGN, 'x-csrftoken': undefined })];
    if (method === 'GET') continue;
    yield [name, await browser.send(method, path, 'x'.repeat(70_000))];
    yield [name, await browser.send(method, path, 'x', { 'content-encoding': 'gzip' })];
  }
  for (const [name, path] of Object.entries(POSTS)) {
    yield [name, await post(path, {}, FOREIGN)];
    yield [name, await post(path, 'x'.repeat(70_000))];
    yield [name, await post(path, 'x', { 'content-encoding': 'gzip' })];
  }
  yield ['getMe', await browser.send('GET', '/api/v1/me', undefined, { 'x-forwarded-host': '203.0.113.7' })];

  await browser.send('POST', '/api/v1/email/change', { current: SECRET, email: NEXT });
  const move = await server.tokenNumber(2, NEXT);
  const other = await server.signUp({ email: 'third@email.ee' });
  await post(POSTS.forgetPassword, { email: 'third@email.ee' });
  const reset = await server.tokenNumber(2, 'third@email.ee');
  const profile = JSON.stringify({ first_name: 'x'.repeat(400) });
  while ((await storage.links.addLink(newRegistration({ profile }), MOST)) === 'added');
  while ((await storage.links.addLink(newRegistration({ profile: '{}' }), MOST)) === 'added');
  yield ['register', await server.register({ email: 'full@email.ee' })];
  for (const name of ['resendLink', 'forgetPassword'] as const) {
    yield [name, await post(POSTS[name], { email: 'full@email.ee' })];
  }
  yield ['activate', await post(POSTS.activate, { token: move })];
  yield ['resetPassword', await post(POSTS.resetPassword, { token: reset, password: OTHER })];

  const wider = { profile: Object.fromEntries(['type', 'last_name', 'sex'].map((name) => [name, '🔑'.repeat(50)])) };
  yield ['changeMe', await other.send('PATCH', '/api/v1/me', wider)];
  const email = { current: SECRET, email: 'full2@email.ee' };
  yield ['changeEmail', await other.send('POST', '/api/v1/email/change', email)];
  for (const name of ['changePassword', 'deleteMe'] as const) {
    const [method, path, body] = OWN[name];
    yield [name, await other.send(method, path, body)];
  }
  const links = await storage.links.sweepLinks(Number.MAX_SAFE_INTEGER, 10_000);
  t.true(links > 100);
  yield ['deleteMe', await other.send('DELETE', '/api/v1/me', { current: SECRET })];

  for (let left = 310; left > 0; left--) {
    yield ['activate', await post(POSTS.activate, { token: '' })];
    yield ['forgetPassword', await post(POSTS.forgetPassword, { email: 'one@email.ee' })];
  }
  yield ['resetPassword', await post(POSTS.resetPassword, { token: '', password: OTHER })];
  yield ['resendLink', await post(POSTS.resendLink, { email: 'one@email.ee' })];
  for (const [name, [method, path, body]] of Object.entries(OWN)) {
    yield [name, await server.request(method, path, body, { token: `hushbox_${'x'.repeat(43)}` })];
  }
  for (let left = 100; left > 0; left -= 5) {
    await Promise.all(Array.from({ length: 5 }, () => server.register({ email: 'one@email.ee' })));
  }
  yield ['register', await server.register({ email: 'one@email.ee' })];
}
