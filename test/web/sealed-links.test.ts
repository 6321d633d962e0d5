import { readFileSync } from 'node:fs';
import type { ExecutionContext } from 'ava';
import type { Context } from 'koa';
import type { BrowserContextOptions, Locator, Page } from 'playwright-core';
import { Hushbox } from '../../client/hushbox.ts';
import { AppError } from '../../src/errors.ts';
import { createWeb } from '../../src/web/routes.ts';
import {
  browserTest,
  decidePosts,
  holdDigests,
  openPage,
  PLAIN_HTTP_HOST,
  stopTime,
  untilTrue,
  watchNetwork,
} from '../support/browser/browser.ts';
import { startCuttingProxy } from '../support/http/cutting-proxy.ts';
import { startServer, type TestServer, type TestServerOptions } from '../support/http/server.ts';
import { SQLITE } from '../support/storage/storage.ts';

// Links with a key after the #, in a real browser: what opens, what does not, and what it uses up.

type Scene = { server: TestServer; page: Page; hushbox: Hushbox };

async function start(
  t: ExecutionContext,
  options: Omit<TestServerOptions, 'place'> = {},
  view: BrowserContextOptions = {},
): Promise<Scene> {
  const server = await startServer(t, { place: await SQLITE.place(t), ...options });
  return { server, page: await openPage(t, [server.base], view), hushbox: new Hushbox(server.base) };
}

const SECRET = 'correct horse battery staple';
const button = (page: Page, name: string): Locator => page.getByRole('button', { name });
const shown = (page: Page): Locator => page.getByRole('textbox', { name: 'Your secret' });
const expectTitle = (page: Page, name: string): Promise<void> => page.getByRole('heading', { name }).waitFor();

async function reveal(page: Page): Promise<string> {
  await button(page, 'Show the secret').click();
  return shown(page).inputValue();
}

/** Another character of base64url in this place. */
function change(text: string, at: number): string {
  return text.slice(0, at) + (text[at] === 'A' ? 'B' : 'A') + text.slice(at + 1);
}

browserTest('neither content nor key is in anything that the browser sends, creating and opening', async (t) => {
  const { server, page } = await start(t);
  const sent = await watchNetwork(page);
  const received: Promise<string>[] = [];
  page.on('response', (response) => received.push(response.text().catch(() => '')));
  await page.goto(`${server.base}/`);
  await page.getByRole('textbox', { name: 'Secret' }).fill(SECRET);
  const file = { name: 'notes-of-the-board.txt', mimeType: 'text/plain', buffer: Buffer.from('zebra crossing') };
  await page.locator('input[type=file]').setInputFiles(file);
  await button(page, 'Create link').click();
  const link = await page.getByRole('textbox', { name: 'Your link is ready' }).inputValue();
  const key = new URL(link).hash.slice(1);
  t.regex(key, /^[\w-]{43}$/);
  await page.goto(link);
  t.is(await reveal(page), SECRET);
  await page.getByText('notes-of-the-board.txt').waitFor();
  const log = [...sent, ...(await Promise.all(received))].join('\n');
  t.true(sent.filter((line) => line.includes('/secrets/')).length >= 3);
  t.true(log.includes('"sealed":true'), 'bodies are seen');
  for (const hidden of [
    SECRET,
    key,
    'notes-of-the-board',
    'zebra crossing',
    Buffer.from(SECRET).toString('base64url'),
  ]) {
    t.false(log.includes(hidden), hidden);
  }
  t.is(page.url(), `${server.base}/secrets/read`);
});

browserTest('a spoilt link uses nothing up, and the right one opens in the same tab', async (t) => {
  const { server, page, hushbox } = await start(t);
  const { link, receiptKey = '' } = await hushbox.send(SECRET, { receipt: true });
  const { pathname, hash } = new URL(link);
  const spoilt = ['', '#', hash.slice(0, -1), `${hash}A`, change(hash, 1), change(hash, 20), hash.toLowerCase()];
  const posts = await decidePosts(page, () => 'pass');
  for (const fragment of spoilt) {
    await page.goto('about:blank');
    await page.goto(server.base + pathname + fragment);
    await expectTitle(page, 'This link is not complete');
    t.true(await page.getByText('Nothing was used up: the secret is still waiting.').isVisible(), fragment);
    t.false(await button(page, 'Show the secret').isVisible());
  }
  t.is(posts.length, 0);
  t.like(await hushbox.receipt(receiptKey), { state: 'waiting', reads: 0, wrongTries: 0 });
  await page.evaluate(`location.assign('${hash}')`); // nothing is loaded again
  t.is(await reveal(page), SECRET);
});

browserTest('a right link that is changed in the same tab no longer opens', async (t) => {
  const { page, hushbox } = await start(t);
  const { link } = await hushbox.send(SECRET);
  await page.goto(link);
  await page.locator('form .main:enabled').waitFor();
  await page.evaluate(`location.assign('#nothing')`);
  await expectTitle(page, 'This link is not complete');
  await page.goBack();
  t.is(await reveal(page), SECRET);
});

browserTest('a check that ends late says nothing of the link that came after', async (t) => {
  const { page, hushbox } = await start(t);
  const { link } = await hushbox.send(SECRET);
  const letGo = await holdDigests(page);
  await page.goto(link);
  await page.evaluate(`location.assign('#nothing')`);
  await expectTitle(page, 'This link is not complete');
  await letGo();
  t.false(await button(page, 'Show the secret').isVisible());
});

browserTest('a %23 is put right, with a word that the server has seen the key', async (t) => {
  const { page, hushbox } = await start(t);
  for (const escaped of ['%23', '%2523']) {
    const { link } = await hushbox.send(SECRET);
    await page.goto(link.replace('#', escaped));
    await page.getByText('the server has seen the key').waitFor();
    t.is(page.url(), link);
    t.is(await reveal(page), SECRET);
  }
  const { link } = await hushbox.send(SECRET);
  await page.goto(link);
  await button(page, 'Show the secret').waitFor();
  t.false(await page.getByText('the server has seen the key').isVisible());
});

browserTest('a part after the # that is for something sealed never opens what is not', async (t) => {
  const { server, page, hushbox } = await start(t);
  const { link, receiptKey = '' } = await hushbox.send(SECRET, { plain: true, receipt: true });
  const posts = await decidePosts(page, () => 'pass');
  await page.goto(`${link}#${'A'.repeat(43)}`);
  await expectTitle(page, 'Something is wrong with this link');
  t.is(posts.length, 0);
  t.like(await hushbox.receipt(receiptKey), { state: 'waiting' });
  await page.goto(`${server.base}/`);
  await page.goto(link);
  t.is(await reveal(page), SECRET);
});

browserTest('a server that lies gets no phrase and shows nothing', async (t) => {
  const { server, page, hushbox } = await start(t);
  const lies: ((answer: Record<string, unknown>) => Record<string, unknown>)[] = [
    ({ sealed: _sealed, ...others }) => others,
    ({ sealed, ...others }) => ({ ...others, sealed: { ...Object(sealed), kid: 'A'.repeat(43) } }),
    ({ sealed }) => ({ secret: 'send the money to this account', sealed }),
    () => ({ secret: 'send the money to this account' }),
  ];
  for (const lie of lies) {
    for (const method of ['GET', 'POST']) {
      const { link } = await hushbox.send(SECRET, { phrase: 'blue' });
      await page.goto(link);
      let phrases = 0;
      await page.route(`${server.base}/secrets/**`, async (route, request) => {
        if (request.postData()?.includes('blue')) phrases += 1;
        if (request.method() !== method) return route.continue();
        const answer = await route.fetch();
        return route.fulfill({ response: answer, json: lie(await answer.json()) });
      });
      await page.getByRole('textbox', { name: 'Phrase' }).fill('blue');
      await button(page, 'Show the secret').click();
      await page
        .getByRole('heading', { name: /^(Something is wrong with|This link is not complete|Your secret)/ })
        .waitFor();
      t.false((await page.content()).includes('money'));
      if (method === 'GET' && (await shown(page).isVisible())) t.is(await shown(page).inputValue(), SECRET);
      else t.is(phrases, method === 'GET' ? 0 : 1);
      await page.unrouteAll({ behavior: 'wait' });
    }
  }
});

browserTest('an answer that is cut in the middle is fetched again, whole', async (t) => {
  const { server, hushbox } = await start(t);
  const secret = 'x'.repeat(40_000);
  const { link, receiptKey = '' } = await hushbox.send(secret, { receipt: true });
  const proxy = await startCuttingProxy(t, { port: server.port, cuts: 2, afterBytes: 20_000 });
  const page = await openPage(t, [proxy.base]);
  await page.goto(link.replace(server.base, proxy.base));
  t.is(await reveal(page), secret);
  t.is(proxy.cut(), 2);
  t.like(await hushbox.receipt(receiptKey), { state: 'read', reads: 3 });
});

browserTest('when all answers are cut off, the page says what is lost, and blames nobody', async (t) => {
  const { server, hushbox } = await start(t);
  const { link, receiptKey = '' } = await hushbox.send('x'.repeat(40_000), { receipt: true });
  const proxy = await startCuttingProxy(t, { port: server.port, cuts: 5, afterBytes: 20_000 });
  const page = await openPage(t, [proxy.base]);
  await page.goto(link.replace(server.base, proxy.base));
  await button(page, 'Show the secret').click();
  await page.getByText('The answer was probably lost on its way').waitFor({ timeout: 60_000 });
  t.false(await page.getByText('someone else').isVisible());
  t.like(await hushbox.receipt(receiptKey), { state: 'read', reads: 5 });
});

browserTest('nobody leaves a page by accident that is reading', async (t) => {
  const { page, hushbox } = await start(t);
  const { link } = await hushbox.send(SECRET);
  await page.goto(link);
  await page.route('**/secrets/*', (route, request) => (request.method() === 'POST' ? undefined : route.fallback()));
  await button(page, 'Show the secret').click();
  await page.getByText('Still waiting for the answer').waitFor();
  page.removeAllListeners('dialog'); // which complain
  const asked = page.waitForEvent('dialog');
  void page.reload().catch(() => {});
  const dialog = await asked;
  t.is(dialog.type(), 'beforeunload');
  await dialog.dismiss();
});

browserTest('a double click and a second tab read once; later the page says where it was read', async (t) => {
  const { page, hushbox } = await start(t);
  const { link, receiptKey = '' } = await hushbox.send(SECRET, { receipt: true });
  const second = await page.context().newPage();
  for (const one of [page, second]) await one.goto(link);
  await button(page, 'Show the secret').dblclick();
  t.is(await shown(page).inputValue(), SECRET);
  t.like(await hushbox.receipt(receiptKey), { reads: 1 });
  await untilTrue(page, "localStorage.getItem('hushbox.read') !== null"); // comes after the secret
  await button(second, 'Show the secret').click();
  await expectTitle(second, 'The secret was shown here');
  await second.goto('about:blank');
  await second.goto(link);
  await expectTitle(second, 'The secret was shown here');
  t.regex((await second.locator('.read-at').textContent()) ?? '', /\d{4}/);
  const kept = JSON.stringify(await second.evaluate('({ ...localStorage })'));
  const { pathname, hash } = new URL(link);
  for (const hidden of [SECRET, hash.slice(1), pathname.split('/')[2] as string]) t.false(kept.includes(hidden));
});

browserTest('the Back button and a reload bring nothing back', async (t) => {
  const { server, page, hushbox } = await start(t);
  const { link } = await hushbox.send(SECRET);
  await page.goto(link);
  await reveal(page);
  await page.goto(`${server.base}/`);
  await page.goBack();
  await expectTitle(page, 'The secret was shown here');
  await page.reload();
  await expectTitle(page, 'The secret was shown here');
  t.false((await page.content()).includes(SECRET));
});

browserTest('over plain HTTP a sealed link says what it needs, and reads and sends nothing', async (t) => {
  const { server } = await start(t, { env: { TRUSTED_PROXIES: '127.0.0.1' } });
  const base = `http://${PLAIN_HTTP_HOST}:${server.port}`;
  const { link, receiptKey = '' } = await new Hushbox(server.base).send(SECRET, { receipt: true });
  const page = await openPage(t, [base]);
  const posts = await decidePosts(page, () => 'pass');
  for (const address of [link, link.replace(/#.*/, '')]) {
    await page.goto('about:blank');
    await page.goto(address.replace(server.base, base));
    await expectTitle(page, 'This link needs HTTPS');
  }
  t.is(posts.length, 0);
  t.like(await new Hushbox(server.base).receipt(receiptKey), { state: 'waiting' });
  await page.goto(`${base}/`);
  t.true(await page.getByText('Without HTTPS this browser cannot seal').isVisible());
  t.false(await page.getByLabel('Add files').isVisible());
});

browserTest('pictures are previewed by their first bytes, and nothing by the type that the sender gave', async (t) => {
  const { page, hushbox } = await start(t);
  const png = readFileSync('docs/page.png');
  const files = [
    new File([png], 'a picture.txt', { type: 'text/html' }),
    new File(['<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'], 'b.png', {
      type: 'image/png',
    }),
    new File(['<script>alert(1)</script>'], 'c.html', { type: 'text/html' }),
    new File([png.subarray(0, 200)], 'd damaged.png', { type: 'image/png' }),
    new File(['x'], '../..\u202e/etc/gpj.\u202eexe', { type: '' }),
  ];
  const { link } = await hushbox.send({ text: SECRET, files });
  await page.goto(link);
  t.true(await page.getByText('It holds files').isVisible());
  await reveal(page);
  await button(page, 'Preview a picture.txt').click();
  await page.getByRole('img', { name: 'Picture: a picture.txt' }).waitFor();
  await button(page, 'Preview d damaged.png').click();
  await page.getByText('This picture cannot be shown').waitFor();
  t.is(await page.getByRole('button', { name: /^Preview/ }).count(), 0);
  for (const [name, content, savedAs] of [
    ['a picture.txt', png, 'a picture.txt'],
    ['c.html', Buffer.from('<script>alert(1)</script>'), 'c.html'],
    ['gpj.exe', Buffer.from('x'), 'gpj.exe'],
  ] as const) {
    const [download] = await Promise.all([page.waitForEvent('download'), button(page, `Save ${name}`).click()]);
    t.is(download.suggestedFilename(), savedAs);
    t.deepEqual(readFileSync((await download.path()) ?? ''), content);
  }
});

browserTest('a secret is hidden and shown again, and saved as it was', async (t) => {
  const { page, hushbox } = await start(t);
  const secret = '\ufeffone\r\ntwo\0';
  const { link } = await hushbox.send(secret);
  await page.goto(link);
  await reveal(page);
  const mask = () =>
    shown(page).evaluate((element) =>
      element.ownerDocument.defaultView?.getComputedStyle(element).getPropertyValue('-webkit-text-security'),
    );
  t.is(await mask(), 'none');
  await button(page, 'Hide').click();
  t.is(await mask(), 'disc');
  await page.getByRole('button', { name: 'Show', exact: true }).click();
  t.is(await mask(), 'none');
  const [download] = await Promise.all([page.waitForEvent('download'), button(page, 'Save as a file').click()]);
  t.is(readFileSync((await download.path()) ?? '', 'utf8'), secret);
});

browserTest('without JavaScript a sealed link names the program that opens it', async (t) => {
  const { page, hushbox } = await start(t, {}, { javaScriptEnabled: false });
  const { link } = await hushbox.send(SECRET);
  await page.goto(link);
  t.regex((await page.getByText('This page needs JavaScript').textContent()) ?? '', /hushbox open 'LINK'/);
  t.false(await page.locator('form').isVisible());
});

browserTest(
  'a %23 with something after the key, or nothing, is called a spoilt link, and blames no other reader',
  async (t) => {
    const { page, hushbox } = await start(t);
    const { link } = await hushbox.send('hello');
    for (const end of [`${link.slice(link.indexOf('#') + 1)}.`, `${link.slice(link.indexOf('#') + 1)}%3E`, '']) {
      await page.goto(`${link.replace(/#.*/, '')}%23${end}`);
      await page.getByRole('heading', { name: 'This link is not complete' }).waitFor();
      t.is(page.url(), `${link.replace(/#.*/, '')}#${end}`);
    }
    t.is((await hushbox.open(link)).text, 'hello');
  },
);

browserTest('the end of a long name, which says what the file is, is seen on a telephone', async (t) => {
  const { page, hushbox } = await start(t, {}, { viewport: { width: 360, height: 740 } });
  const name = `invoice.pdf${'_'.repeat(5000)}.exe`;
  await page.goto((await hushbox.send([new File(['x'], name)])).link);
  await button(page, 'Show the secret').click();
  const seen = page.getByText(/^invoice\.pdf_+…_+\.exe$/);
  await seen.waitFor();
  t.true(await seen.evaluate((element) => element.scrollHeight <= element.clientHeight + 1));
  const [download] = await Promise.all([page.waitForEvent('download'), button(page, `Save ${name}`).click()]);
  t.truthy(download.suggestedFilename());
});

browserTest('while the server cannot answer, the page of a link with a # tries again as it says', async (t) => {
  const { page, hushbox } = await start(t);
  const { link } = await hushbox.send('hello');
  const away = awayPage();
  const { origin, pathname } = new URL(link);
  await stopTime(page);
  await page.route(origin + pathname, (route) => route.fulfill({ status: 503, contentType: 'text/html', body: away }), {
    times: 1,
  });
  await page.goto(link, { waitUntil: 'networkidle' });
  await expectTitle(page, 'Hushbox cannot answer right now');
  await page.clock.runFor(5_000);
  t.is(await reveal(page), 'hello');
});

/** As a browser gets it while the storage does not answer. */
function awayPage(): string {
  const ctx = {
    path: '/secrets/key',
    req: { headers: {} },
    state: {},
    set() {},
    acceptsLanguages: () => 'en',
    body: '',
  };
  const { secretPage } = createWeb({
    limits: { secretMaxBytes: 1, ttlMaxSeconds: 60 },
    publicUrl: undefined,
    needsToken: false,
    operator: { name: undefined, logo: undefined, imprintUrl: undefined, privacyUrl: undefined },
    accounts: undefined,
    baseOf: () => '',
    describe: () => {
      throw new TypeError('this page is not made');
    },
  });
  secretPage.showError(ctx as unknown as Context, new AppError('STORAGE_UNAVAILABLE'));
  return ctx.body;
}
