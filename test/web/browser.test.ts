import { createServer, request as sendRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import type { BrowserContextOptions, Locator, Page } from 'playwright-core';
import { Hushbox } from '../../client/hushbox.ts';
import { browserTest, decidePosts, openPage, PLAIN_HTTP_HOST, stopTime } from '../support/browser/browser.ts';
import { startPassingProxy } from '../support/http/passing-proxy.ts';
import { startServer, type TestServer, type TestServerOptions } from '../support/http/server.ts';
import { SQLITE } from '../support/storage/storage.ts';

type Scene = { server: TestServer; page: Page };

async function start(
  t: ExecutionContext,
  options: Omit<TestServerOptions, 'place'> = {},
  view: BrowserContextOptions = {},
): Promise<Scene> {
  const server = await startServer(t, { place: await SQLITE.place(t), ...options });
  return { server, page: await openPage(t, [server.base], view) };
}

const button = (page: Page, name: string): Locator => page.getByRole('button', { name });
const textBox = (page: Page, name: string): Locator => page.getByRole('textbox', { name });
/** Reads as its reader does, elsewhere. */
const readElsewhere = (server: TestServer, link: string) => new Hushbox(server.base).open(link);
const noScript = (page: Page): Locator => page.getByText('This page needs JavaScript');
/** What became of the secret, as its sender sees it. */
const state = (page: Page, name: string): Locator => page.locator(`[role=status][data-state=${name}]`);

/** Sends the form that is filled in. @returns the link. */
async function createLink(page: Page): Promise<string> {
  await button(page, 'Create link').click();
  return textBox(page, 'Your link is ready').inputValue();
}

async function createLinkTo(page: Page, secret: string): Promise<string> {
  await textBox(page, 'Secret').fill(secret);
  return createLink(page);
}

/** @returns the text that the page shows as the secret. */
async function reveal(page: Page, buttonName = 'Show the secret'): Promise<string> {
  await button(page, buttonName).click();
  return textBox(page, 'Your secret').inputValue();
}

/** Waits for a message that matches. */
async function messageOf(page: Page, wanted = /./): Promise<string> {
  return (await page.getByRole('alert').filter({ hasText: wanted }).textContent()) ?? '';
}

function expectGone(page: Page): Promise<void> {
  return page.getByRole('heading', { name: 'There is no secret here' }).waitFor();
}

/** The page of an address that a browser keeps after it read a secret: nobody else is blamed. */
async function expectShown(page: Page): Promise<void> {
  await page.getByRole('heading', { name: 'The secret was shown here' }).waitFor();
  await page.getByText('someone else').waitFor({ state: 'detached' });
}

function isFocused(locator: Locator): Promise<boolean> {
  return locator.evaluate((element) => element.matches(':focus'));
}

browserTest('a secret goes from one page to another once, and the link leaves the address bar', async (t) => {
  const { server, page } = await start(t);
  await page.goto(`${server.base}/`);
  t.false(await noScript(page).isVisible());
  const link = await createLinkTo(page, 'correct horse\nbattery staple');
  t.true(link.startsWith(`${server.base}/secrets/`));

  const reader = await openPage(t, [server.base]);
  await reader.goto(link);
  t.false(await noScript(reader).isVisible());
  t.is(await reveal(reader), 'correct horse\nbattery staple');
  t.is(reader.url(), `${server.base}/secrets/read`);
  t.true(await isFocused(reader.getByRole('heading', { name: 'Your secret' })));

  await page.goto(link);
  await expectGone(page);
  await reader.reload();
  await expectShown(reader);
});

browserTest('the Back button does not bring a secret back', async (t) => {
  const { server, page } = await start(t);
  const { secret_key } = await server.create({ secret: 'hello' });
  await page.goto(`${server.base}/secrets/${secret_key}`);
  await reveal(page);
  await page.goto(`${server.base}/`);
  await page.goBack();
  await expectShown(page);
  t.false((await page.content()).includes('hello'));
});

browserTest('a browser that keeps a page after the user leaves it keeps no secret in it', async (t) => {
  const { server, page } = await start(t);
  const { secret_key } = await server.create({ secret: 'hello' });
  await page.goto(`${server.base}/secrets/${secret_key}`);
  await reveal(page);
  // The events of such a browser: Chromium keeps no page whose answer says no-store.
  await page.evaluate(`dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }))`);
  t.is(await textBox(page, 'Your secret').inputValue(), '');
  await page.evaluate(`void dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))`);
  await expectShown(page);
});

browserTest('a secret can be created and read with the keyboard alone', async (t) => {
  const { server, page } = await start(t);
  await page.goto(`${server.base}/`);
  await textBox(page, 'Secret').focus();
  await page.keyboard.insertText('typed');
  const stops = [
    page.getByLabel('Add files'),
    button(page, 'Make one up'),
    textBox(page, 'Phrase'),
    page.getByRole('combobox'),
    page.getByRole('checkbox'),
    button(page, 'Create link'),
  ];
  for (const stop of stops) {
    await page.keyboard.press('Tab');
    t.true(await isFocused(stop));
  }
  await page.keyboard.press('Enter');
  const link = await textBox(page, 'Your link is ready').inputValue();
  await page.keyboard.press('Tab');
  t.true(await isFocused(textBox(page, 'Your link is ready')));

  await page.goto(link);
  await page.locator('form .main:enabled').waitFor();
  for (const _stop of ['the name at the top', 'the link to sign in', 'the button']) await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  t.is(await textBox(page, 'Your secret').inputValue(), 'typed');
});

browserTest('a wrong phrase leaves the secret and shows the tries left; the right one opens it', async (t) => {
  const { server, page } = await start(t);
  await page.goto(`${server.base}/`);
  await textBox(page, 'Phrase').fill('blue bicycle');
  const link = await createLinkTo(page, 'hello');
  t.true(await page.getByText('Send them the phrase another way').isVisible());

  await page.goto(link);
  await textBox(page, 'Phrase').fill('red bicycle');
  await button(page, 'Show the secret').click();
  t.is(await messageOf(page), 'Wrong phrase, 9 tries left.');
  t.true(await isFocused(textBox(page, 'Phrase')));
  await page.keyboard.insertText('blue bicycle'); // replaces the wrong one, because the page has selected it
  t.is(await reveal(page), 'hello');
});

browserTest('a phrase that was copied with a blank gets a hint, on both pages', async (t) => {
  const { server, page } = await start(t);
  const { secret_key } = await server.create({ secret: 'hello', phrase: 'blue' });
  await page.goto(`${server.base}/secrets/${secret_key}`);
  await textBox(page, 'Phrase').fill('blue ');
  await button(page, 'Show the secret').click();
  t.regex(await messageOf(page), /^Wrong phrase, 9 tries left\. It begins or ends with a blank/);
  await textBox(page, 'Phrase').fill('red');
  await button(page, 'Show the secret').click();
  t.is(await messageOf(page, /8/), 'Wrong phrase, 8 tries left.');
  await page.goto(`${server.base}/`);
  const hint = page.getByText('It begins or ends with a blank');
  for (const [phrase, isHinted] of [
    ['blue', false],
    ['\u00a0blue', true],
    ['blue bicycle', false],
    ['blue ', true],
  ] as const) {
    await textBox(page, 'Phrase').fill(phrase);
    t.is(await hint.isVisible(), isHinted, phrase);
  }
});

browserTest('a browser without AbortSignal.timeout creates and reads', async (t) => {
  const { server, page } = await start(t);
  await page.addInitScript('delete AbortSignal.timeout');
  await page.goto(`${server.base}/`);
  await page.goto(await createLinkTo(page, 'hello'));
  t.is(await page.evaluate('typeof AbortSignal.timeout'), 'undefined');
  t.is(await reveal(page), 'hello');
});

browserTest('a browser that is too old is told so, sends nothing, and blames no network', async (t) => {
  const { server, page } = await start(t);
  const { secret_key } = await server.create({ secret: 'hello' });
  await page.addInitScript('delete globalThis.AbortController');
  for (const [path, name] of [
    [`/secrets/${secret_key}`, 'Show the secret'],
    ['/', 'Create link'],
  ] as const) {
    await page.goto(server.base + path);
    const posts = await decidePosts(page, () => 'pass');
    if (path === '/') await textBox(page, 'Secret').fill('hello');
    await button(page, name).click();
    t.regex(await messageOf(page), /too old/);
    t.true(await button(page, name).isEnabled());
    t.is(posts.length, 0);
  }
});

browserTest('text that runs from right to left is shown that way', async (t) => {
  const { server, page } = await start(t);
  const { secret_key } = await server.create({ secret: 'שלום', phrase: 'سلام' });
  const isRightToLeft = (field: Locator): Promise<boolean> => field.evaluate((element) => element.matches(':dir(rtl)'));
  await page.goto(`${server.base}/secrets/${secret_key}`);
  await textBox(page, 'Phrase').fill('سلام');
  t.true(await isRightToLeft(textBox(page, 'Phrase')));
  await reveal(page);
  t.true(await isRightToLeft(textBox(page, 'Your secret')));
  await page.goto(`${server.base}/`);
  for (const name of ['Secret', 'Phrase']) {
    t.false(await isRightToLeft(textBox(page, name)));
    await textBox(page, name).fill('שלום');
    t.true(await isRightToLeft(textBox(page, name)));
  }
});

browserTest('the sender who comes back to the page sees at once what became of the secret', async (t) => {
  for (const event of ["document.dispatchEvent(new Event('visibilitychange'))", "dispatchEvent(new Event('focus'))"]) {
    const { server, page } = await start(t);
    await stopTime(page);
    await page.goto(`${server.base}/`);
    const link = await createLinkTo(page, 'hello');
    await readElsewhere(server, link);
    t.is(await state(page, 'waiting').textContent(), 'Not read yet.');
    await page.evaluate(event); // time stands still: nothing else looks
    await state(page, 'read').waitFor();
  }
});

browserTest('a damaged link, a wrong path and a receipt have a page', async (t) => {
  const { server, page } = await start(t);
  const { secret_key, receipt_key } = await server.create({ secret: 'hello', receipt: true });
  await page.goto(`${server.base}//secrets/${secret_key}`);
  await button(page, 'Show the secret').waitFor();
  await page.goto(`${server.base}/secrets/${secret_key.slice(0, -1)}`);
  await expectGone(page);
  t.true(await page.getByText('The link can also be damaged').isVisible());
  await page.goto(`${server.base}/secret/${secret_key}`);
  await page.getByRole('heading', { name: 'There is no page here' }).waitFor();
  await page.goto(`${server.base}/receipts/${receipt_key}`);
  t.is(await page.locator('#state').textContent(), 'Not read yet');
  await server.post(`/secrets/${secret_key}`);
  await page.reload();
  t.is(await page.locator('#state').textContent(), 'The secret was read');
  await page.goto(`${server.base}/receipts/${receipt_key.slice(0, -1)}`);
  await page.getByRole('heading', { name: 'There is no receipt here' }).waitFor();
});

browserTest('an empty phrase is asked for before anything is sent', async (t) => {
  const { server, page } = await start(t);
  const { secret_key } = await server.create({ secret: 'hello', phrase: 'blue' });
  await page.goto(`${server.base}/secrets/${secret_key}`);
  const posts = await decidePosts(page, () => 'pass');
  await button(page, 'Show the secret').click();
  t.is(await messageOf(page), 'Type the phrase first.');
  t.true(await isFocused(textBox(page, 'Phrase')));
  t.is(await textBox(page, 'Phrase').getAttribute('aria-invalid'), 'true');
  t.is(posts.length, 0);
});

browserTest('after too many wrong phrases the page says when to try again', async (t) => {
  const { server, page } = await start(t);
  const { secret_key } = await server.create({ secret: 'hello', phrase: 'blue' });
  for (let tries = 0; tries < 9; tries++) await server.post(`/secrets/${secret_key}`, { phrase: 'red' });
  await page.goto(`${server.base}/secrets/${secret_key}`);
  await textBox(page, 'Phrase').fill('red');
  await button(page, 'Show the secret').click();
  t.regex(await messageOf(page), /^Wrong phrase, and no try is left/);
  await button(page, 'Show the secret').click();
  t.regex(await messageOf(page, /^Too many/), /Try again after .*\d{4}.*\d:\d\d/);
});

browserTest('an answer lost on its way is fetched again with the same Idempotency-Key', async (t) => {
  const { server, page } = await start(t);
  const { secret_key, receipt_key } = await server.create({ secret: 'hello', receipt: true });
  await page.goto(`${server.base}/secrets/${secret_key}`);
  const posts = await decidePosts(page, (count) => (count === 1 ? 'lose' : 'pass'));
  t.is(await reveal(page), 'hello');
  t.is(posts.length, 2);
  t.regex(posts[0]?.['idempotency-key'] ?? '', /^[\w-]{43}$/);
  t.is(posts[1]?.['idempotency-key'], posts[0]?.['idempotency-key']);
  t.like(await (await server.get(`/receipts/${receipt_key}`)).json(), { state: 'read', reads: 2 });
});

browserTest('if the connection stays away, a button tries again, still with the same key', async (t) => {
  const { server, page } = await start(t);
  const { secret_key } = await server.create({ secret: 'hello' });
  await page.clock.install();
  await page.goto(`${server.base}/secrets/${secret_key}`);
  let isLost = true;
  const away = { status: 502, body: '' };
  const posts = await decidePosts(page, (count) => (count === 1 ? 'lose' : isLost ? away : 'pass'));
  await button(page, 'Show the secret').click();
  await passTime(page, () => page.getByRole('status').filter({ hasText: 'Still waiting' }).isVisible());
  await passTime(page, () => button(page, 'Try again').isVisible());
  t.regex(await messageOf(page), /Stay on this page and try again at once/);
  t.true(posts.length > 2);
  isLost = false;
  t.is(await reveal(page, 'Try again'), 'hello');
  t.is(new Set(posts.map((headers) => headers['idempotency-key'])).size, 1);
});

browserTest('a lost answer that can no longer be fetched is not blamed on another reader', async (t) => {
  const { server, page } = await start(t);
  const { secret_key } = await server.create({ secret: 'hello' });
  await page.clock.install();
  await page.goto(`${server.base}/secrets/${secret_key}`);
  let isLost = true;
  await decidePosts(page, () => (isLost ? 'lose' : 'pass'));
  await button(page, 'Show the secret').click();
  await passTime(page, () => button(page, 'Try again').isVisible());
  isLost = false;
  server.clock.advance({ minutes: 1 });
  await button(page, 'Try again').click();
  await messageOf(page, /^The secret is gone/);
  t.false(await page.locator('form button').isVisible());
});

/** Lets the page's clock run fast until something is so. */
async function passTime(page: Page, isSo: () => Promise<boolean>): Promise<void> {
  for (let steps = 0; !(await isSo()); steps++) {
    if (steps > 500) throw new Error('it never was so');
    await page.clock.runFor(500);
    await sleep(20); // for what the page waits for outside of its clock
  }
}

browserTest('a page without a connection says that nothing was used up', async (t) => {
  const { server, page } = await start(t);
  const { secret_key } = await server.create({ secret: 'hello' });
  await page.goto(`${server.base}/secrets/${secret_key}`);
  await page.context().setOffline(true);
  await button(page, 'Show the secret').click();
  t.regex(await messageOf(page), /^No answer came, and nothing was used up/);
  await page.context().setOffline(false);
  t.is(await reveal(page), 'hello');
});

const BUSY = { status: 503, headers: { 'retry-after': '1' }, body: '{"Error": "Busy", "code": "BUSY"}' };

browserTest('a server that is busy for a moment is asked once more, when it said', async (t) => {
  const { server, page } = await start(t);
  const { secret_key } = await server.create({ secret: 'hello' });
  await page.goto(`${server.base}/secrets/${secret_key}`);
  const posts = await decidePosts(page, (count) => (count === 1 ? BUSY : 'pass'));
  t.is(await reveal(page), 'hello');
  t.is(posts.length, 2);
});

browserTest('a server that was busy is not blamed when another reader was faster', async (t) => {
  const { server, page } = await start(t);
  const { secret_key } = await server.create({ secret: 'hello' });
  await page.goto(`${server.base}/secrets/${secret_key}`);
  await decidePosts(page, (count) => (count <= 2 ? BUSY : 'pass'));
  await button(page, 'Show the secret').click();
  t.regex(await messageOf(page), /^The server cannot answer right now\. Nothing was used up/);
  await server.post(`/secrets/${secret_key}`);
  await button(page, 'Show the secret').click();
  await expectGone(page);
  t.pass();
});

browserTest('an answer that is not ours is no secret', async (t) => {
  const { server, page } = await start(t);
  const { secret_key } = await server.create({ secret: 'hello' });
  await page.goto(`${server.base}/secrets/${secret_key}`);
  const foreign = ['<h1>Welcome to the network of this hotel</h1>', '{"phrase": false}', ''];
  await decidePosts(page, (count) => {
    const body = foreign[count - 1];
    return body === undefined ? 'pass' : { status: 200, body };
  });
  for (const _answer of foreign) {
    await button(page, 'Show the secret').click();
    await page.getByRole('heading', { name: 'Something is wrong with this link' }).waitFor();
    await button(page, 'Try again').click();
  }
  t.is(await reveal(page), 'hello');
});

browserTest('a page that waited while another reader was faster says that the secret is gone', async (t) => {
  const { server, page } = await start(t);
  const { secret_key } = await server.create({ secret: 'hello' });
  await page.goto(`${server.base}/secrets/${secret_key}`);
  await server.post(`/secrets/${secret_key}`);
  await button(page, 'Show the secret').click();
  await expectGone(page);
  t.pass();
});

browserTest('markup in a secret is shown and copied as text, to the last byte', async (t) => {
  const { server, page } = await start(t);
  const secret = '\n<img src=x onerror="alert(1)"></textarea><script>alert(2)</script>\r\n&amp;\u202e 🔑\t ';
  const { secret_key } = await server.create({ secret });
  await page.goto(`${server.base}/secrets/${secret_key}`);
  t.is(await reveal(page), secret.replaceAll('\r\n', '\n')); // a field shows only one kind of line end
  t.is(await page.locator('main img, main script').count(), 0);
  await button(page, 'Copy').click();
  await page.getByText('Copied.').waitFor();
  t.is(await page.evaluate('navigator.clipboard.readText()'), secret);
});

browserTest('all of it works over plain HTTP, where browsers offer less', async (t) => {
  const { server } = await start(t, { env: { TRUSTED_PROXIES: '127.0.0.1' } }); // lets the name pass
  const base = `http://${PLAIN_HTTP_HOST}:${server.port}`;
  const page = await openPage(t, [base]);
  await page.goto(`${base}/`);
  t.is(await page.evaluate('isSecureContext || typeof navigator.clipboard'), 'undefined');
  const link = await createLinkTo(page, 'one\ntwo');
  t.true(link.startsWith(`${base}/secrets/`));
  await button(page, 'Copy').click();
  await page.getByText('Copied.').waitFor();

  const reader = await openPage(t, [server.base, base]);
  await reader.goto(`${server.base}/`);
  t.is(await reader.evaluate('navigator.clipboard.readText()'), link);
  await reader.goto(link);
  t.is(await reveal(reader), 'one\ntwo');
});

browserTest('the sender sees when the secret was read', async (t) => {
  const { server, page } = await start(t);
  await page.goto(`${server.base}/`);
  const link = await createLinkTo(page, 'hello');
  t.is(await state(page, 'waiting').textContent(), 'Not read yet.');
  await readElsewhere(server, link);
  t.regex((await state(page, 'read').textContent()) ?? '', /^Read: .*\d{4}/);
  t.false(await button(page, 'Burn it').isVisible());
});

browserTest('the sender can burn the secret, and create another', async (t) => {
  const { server, page } = await start(t);
  await page.goto(`${server.base}/`);
  const link = await createLinkTo(page, 'hello');
  await button(page, 'Burn it').click();
  await state(page, 'burned').waitFor();
  t.is((await server.post(new URL(link).pathname)).status, 404);

  await button(page, 'Create another').click();
  t.is(await textBox(page, 'Secret').inputValue(), '');
  const second = await createLinkTo(page, 'another');
  t.not(second, link);
  t.is(await state(page, 'waiting').textContent(), 'Not read yet.');
});

browserTest('links begin with PUBLIC_URL if it is set, character for character', async (t) => {
  const publicUrl = `https://secrets.example/"><img/src=x>&amp;`;
  const { server, page } = await start(t, { env: { PUBLIC_URL: publicUrl } });
  await page.goto(`${server.base}/`);
  t.true((await createLinkTo(page, 'hello')).startsWith(`${publicUrl}/secrets/`));
});

browserTest('the choice of lifetimes ends at the longest that the server allows', async (t) => {
  const { server, page } = await start(t, { env: { SECRET_TTL_MAX_SECONDS: String(2 * 86_400 + 3 * 3_600 + 119) } });
  await page.goto(`${server.base}/`);
  const choices = await page.getByRole('combobox').locator('option').allTextContents();
  t.deepEqual(choices, ['10 minutes', '1 hour', '12 hours', '1 day', '2 days 3 hours 1 minute']);
  await page.getByRole('combobox').selectOption('1 hour');
  const link = await createLinkTo(page, 'hello');
  server.clock.advance({ minutes: 59 });
  t.is((await server.get(new URL(link).pathname)).status, 200);
  server.clock.advance({ minutes: 1 });
  t.is((await server.get(new URL(link).pathname)).status, 404);
});

browserTest('a lifetime of seven days is chosen unless the user of the page chooses', async (t) => {
  const { server, page } = await start(t, { env: { SECRET_TTL_MAX_SECONDS: '31536000' } });
  await page.goto(`${server.base}/`);
  t.is(await page.getByRole('combobox').locator('option:checked').textContent(), '7 days');
});

browserTest('a secret that is too long for the server is refused before it is sent', async (t) => {
  const { server, page } = await start(t, { env: { SECRET_MAX_BYTES: '5' } });
  await page.goto(`${server.base}/`);
  const posts = await decidePosts(page, () => 'pass');
  await textBox(page, 'Secret').fill('ééé');
  await button(page, 'Create link').click();
  t.is(await messageOf(page), 'This is too long: 6 bytes of at most 5 bytes.');
  t.is(posts.length, 0);
  t.truthy(await createLinkTo(page, 'éé!'));
});

browserTest('a wrong token is reported and what was typed stays; the right one creates', async (t) => {
  const { server, page } = await start(t, { env: { CREATE_TOKEN: 'a-token-of-the-staff' } });
  await page.goto(`${server.base}/`);
  await textBox(page, 'Secret').fill('hello');
  await page.getByLabel('Token').fill('a-token-of-a-guest');
  await button(page, 'Create link').click();
  t.truthy(await messageOf(page));
  t.is(await textBox(page, 'Secret').inputValue(), 'hello');
  await page.getByLabel('Token').fill('a-token-of-the-staff');
  t.truthy(await createLink(page));
});

browserTest('pages work behind a proxy that gives the service a path of its own', async (t) => {
  const { server } = await start(t);
  const port = await startPassingProxy(t, { port: server.port, prefix: '/box' });
  const base = `http://127.0.0.1:${port}/box`;
  const page = await openPage(t, [base]);

  await page.goto(`${base}/`);
  const link = await createLinkTo(page, 'hello');
  t.true(link.startsWith(`${base}/secrets/`));
  await page.goto(link.replace('#', '/#'));
  t.is(await reveal(page), 'hello');
  t.is(page.url(), `${base}/secrets/read`);
});

browserTest(
  'pages work behind a proxy that rewrites Host, in browsers with Sec-Fetch-Site and without, if PUBLIC_URL is set',
  async (t) => {
    const proxy = createServer();
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    t.teardown(() => proxy.close().closeAllConnections());
    const base = `http://localhost:${(proxy.address() as AddressInfo).port}`;
    const { server } = await start(t, { env: { PUBLIC_URL: base } });
    let isOld = false;
    proxy.on('request', (incoming, outgoing) => {
      const headers = { ...incoming.headers, host: `127.0.0.1:${server.port}` };
      if (isOld) delete headers['sec-fetch-site'];
      const { method, url: path } = incoming;
      const forwarded = sendRequest({ port: server.port, path, method, headers }, (answer) => {
        outgoing.writeHead(answer.statusCode as number, answer.headers);
        answer.pipe(outgoing);
      });
      forwarded.on('error', () => outgoing.destroy());
      incoming.pipe(forwarded);
    });
    for (isOld of [false, true]) {
      const page = await openPage(t, [base]);
      await page.goto(`${base}/`);
      const link = await createLinkTo(page, 'hello');
      t.true(link.startsWith(`${base}/secrets/`));
      await button(page, 'Burn it').click();
      await state(page, 'burned').waitFor();
      await button(page, 'Create another').click();
      await page.goto(await createLinkTo(page, 'another'));
      t.is(await reveal(page), 'another');
    }
  },
);

browserTest(
  'a page of another website can neither create, nor read, nor burn, unless CORS_ORIGINS lists it',
  async (t) => {
    const other = createServer((_request, response) =>
      response.setHeader('content-type', 'text/html').end('<title>x</title>'),
    );
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    t.teardown(() => other.close().closeAllConnections());
    const origin = `http://localhost:${(other.address() as AddressInfo).port}`;
    for (const isListed of [false, true]) {
      const { server } = await start(t, { env: isListed ? { CORS_ORIGINS: origin } : {} });
      const { secret_key, receipt_key } = await server.create({ secret: 'hello', receipt: true });
      const page = await openPage(t, [origin, server.base]);
      page.removeAllListeners('console'); // Chromium writes there what CORS refuses
      await page.goto(origin);
      const ask = (method: string, path: string, headers = {}): Promise<unknown> =>
        page.evaluate(
          async ({ address, ...request }) => {
            const simple = { ...request, mode: 'no-cors' as const };
            const isSimple = Object.keys(request.headers).length === 0 && request.method === 'POST';
            if (isSimple) await fetch(address, simple);
            return fetch(address, request).then(
              async (response) => `${response.status} ${await response.text()}`,
              () => 'refused',
            );
          },
          { address: server.base + path, method, headers },
        );
      if (!isListed) {
        for (const method of ['POST', 'DELETE', 'PUT']) t.is(await ask(method, `/secrets/${secret_key}`), 'refused');
        t.is(await ask('DELETE', `/receipts/${receipt_key}`), 'refused');
        t.like(await (await server.get(`/receipts/${receipt_key}`)).json(), { state: 'waiting' });
      } else {
        const headers = { 'idempotency-key': 'made-for-this-one-read-1', authorization: 'Bearer x' };
        t.is(await ask('POST', `/secrets/${secret_key}`, headers), '200 {"secret":"hello"}');
        t.regex(String(await ask('GET', `/receipts/${receipt_key}`)), /^200 .*"read"/);
        t.regex(String(await ask('DELETE', `/receipts/${receipt_key}`)), /^409 /);
      }
    }
  },
);

browserTest('without JavaScript a sentence shows another way, and no form can send what is typed', async (t) => {
  const { server, page } = await start(t, {}, { javaScriptEnabled: false });
  const { secret_key } = await server.create({ secret: 'hello', phrase: 'blue' });
  for (const path of ['/', `/secrets/${secret_key}`]) {
    await page.goto(server.base + path);
    await noScript(page).waitFor();
    t.regex((await noScript(page).textContent()) ?? '', /curl ADDRESS/);
    t.false(await page.locator('form').isVisible());
    t.is(await page.locator('[name]:not(meta)').count(), 0);
  }
});

browserTest('the pages fit a narrow screen', async (t) => {
  const narrow = { viewport: { width: 320, height: 640 }, deviceScaleFactor: 1, isMobile: true };
  const { server, page } = await start(t, {}, narrow);
  const { secret_key } = await server.create({ secret: 'x'.repeat(500) });
  const isFitting = 'document.documentElement.scrollWidth <= 320';
  await page.goto(`${server.base}/secrets/${secret_key}`);
  t.true(await page.evaluate(isFitting));
  await reveal(page);
  t.true(await page.evaluate(isFitting));
  await page.goto(`${server.base}/`);
  t.true(await page.evaluate(isFitting));
  await createLinkTo(page, 'hello');
  t.true(await page.evaluate(isFitting));
});
