import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { EMAIL, PASSWORD } from '../auth/sessions/support.ts';
import { browserTest, decidePosts, openPage } from '../support/browser/browser.ts';
import {
  accountOn,
  button,
  cookieNames,
  dropAccessToken,
  errorOf,
  field,
  heading,
  isFocused,
  link,
  messageOf,
} from '../support/browser/people.ts';
import { startPassingProxy } from '../support/http/passing-proxy.ts';
import { until } from '../support/process/program.ts';
import { fillSignIn, signIn, startScene } from './account-support.ts';

const COOKIES = ['access_token', 'csrftoken', 'refresh_token'];

browserTest('someone signs in, sees who it is on every page, and signs out', async (t) => {
  const { server, page } = await startScene(t);
  const { secret_key, receipt_key } = await server.create({ secret: 'hello', receipt: true });
  await page.goto(`${server.base}/`);
  await link(page, 'Sign in').click();
  await fillSignIn(page);
  await accountOn(page).waitFor();
  t.deepEqual(await cookieNames(page), COOKIES);
  const paths = ['', 'status', 'nowhere', 'register', 'forgotten', 'reset?token=x', 'signin'];
  for (const path of [...paths, `secrets/${secret_key}`, `receipts/${receipt_key}`]) {
    await page.goto(`${server.base}/${path}`);
    await link(page, EMAIL).waitFor();
    t.false(await page.getByRole('banner').getByText('Sign in').isVisible(), path);
  }
  await link(page, EMAIL).click();
  await button(page, 'Sign out').click();
  await heading(page, 'You are signed out').waitFor();
  t.true(await isFocused(heading(page, 'You are signed out')));
  t.deepEqual(await cookieNames(page), []);
  t.is(await page.locator('#account').isVisible(), false);
  await page.goto(`${server.base}/`);
  await link(page, 'Sign in').waitFor();
});

browserTest('nobody is asked for where nobody is signed in', async (t) => {
  const { server, page } = await startScene(t);
  const asked: string[] = [];
  page.on('request', (request) => asked.push(new URL(request.url()).pathname));
  for (const path of ['/', '/signin', '/account']) await page.goto(server.base + path, { waitUntil: 'networkidle' });
  t.deepEqual(
    asked.filter((path) => path.startsWith('/api/') || path.startsWith('/sessions')),
    [],
  );
  await heading(page, 'You are signed out').waitFor();
});

browserTest(
  'a wrong password is reported beside its field, what was typed stays, and the right one works',
  async (t) => {
    const { server, page } = await startScene(t);
    await page.goto(`${server.base}/signin`);
    await fillSignIn(page, EMAIL, 'a wrong password');
    const password = field(page, 'Password');
    await page.getByText('The address or the password is wrong').waitFor();
    t.regex(await errorOf(password), /wrong/);
    t.true(await isFocused(password));
    t.is(await field(page, 'Email address').inputValue(), EMAIL);
    t.is(await password.inputValue(), 'a wrong password');
    await password.fill(PASSWORD);
    await page.keyboard.press('Enter');
    await accountOn(page).waitFor();
  },
);

browserTest('what is missing or no address is reported beside its field before anything is sent', async (t) => {
  const { server, page } = await startScene(t);
  await page.goto(`${server.base}/signin`);
  const posts = await decidePosts(page, () => 'pass');
  await button(page, 'Sign in').click();
  t.is(await errorOf(field(page, 'Email address')), 'Enter an email address.');
  t.is(await errorOf(field(page, 'Password')), 'Enter the password.');
  t.true(await isFocused(field(page, 'Email address')));
  await fillSignIn(page, 'no address', PASSWORD);
  t.regex(await errorOf(field(page, 'Email address')), /^Enter a whole address/);
  t.is(await errorOf(field(page, 'Password')), '');
  t.is(posts.length, 0);
});

browserTest('the keyboard alone is enough', async (t) => {
  const { server, page } = await startScene(t);
  await page.goto(`${server.base}/signin`);
  for (const _stop of ['the name at the top', 'the link to this page', 'the first field']) {
    await page.keyboard.press('Tab');
  }
  await page.keyboard.insertText(EMAIL);
  await page.keyboard.press('Tab');
  await page.keyboard.insertText(PASSWORD);
  await page.keyboard.press('Tab');
  t.true(await isFocused(button(page, 'Show the password')));
  await page.keyboard.press('Space');
  t.is(await field(page, 'Password').getAttribute('type'), 'text');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await accountOn(page).waitFor();
});

browserTest('password managers find their fields, and no password that is sent can be seen', async (t) => {
  const { server, page } = await startScene(t);
  await page.goto(`${server.base}/signin`);
  const tokens = await page
    .locator('form input')
    .evaluateAll((inputs) =>
      inputs.map((input) => `${input.getAttribute('name')} ${input.getAttribute('autocomplete')}`),
    );
  t.deepEqual(tokens, ['email username', 'password current-password']);
  await button(page, 'Show the password').click();
  await fillSignIn(page, EMAIL, 'a wrong password');
  await page.getByText('The address or the password is wrong').waitFor();
  t.is(await field(page, 'Password').getAttribute('type'), 'password');
});

/** Anybody can write `next` into a link to the page. */
const FOREIGN_TARGETS = [
  'https://evil.test/',
  '//evil.test',
  '///evil.test',
  '/\\evil.test',
  '\\\\evil.test',
  '/\t/evil.test',
  '/\n/evil.test',
  ' //evil.test',
  'javascript:alert(1)',
  'JaVaScRiPt:alert(1)',
  'data:text/html,x',
  '%2F%2Fevil.test',
  '//evil.test/%2e%2e',
  'evil.test',
  'account',
  '',
  '/\u0000/evil.test',
  'http:evil.test',
  '//[',
];

browserTest('after the sign-in the page goes to no other website', async (t) => {
  const { server, page } = await startScene(t);
  for (const next of [...FOREIGN_TARGETS, `//127.0.0.1:1/`, `http://127.0.0.1:${server.port}/status`]) {
    await page.context().clearCookies();
    await page.goto(`${server.base}/signin?next=${encodeURIComponent(next)}`);
    await fillSignIn(page);
    await page.waitForURL(/^(?!.*signin)/);
    const at = page.url();
    t.is(new URL(at).host, `127.0.0.1:${server.port}`, next);
    if (!next.includes('\u0000')) t.is(at, `${server.base}/account`, next);
  }
});

browserTest('after the sign-in the page goes where somebody wanted to go, if it is here', async (t) => {
  const { server, page } = await startScene(t);
  for (const next of ['/status', '/?a=b#c', '/.//evil.test', '/%2F%2Fevil.test', '/status?x=//evil.test']) {
    await page.context().clearCookies();
    await page.goto(`${server.base}/signin?next=${encodeURIComponent(next)}`);
    await fillSignIn(page);
    await page.waitForURL(/^(?!.*signin)/);
    t.is(page.url(), new URL(next, server.base).href);
  }
  await page.goBack();
  t.notRegex(page.url(), /signin/, 'the Back button does not lead to a sign-in that is done');
});

browserTest('someone who is signed in can continue, or sign out to be somebody else', async (t) => {
  const { server, page } = await startScene(t);
  await signIn(page, server.base);
  await page.goto(`${server.base}/signin?next=/status`);
  await heading(page, 'You are signed in').waitFor();
  t.is(
    await link(page, 'Continue').evaluate((element) => (element as { href?: string }).href),
    `${server.base}/status`,
  );
  await button(page, 'Sign out').click();
  await heading(page, 'Sign in').waitFor();
  t.deepEqual(await cookieNames(page), []);
  await fillSignIn(page);
  await heading(page, 'Status').waitFor();
});

browserTest('without a network nothing that was typed is lost', async (t) => {
  const { server, page } = await startScene(t);
  await page.goto(`${server.base}/signin`);
  await page.context().setOffline(true);
  await fillSignIn(page);
  await messageOf(page, /^No answer came/);
  t.true(await isFocused(button(page, 'Sign in')));
  t.is(await field(page, 'Password').inputValue(), PASSWORD);
  await page.context().setOffline(false);
  await button(page, 'Sign in').click();
  await accountOn(page).waitFor();
});

browserTest('too many tries, a server that is away, and answers that are not ours are explained', async (t) => {
  const { server, page } = await startScene(t);
  await page.goto(`${server.base}/signin`);
  const ours = (code: string, title: string): string => JSON.stringify({ Error: title, code, request_id: 'x' });
  const fates = [
    [
      { status: 429, headers: { 'retry-after': '60' }, body: ours('RATE_LIMITED', 'x') },
      /^Too many tries .* after .*\d:\d\d/,
    ],
    [
      { status: 503, headers: { 'retry-after': '1' }, body: ours('STORAGE_UNAVAILABLE', 'x') },
      /^The server cannot answer/,
    ],
    [{ status: 502, body: '<h1>Bad gateway</h1>' }, /^No answer came/],
    [{ status: 403, body: ours('HTTPS_REQUIRED', 'x') }, /^This needs HTTPS/],
    [
      { status: 403, body: ours('FOREIGN_ORIGIN', 'Pages of other websites may not') },
      /^Pages of other websites may not\.$/,
    ],
  ] as const;
  await decidePosts(page, (count) => fates[count - 1]?.[0] ?? 'pass');
  for (const [, wanted] of fates) {
    await fillSignIn(page);
    await messageOf(page, wanted);
    t.is(await field(page, 'Password').inputValue(), PASSWORD);
  }
  await fillSignIn(page);
  await accountOn(page).waitFor();
});

browserTest('while the answer is on its way the button shows it, and nothing is sent twice', async (t) => {
  const { server, page } = await startScene(t);
  await page.goto(`${server.base}/signin`);
  let sent = 0;
  let letGo = (): void => {};
  await page.route('**/api/v1/login/', async (route) => {
    sent += 1;
    await new Promise<void>((resolve) => {
      letGo = resolve;
    });
    await route.continue();
  });
  await fillSignIn(page);
  const busy = button(page, 'One moment…');
  await busy.waitFor();
  t.true(await busy.isDisabled());
  await until('the request', () => sent > 0);
  await field(page, 'Password').press('Enter');
  t.is(sent, 1);
  letGo();
  await accountOn(page).waitFor();
  t.is(sent, 1);
});

/** Asks with the page's own module. @returns the statuses. */
const ASK_FIVE_TIMES = `import('./assets/who.js').then(({ askSignedIn }) =>
  Promise.all([1, 2, 3, 4, 5].map(() => askSignedIn('GET', 'sessions').then(({ status }) => status))))`;

browserTest('an access token that has expired is renewed once, for all requests at the same time', async (t) => {
  const { server, page } = await startScene(t);
  await signIn(page, server.base);
  const posts: string[] = [];
  page.on('request', (request) => request.method() === 'POST' && posts.push(new URL(request.url()).pathname));
  await dropAccessToken(page);
  t.deepEqual(await page.evaluate(ASK_FIVE_TIMES), [200, 200, 200, 200, 200]);
  t.deepEqual(posts, ['/api/v1/login/refresh/']);
  await dropAccessToken(page);
  await page.goto(`${server.base}/`);
  await link(page, EMAIL).waitFor();
  t.is(posts.length, 2);
  t.deepEqual(await cookieNames(page), COOKIES);
});

browserTest('two tabs may renew at the same time, again and again', async (t) => {
  const { server, page } = await startScene(t);
  await signIn(page, server.base);
  const other = await page.context().newPage();
  await other.goto(`${server.base}/account`);
  await accountOn(other).waitFor();
  for (let round = 0; round < 10; round++) {
    await dropAccessToken(page);
    const statuses = await Promise.all([page.evaluate(ASK_FIVE_TIMES), other.evaluate(ASK_FIVE_TIMES)]);
    t.deepEqual(new Set(statuses.flat() as number[]), new Set([200]));
  }
});

browserTest('a session that has ended elsewhere is over on the page, and leads back after the sign-in', async (t) => {
  const { server, page } = await startScene(t);
  await signIn(page, server.base);
  await server.accounts.resetPassword(EMAIL, PASSWORD); // by an operator: ends every session
  await page.goto(`${server.base}/account`);
  await heading(page, 'You are signed out').waitFor();
  t.false((await cookieNames(page)).includes('csrftoken'), 'the next page does not ask again');
  await page.getByRole('main').getByRole('link', { name: 'Sign in' }).click();
  await fillSignIn(page);
  await accountOn(page).waitFor();
});

browserTest('a refresh without an answer signs nobody out', async (t) => {
  const { server, page } = await startScene(t);
  await signIn(page, server.base);
  await dropAccessToken(page);
  await decidePosts(page, (count) => (count === 1 ? 'lose' : 'pass'));
  await page.goto(`${server.base}/account`);
  await heading(page, 'Your account cannot be shown').waitFor();
  t.true((await cookieNames(page)).includes('csrftoken'));
  await button(page, 'Try again').click();
  await accountOn(page).waitFor();
});

browserTest('a page of another website can sign nobody in', async (t) => {
  const { server } = await startScene(t);
  const action = `${server.base}/api/v1/login/`;
  const input = (name: string, value: string): string => `<input name='${name}' value='${value}'>`;
  const fields = {
    'application/x-www-form-urlencoded': input('email', EMAIL) + input('password', PASSWORD),
    'multipart/form-data': input('email', EMAIL) + input('password', PASSWORD),
    'text/plain': input(`{"email": "${EMAIL}", "password": "${PASSWORD}", "x": "`, '"}'),
  };
  const other = createServer(({ url = '' }, response) => {
    const type = decodeURIComponent(url.slice(1)) as keyof typeof fields;
    const form = `<form method="post" action="${action}" enctype="${type}">${fields[type]}<button>Go</button></form>`;
    response.setHeader('content-type', 'text/html').end(`<!doctype html><title>x</title>${form}`);
  });
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
  t.teardown(() => other.close().closeAllConnections());
  const origin = `http://localhost:${(other.address() as AddressInfo).port}`;
  for (const type of Object.keys(fields)) {
    const page = await openPage(t, [origin, server.base]);
    await page.goto(`${origin}/${encodeURIComponent(type)}`);
    const [answer] = await Promise.all([page.waitForResponse(action), button(page, 'Go').click()]);
    t.is(answer.status(), 403, type);
    t.deepEqual(await cookieNames(page), []);
  }
});

browserTest('it works behind a proxy that gives the service a path of its own', async (t) => {
  const { server } = await startScene(t);
  const port = await startPassingProxy(t, { port: server.port, prefix: '/box' });
  const base = `http://127.0.0.1:${port}/box`;
  const page = await openPage(t, [base]);
  await page.goto(`${base}/account/`);
  await page.getByRole('main').getByRole('link', { name: 'Sign in' }).click();
  await fillSignIn(page);
  await accountOn(page).waitFor();
  t.is(page.url(), `${base}/account/`);
  await dropAccessToken(page);
  await page.goto(`${base}/`);
  await link(page, EMAIL).click();
  t.is(page.url(), `${base}/account`);
  await page.context().clearCookies();
  await page.goto(`${base}/signin?next=/status`);
  await fillSignIn(page);
  await page.waitForURL(`${base}/account`);
});

browserTest('without JavaScript each page says that it needs it, and shows no form', async (t) => {
  const { server, page } = await startScene(t, {}, { javaScriptEnabled: false });
  for (const path of ['signin', 'register', 'forgotten', 'reset?token=x', 'account']) {
    await page.goto(`${server.base}/${path}`);
    await page.getByText('This page needs JavaScript').waitFor();
    t.is(await page.locator('form:visible').count(), 0, path);
    t.is(await page.locator('.loading:visible').count(), 0, path);
  }
});
