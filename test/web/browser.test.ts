import { createServer, request as sendRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import test, { type ExecutionContext, type TestFn } from 'ava';
import { type Browser, chromiumPath, type Page, PLAIN_HTTP_HOST, startBrowser } from '../support/browser/browser.ts';
import { startServer, type TestServer, type TestServerOptions } from '../support/http/server.ts';
import { ENGINES } from '../support/storage/storage.ts';

const [sqlite] = ENGINES;
// One after the other: they share the clipboard. Without a Chromium, visible skips.
const browserTest = (chromiumPath ? test.serial : test.serial.skip) as TestFn;
let browser: Browser;

test.before(async () => {
  if (chromiumPath) browser = await startBrowser();
});
test.after.always(() => browser?.close());

type Scene = { server: TestServer; page: Page };

async function start(t: ExecutionContext, options: Omit<TestServerOptions, 'place'> = {}): Promise<Scene> {
  if (!sqlite) throw new TypeError('no engine');
  return { server: await startServer(t, { place: await sqlite.place(t), ...options }), page: await browser.newPage() };
}

const isShown = (selector: string): string => `document.querySelector('${selector}')?.checkVisibility()`;
const valueIn = (selector: string): string => `document.querySelector('${selector}').value`;
const textIn = (selector: string): string => `document.querySelector('${selector}').textContent`;

async function createLink(page: Page, secret: string): Promise<string> {
  await page.type('#secret', secret);
  await page.click('form button');
  await page.until(isShown('#created'));
  return page.evaluate(valueIn('#link'));
}

/** The text that the page shows as the secret. */
async function reveal(page: Page): Promise<string> {
  await page.click('form button');
  await page.until(isShown('#shown'));
  return page.evaluate(valueIn('#secret'));
}

async function messageOf(page: Page): Promise<string> {
  await page.until(`${textIn('#message')} !== ''`);
  return page.evaluate(textIn('#message'));
}

browserTest('a secret goes from one page to another once, and the link leaves the address bar', async (t) => {
  const { server, page } = await start(t);
  await page.open(`${server.base}/`);
  t.false(await page.evaluate(isShown('.no-script')));
  const link = await createLink(page, 'correct horse\nbattery staple');
  t.true(link.startsWith(`${server.base}/secrets/`));

  const reader = await browser.newPage();
  await reader.open(link);
  t.false(await reader.evaluate(isShown('.no-script')));
  t.is(await reveal(reader), 'correct horse\nbattery staple');
  t.is(await reader.evaluate('location.href'), `${server.base}/secrets/read`);
  t.is(await reader.evaluate('document.activeElement.id'), 'shown-title');

  await page.open(link);
  t.is(await page.evaluate(textIn('h1')), 'There is no secret here');
  await reader.send('Page.reload');
  await reader.until(`${textIn('h1')} === 'There is no secret here'`);
  t.deepEqual([...page.complaints, ...reader.complaints], []);
});

browserTest('the Back button does not bring a secret back', async (t) => {
  const { server, page } = await start(t);
  const { secret_key } = await server.create({ secret: 'hello' });
  await page.open(`${server.base}/secrets/${secret_key}`);
  await reveal(page);
  await page.open(`${server.base}/`);
  await page.evaluate('void setTimeout(() => history.back())'); // later: first this must be answered
  await page.until(`${textIn('h1')} === 'There is no secret here'`);
  t.false(await page.evaluate(`document.documentElement.outerHTML.includes('hello')`));
});

browserTest('a browser that keeps the page when it is left keeps no secret in it', async (t) => {
  const { server, page } = await start(t);
  const { secret_key } = await server.create({ secret: 'hello' });
  await page.open(`${server.base}/secrets/${secret_key}`);
  await reveal(page);
  // What such a browser tells the page: Chromium keeps none whose answers say no-store.
  await page.evaluate(`dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }))`);
  t.is(await page.evaluate(valueIn('#secret')), '');
  await page.evaluate(`void dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))`);
  await page.until(`${textIn('h1')} === 'There is no secret here'`);
});

browserTest('a secret can be created and read by keyboard alone', async (t) => {
  const { server, page } = await start(t);
  await page.open(`${server.base}/`);
  await page.type('#secret', 'typed');
  for (const id of ['phrase', 'lifetime']) {
    await page.press('Tab');
    t.is(await page.evaluate('document.activeElement.id'), id);
  }
  await page.press('Tab');
  await page.press('Enter');
  await page.until(isShown('#created'));
  await page.press('Tab');
  t.is(await page.evaluate('document.activeElement.id'), 'link');

  await page.open(await page.evaluate(valueIn('#link')));
  for (const _stop of ['the name at the top', 'the button']) await page.press('Tab');
  await page.press('Enter');
  await page.until(isShown('#shown'));
  t.is(await page.evaluate(valueIn('#secret')), 'typed');
});

browserTest('a wrong phrase leaves the secret and tells the tries left; the right one opens it', async (t) => {
  const { server, page } = await start(t);
  await page.open(`${server.base}/`);
  await page.type('#phrase', 'blue bicycle');
  const link = await createLink(page, 'hello');
  t.true(await page.evaluate(isShown('#phrase-reminder')));

  await page.open(link);
  await page.type('#phrase', 'red bicycle');
  await page.click('form button');
  t.is(await messageOf(page), 'Wrong phrase: 9 tries are left.');
  t.is(await page.evaluate('document.activeElement.id'), 'phrase');
  await page.type('#phrase', 'blue bicycle'); // what was wrong is selected, and so replaced
  t.is(await reveal(page), 'hello');
  t.deepEqual(page.complaints, []);
});

browserTest('an empty phrase is asked for before anything is sent', async (t) => {
  const { server, page } = await start(t);
  const { secret_key } = await server.create({ secret: 'hello', phrase: 'blue' });
  await page.open(`${server.base}/secrets/${secret_key}`);
  const posts = await page.decidePosts(() => 'pass');
  await page.click('form button');
  t.true(await page.evaluate(`document.querySelector('#phrase').matches(':user-invalid')`));
  t.is(posts.length, 0);
});

browserTest('after too many wrong phrases the page tells when to try again', async (t) => {
  const { server, page } = await start(t);
  const { secret_key } = await server.create({ secret: 'hello', phrase: 'blue' });
  for (let tries = 0; tries < 9; tries++) await server.post(`/secrets/${secret_key}`, { phrase: 'red' });
  await page.open(`${server.base}/secrets/${secret_key}`);
  await page.type('#phrase', 'red');
  await page.click('form button');
  t.regex(await messageOf(page), /^Wrong phrase, and no try is left/);
  await page.click('form button');
  await page.until(`${textIn('#message')}.startsWith('Too many')`);
  t.regex(await page.evaluate(textIn('#message')), /Try again after .*\d{4}.*\d:\d\d/);
});

browserTest('an answer lost on its way is fetched again with the same Idempotency-Key', async (t) => {
  const { server, page } = await start(t);
  const { secret_key, receipt_key } = await server.create({ secret: 'hello', receipt: true });
  await page.open(`${server.base}/secrets/${secret_key}`);
  const posts = await page.decidePosts((count) => (count === 1 ? 'lose' : 'pass'));
  t.is(await reveal(page), 'hello');
  t.is(posts.length, 2);
  t.regex(posts[0]?.['idempotency-key'] ?? '', /^[0-9a-f]{64}$/);
  t.is(posts[1]?.['idempotency-key'], posts[0]?.['idempotency-key']);
  t.like(await (await server.get(`/receipts/${receipt_key}`)).json(), { state: 'read', reads: 2 });
});

browserTest('where the second answer is lost too, a button tries again, still with the same key', async (t) => {
  const { server, page } = await start(t);
  const { secret_key } = await server.create({ secret: 'hello' });
  await page.open(`${server.base}/secrets/${secret_key}`);
  const posts = await page.decidePosts((count) => (count <= 2 ? 'lose' : 'pass'));
  await page.click('form button');
  t.regex(await messageOf(page), /try again/);
  t.is(posts.length, 2);
  t.is(await page.evaluate(textIn('form button')), 'Try again');
  t.is(await reveal(page), 'hello');
  t.is(new Set(posts.map((headers) => headers['idempotency-key'])).size, 1);
});

browserTest('a lost answer that came too late to be had again is not blamed on another reader', async (t) => {
  const { server, page } = await start(t);
  const { secret_key } = await server.create({ secret: 'hello' });
  await page.open(`${server.base}/secrets/${secret_key}`);
  await page.decidePosts((count) => (count <= 2 ? 'lose' : 'pass'));
  await page.click('form button');
  await messageOf(page);
  server.clock.advance({ minutes: 1 });
  await page.click('form button');
  await page.until(`${textIn('#message')}.startsWith('The secret is gone')`);
  t.false(await page.evaluate(isShown('form button')));
});

browserTest('a server that is busy for a moment is asked once more when it said', async (t) => {
  const { server, page } = await start(t);
  const { secret_key } = await server.create({ secret: 'hello' });
  await page.open(`${server.base}/secrets/${secret_key}`);
  const busy = { status: 503, headers: { 'retry-after': '1' }, body: '{"Error": "Busy", "code": "BUSY"}' };
  const posts = await page.decidePosts((count) => (count === 1 ? busy : 'pass'));
  t.is(await reveal(page), 'hello');
  t.is(posts.length, 2);
});

browserTest('a server that was busy is not to blame when somebody else was faster', async (t) => {
  const { server, page } = await start(t);
  const { secret_key } = await server.create({ secret: 'hello' });
  await page.open(`${server.base}/secrets/${secret_key}`);
  const busy = { status: 503, headers: { 'retry-after': '1' }, body: '{"Error": "Busy", "code": "BUSY"}' };
  await page.decidePosts((count) => (count <= 2 ? busy : 'pass'));
  await page.click('form button');
  await messageOf(page);
  await server.post(`/secrets/${secret_key}`);
  await page.click('form button');
  await page.until(`${textIn('h1')} === 'There is no secret here'`);
  t.deepEqual(page.complaints, []);
});

browserTest('an answer that is not ours is no secret', async (t) => {
  const { server, page } = await start(t);
  const { secret_key } = await server.create({ secret: 'hello' });
  await page.open(`${server.base}/secrets/${secret_key}`);
  const foreign = ['<h1>Bad gateway</h1>', '{"phrase": false}', ''];
  await page.decidePosts((count) => {
    const body = foreign[count - 1];
    return body === undefined ? 'pass' : { status: 200, body };
  });
  await page.click('form button');
  t.regex(await messageOf(page), /^No answer came/);
  t.is(await reveal(page), 'hello');
});

browserTest('a page that waited while somebody else read the secret says that it is gone', async (t) => {
  const { server, page } = await start(t);
  const { secret_key } = await server.create({ secret: 'hello' });
  await page.open(`${server.base}/secrets/${secret_key}`);
  await server.post(`/secrets/${secret_key}`);
  await page.click('form button');
  await page.until(`${textIn('h1')} === 'There is no secret here'`);
  t.deepEqual(page.complaints, []);
});

browserTest('markup in a secret is text, and so it is copied, to the last byte', async (t) => {
  const { server, page } = await start(t);
  const secret = '\n<img src=x onerror="alert(1)"></textarea><script>alert(2)</script>\r\n&amp;\u202e 🔑\t ';
  const { secret_key } = await server.create({ secret });
  await page.open(`${server.base}/secrets/${secret_key}`);
  t.is(await reveal(page), secret.replaceAll('\r\n', '\n')); // a field shows but one kind of line end
  t.is(await page.evaluate(`document.querySelectorAll('main img, main script').length`), 0);
  await page.click('#copy');
  await page.until(`${textIn('#copy-note')} === 'Copied.'`);
  t.is(await page.evaluate('navigator.clipboard.readText()'), secret);
  t.deepEqual(page.complaints, []);
});

browserTest('all of it works over plain HTTP, where browsers offer less', async (t) => {
  const { server, page } = await start(t);
  const base = `http://${PLAIN_HTTP_HOST}:${server.port}`;
  await page.open(`${base}/`);
  t.is(await page.evaluate('isSecureContext || typeof navigator.clipboard'), 'undefined');
  const link = await createLink(page, 'one\ntwo');
  t.true(link.startsWith(`${base}/secrets/`));
  await page.click('#copy');
  await page.until(`${textIn('#copy-note')} === 'Copied.'`);

  const reader = await browser.newPage();
  await reader.open(`${server.base}/`);
  t.is(await reader.evaluate('navigator.clipboard.readText()'), link);
  await reader.open(link);
  t.is(await reveal(reader), 'one\ntwo');
  t.deepEqual([...page.complaints, ...reader.complaints], []);
});

browserTest('the sender sees when the secret was read', async (t) => {
  const { server, page } = await start(t);
  await page.open(`${server.base}/`);
  const link = await createLink(page, 'hello');
  t.is(await page.evaluate(textIn('#state')), 'Not read yet.');
  await server.post(new URL(link).pathname);
  await page.until(`document.querySelector('#state').dataset.state === 'read'`);
  t.regex(await page.evaluate(textIn('#state')), /^Read: .*\d{4}/);
  t.false(await page.evaluate(isShown('#burn')));
});

browserTest('the sender can burn the secret, and create another', async (t) => {
  const { server, page } = await start(t);
  await page.open(`${server.base}/`);
  const link = await createLink(page, 'hello');
  await page.click('#burn');
  await page.until(`document.querySelector('#state').dataset.state === 'burned'`);
  t.is((await server.post(new URL(link).pathname)).status, 404);

  await page.click('#another');
  await page.until(isShown('#new'));
  t.is(await page.evaluate(valueIn('#secret')), '');
  const second = await createLink(page, 'another');
  t.not(second, link);
  t.is(await page.evaluate(textIn('#state')), 'Not read yet.');
  t.deepEqual(page.complaints, []);
});

browserTest('links are built on PUBLIC_URL where it is set, character for character', async (t) => {
  const publicUrl = `https://secrets.example/"><img/src=x>&amp;`;
  const { server, page } = await start(t, { env: { PUBLIC_URL: publicUrl } });
  await page.open(`${server.base}/`);
  t.true((await createLink(page, 'hello')).startsWith(`${publicUrl}/secrets/`));
  t.deepEqual(page.complaints, []);
});

browserTest('the lifetimes to choose from end at the longest that the server allows', async (t) => {
  const { server, page } = await start(t, {
    env: { SECRET_TTL_MAX_SECONDS: String(2 * 86_400 + 3 * 3_600 + 119) },
  });
  await page.open(`${server.base}/`);
  const choices = `[...document.querySelector('#lifetime').options].map((option) => option.text)`;
  t.deepEqual(await page.evaluate(choices), ['10 minutes', '1 hour', '12 hours', '1 day', '2 days 3 hours 1 minute']);
  await page.evaluate(`document.querySelector('#lifetime').selectedIndex = 1`);
  const link = await createLink(page, 'hello');
  server.clock.advance({ minutes: 59 });
  t.is((await server.get(new URL(link).pathname)).status, 200);
  server.clock.advance({ minutes: 1 });
  t.is((await server.get(new URL(link).pathname)).status, 404);
});

browserTest('a lifetime of seven days is chosen unless the reader of the page chooses', async (t) => {
  const { server, page } = await start(t, { env: { SECRET_TTL_MAX_SECONDS: '31536000' } });
  await page.open(`${server.base}/`);
  t.is(await page.evaluate(`document.querySelector('#lifetime').selectedOptions[0].text`), '7 days');
});

browserTest('a secret too long for the server is refused before it is sent', async (t) => {
  const { server, page } = await start(t, { env: { SECRET_MAX_BYTES: '5' } });
  await page.open(`${server.base}/`);
  const posts = await page.decidePosts(() => 'pass');
  await page.type('#secret', 'ééé');
  await page.click('form button');
  t.regex(await page.evaluate(`document.querySelector('#secret').validationMessage`), /5 bytes/);
  t.is(posts.length, 0);
  await page.evaluate(`document.querySelector('#secret').value = ''`);
  t.truthy(await createLink(page, 'éé!'));
});

browserTest('a wrong token is told, and what was typed stays; the right one creates', async (t) => {
  const { server, page } = await start(t, { env: { CREATE_TOKEN: 'a-token-of-the-staff' } });
  await page.open(`${server.base}/`);
  await page.type('#secret', 'hello');
  await page.type('#token', 'a-token-of-a-guest');
  await page.click('form button');
  t.truthy(await messageOf(page));
  t.is(await page.evaluate(valueIn('#secret')), 'hello');
  await page.evaluate(`document.querySelector('#token').value = ''`);
  await page.type('#token', 'a-token-of-the-staff');
  t.truthy(await createLink(page, ''));
  t.deepEqual(page.complaints, []);
});

browserTest('pages work behind a proxy that gives the service a path of its own', async (t) => {
  const { server, page } = await start(t);
  const proxy = createServer((incoming, outgoing) => {
    const { method, headers } = incoming;
    const options = { port: server.port, path: incoming.url?.replace(/^\/box(?=\/)/, ''), method, headers };
    const forwarded = sendRequest(options, (answer) => {
      outgoing.writeHead(answer.statusCode as number, answer.headers);
      answer.pipe(outgoing);
    });
    forwarded.on('error', () => outgoing.destroy());
    incoming.pipe(forwarded);
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  t.teardown(() => proxy.close().closeAllConnections());
  const base = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}/box`;

  await page.open(`${base}/`);
  const link = await createLink(page, 'hello');
  t.true(link.startsWith(`${base}/secrets/`));
  await page.open(`${link}/`);
  t.is(await reveal(page), 'hello');
  t.is(await page.evaluate('location.href'), `${base}/secrets/read`);
  t.deepEqual(page.complaints, []);
});

browserTest('without JavaScript a sentence tells another way, and no form can send what is typed', async (t) => {
  const { server, page } = await start(t);
  const { secret_key } = await server.create({ secret: 'hello', phrase: 'blue' });
  await page.send('Emulation.setScriptExecutionDisabled', { value: true });
  for (const path of ['/', `/secrets/${secret_key}`]) {
    await page.open(server.base + path);
    await page.until(isShown('.no-script'));
    t.regex(await page.evaluate(textIn('.no-script')), /curl ADDRESS/);
    t.false(await page.evaluate(isShown('form')));
    t.is(await page.evaluate(`document.querySelectorAll('[name]:not(meta)').length`), 0);
  }
});

browserTest('what the page of a link holds fits a narrow screen', async (t) => {
  const { server, page } = await start(t);
  await page.send('Emulation.setDeviceMetricsOverride', {
    width: 320,
    height: 640,
    deviceScaleFactor: 1,
    mobile: true,
  });
  const { secret_key } = await server.create({ secret: 'x'.repeat(500) });
  const isFitting = 'document.documentElement.scrollWidth <= 320';
  await page.open(`${server.base}/secrets/${secret_key}`);
  t.true(await page.evaluate(isFitting));
  await reveal(page);
  t.true(await page.evaluate(isFitting));
  await page.open(`${server.base}/`);
  t.true(await page.evaluate(isFitting));
  await createLink(page, 'hello');
  t.true(await page.evaluate(isFitting));
});
