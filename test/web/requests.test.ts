import type { ExecutionContext } from 'ava';
import type { BrowserContextOptions, Page } from 'playwright-core';
import { Hushbox, parseLink } from '../../client/hushbox.ts';
import {
  browserTest,
  decidePosts,
  holdDigests,
  openPage,
  PLAIN_HTTP_HOST,
  watchNetwork,
} from '../support/browser/browser.ts';
import { button, field, heading, link as linkNamed, messageOf } from '../support/browser/people.ts';
import { startServer, type TestServer, type TestServerOptions } from '../support/http/server.ts';
import { SQLITE } from '../support/storage/storage.ts';

type Links = { link: string; keepLink: string };
type Scene = { server: TestServer; page: Page };

/** Otherwise a name that is not ours would be refused on loopback. */
const LETS_NAME_PASS = { TRUSTED_PROXIES: '127.0.0.1' };

async function start(
  t: ExecutionContext,
  env: NonNullable<TestServerOptions['env']> = {},
  view: BrowserContextOptions = {},
): Promise<Scene> {
  const server = await startServer(t, { place: await SQLITE.place(t), env });
  return { server, page: await openPage(t, [server.base], view) };
}

/** Makes a request on the page. @returns its two links. */
async function askFor(page: Page, base: string, note = ''): Promise<Links> {
  await page.goto(`${base}/ask`);
  await field(page, 'What do you need? (optional)').fill(note);
  await button(page, 'Create the links').click();
  const link = await field(page, 'Link to send').inputValue();
  await button(page, 'Copy the private link').click();
  await page.getByText('Copied.').waitFor();
  const keepLink = (await page.evaluate('navigator.clipboard.readText()')) as string;
  return { link, keepLink };
}

async function answerWith(page: Page, secret: string): Promise<void> {
  await field(page, 'Secret').fill(secret);
  await button(page, 'Send it').click();
}

const openAnswer = (page: Page): Promise<unknown> => button(page, 'Show the secret').click();

browserTest('one person asks, another answers with text and a file, and only the private link opens it', async (t) => {
  const { server, page: asker } = await start(t);
  const friend = await openPage(t, [server.base]);
  const [askerSent, friendSent] = [await watchNetwork(asker), await watchNetwork(friend)];
  const { link, keepLink } = await askFor(asker, server.base, 'The password, please');
  t.true(link.startsWith(`${server.base}/requests/request_`));
  t.true(keepLink.startsWith(`${server.base}/secrets/`));
  t.is(await asker.locator('#state').textContent(), 'Not answered yet');

  await friend.goto(link);
  t.is(await friend.locator('blockquote').textContent(), 'The password, please');
  await friend.getByText('We do not know who asks; what you type goes to whoever made this link.').waitFor();
  await friend
    .locator('input[type=file]')
    .setInputFiles({ name: 'a.txt', mimeType: 'text/plain', buffer: Buffer.from('of a file') });
  await answerWith(friend, 'swordfish');
  await heading(friend, 'Sent').waitFor();

  await asker.evaluate("dispatchEvent(new Event('focus'))"); // comes back to the page
  const [opened] = await Promise.all([asker.waitForEvent('popup'), linkNamed(asker, 'Open the answer').click()]);
  const openerSent = await watchNetwork(opened);
  await openAnswer(opened);
  t.is(await field(opened, 'Your secret').inputValue(), 'swordfish');
  await opened.getByText('a.txt').waitFor();

  await linkNamed(friend, 'Follow what happens').click();
  await friend.locator('#state[data-state=read]').waitFor();
  const network = [...askerSent, ...friendSent, ...openerSent].join('\n');
  for (const hidden of ['swordfish', 'of a file', 'a.txt', parseLink(keepLink).fragment]) {
    t.false(network.includes(String(hidden)), String(hidden));
  }
  t.regex(network, /POST \S+\/requests\/request_.*"sealed":true/, 'bodies are seen');
});

browserTest('the private link opened early says so, and changes when the answer comes', async (t) => {
  const { server, page } = await start(t);
  const { link, keepLink } = await askFor(page, server.base, 'Which one?');
  await page.goto(keepLink);
  await heading(page, 'Nothing is filled in yet').waitFor();
  await page.getByText('This one is private; send the other.').waitFor();
  t.is(await page.locator('blockquote').textContent(), 'Which one?');
  t.is(await page.getByRole('button', { name: 'Show the secret' }).count(), 0);

  const friend = await openPage(t, [server.base]);
  await friend.goto(link);
  await answerWith(friend, 'this one');
  await heading(friend, 'Sent').waitFor();
  // It may have seen the answer already, and be on its way to the page that opens it.
  await page.evaluate("dispatchEvent(new Event('focus'))").catch(() => {});
  await openAnswer(page);
  t.is(await field(page, 'Your secret').inputValue(), 'this one');
});

browserTest('of two people who answer at once one wins, and the other keeps what was typed', async (t) => {
  const { server, page } = await start(t);
  const { link, keepLink } = await askFor(page, server.base);
  const people = [await openPage(t, [server.base]), await openPage(t, [server.base])];
  await Promise.all(people.map((person) => person.goto(link)));
  await Promise.all(people.map((person, index) => answerWith(person, `answer ${index}`)));
  const won = await Promise.all(
    people.map((person) =>
      Promise.race([
        heading(person, 'Sent')
          .waitFor()
          .then(() => true),
        heading(person, 'This request is already closed')
          .waitFor()
          .then(() => false),
      ]),
    ),
  );
  t.deepEqual(won.toSorted(), [false, true]);
  const loser = people[won.indexOf(false)] as Page;
  t.is(await field(loser, 'Secret').inputValue(), `answer ${won.indexOf(false)}`);
  t.regex(await messageOf(loser, /./), /Somebody else has answered it/);
  await page.goto(keepLink);
  await openAnswer(page);
  t.is(await field(page, 'Your secret').inputValue(), `answer ${won.indexOf(true)}`);
  await loser.reload();
  await heading(loser, 'There is no open request here').waitFor();
});

browserTest(
  'a link whose # is missing or damaged sends nothing, and the right one in the same tab works',
  async (t) => {
    const { server, page } = await start(t);
    const { link } = await askFor(page, server.base);
    const [base, x = ''] = link.split('#');
    const spoilt = ['', x.slice(0, -1), `${x}A`, x.toLowerCase(), `${x.startsWith('A') ? 'B' : 'A'}${x.slice(1)}`];
    const posts = await decidePosts(page, () => 'pass');
    for (const fragment of spoilt) {
      await page.goto('about:blank');
      await page.goto(`${base}#${fragment}`);
      await heading(page, 'This link is not complete').waitFor();
      t.false(await field(page, 'Secret').isVisible());
    }
    t.is(posts.length, 0);
    await page.evaluate(`location.hash = '${x}'`);
    await answerWith(page, 'mended');
    await heading(page, 'Sent').waitFor();
    t.is(posts.length, 1);
  },
);

browserTest('a check that ends late says nothing of the link that came after', async (t) => {
  const { server, page } = await start(t);
  const { link } = await askFor(page, server.base);
  const letGo = await holdDigests(page);
  await page.goto(link);
  await page.evaluate(`location.assign('#nothing')`);
  await heading(page, 'This link is not complete').waitFor();
  await letGo();
  t.false(await field(page, 'Secret').isVisible());
});

browserTest('a # that became %23 on its way is put right, with a word where the server has seen a key', async (t) => {
  const { server, page } = await start(t);
  const { link, keepLink } = await askFor(page, server.base);
  await page.goto(keepLink.replace('#', '%23'));
  await page.getByText('the server has seen the key that opens the answer').waitFor();
  t.is(page.url(), keepLink);
  await page.goto(link.replace('#', '%23'));
  await answerWith(page, 'hello');
  await heading(page, 'Sent').waitFor();
  t.is(page.url(), link);
});

browserTest('a server that lies about the key is sent nothing', async (t) => {
  const { server, page } = await start(t);
  const { link } = await askFor(page, server.base);
  const posts = await decidePosts(page, () => 'pass');
  const other = 'A'.repeat(43);
  for (const [isInPage, kid, title] of [
    [false, undefined, 'Something is wrong with this link'],
    [false, other, 'This link is not complete'],
    [true, undefined, 'Something is wrong with this link'],
    [true, other, 'This link is not complete'],
  ] as const) {
    await page.route('**/requests/*', async (route, request) => {
      if (request.headers().accept === 'application/json') {
        return route.fulfill({ json: { expires_at: '2066-01-02T12:00:00.000Z', kid } });
      }
      if (!isInPage || request.method() !== 'GET') return route.fallback();
      const response = await route.fetch();
      const html = await response.text();
      return route.fulfill({ response, body: html.replace(/data-kid="[^"]*"/, `data-kid="${kid ?? ''}"`) });
    });
    await page.goto('about:blank');
    await page.goto(link);
    if (!isInPage) await answerWith(page, 'for nobody else');
    await heading(page, title).waitFor();
    t.false(await field(page, 'Secret').isVisible());
  }
  t.is(posts.length, 0);
});

browserTest('an answer whose confirmation is lost is repeated, and counts once', async (t) => {
  const { server, page } = await start(t);
  const { link, keepLink } = await askFor(page, server.base);
  await page.goto(link);
  const posts = await decidePosts(page, (count) => (count === 1 ? 'lose' : 'pass'));
  await answerWith(page, 'once');
  await heading(page, 'Sent').waitFor();
  t.is(posts.length, 2);
  t.is(new Set(posts.map((headers) => headers['idempotency-key'])).size, 1);
  t.regex((await linkNamed(page, 'Follow what happens').getAttribute('href')) ?? '', /\/receipts\/receipt_/);
  await page.goto(keepLink);
  await openAnswer(page);
  t.is(await field(page, 'Your secret').inputValue(), 'once');
});

browserTest('a request is withdrawn on either page, and then both links are dead', async (t) => {
  const { server, page } = await start(t);
  for (const isEarly of [false, true]) {
    const { link, keepLink } = await askFor(page, server.base);
    if (isEarly) await page.goto(keepLink);
    await button(page, 'Withdraw the request').click();
    await page.getByText('Neither link works any more.').waitFor();
    t.is((await server.get(new URL(link).pathname)).status, 404);
    t.is((await server.get(new URL(keepLink).pathname)).status, 404);
  }
});

browserTest('a note is a quotation: nothing in it is a link, markup or code', async (t) => {
  const { server, page } = await start(t);
  const note =
    'See https://evil.example/ <b onclick=alert(1)>now</b> <script>alert(2)</script>\n{{name}} & \u202egnp.exe';
  const { link } = await askFor(page, server.base, note);
  await page.goto(link);
  const quotation = page.locator('blockquote');
  t.is(await quotation.textContent(), note);
  t.is(await quotation.locator('*').count(), 0);
  t.is(await page.evaluate("getComputedStyle(document.querySelector('blockquote')).unicodeBidi"), 'isolate');
});

browserTest('a note that is too long is refused beside its field', async (t) => {
  const { server, page } = await start(t);
  await page.goto(`${server.base}/ask`);
  const posts = await decidePosts(page, () => 'pass');
  const note = field(page, 'What do you need? (optional)');
  await note.fill('я'.repeat(501));
  await button(page, 'Create the links').click();
  await page.getByText('At most 500 characters fit.').waitFor();
  t.is(posts.length, 0);
  await note.fill('🔑'.repeat(500)); // characters, not halves of them
  await button(page, 'Create the links').click();
  await heading(page, 'Send one link, keep the other').waitFor();
  await button(page, 'Copy the private link').click();
});

browserTest('where a token is needed to create, it is needed to ask, and not to answer', async (t) => {
  const token = 'a-token-for-those-who-may-ask-here';
  const { server, page } = await start(t, { CREATE_TOKEN: token });
  await page.goto(`${server.base}/ask`);
  await page.getByLabel('Token').fill('a wrong one');
  await button(page, 'Create the links').click();
  t.regex(await messageOf(page, /./), /token is wrong/);
  await page.getByLabel('Token').fill(token);
  await button(page, 'Create the links').click();
  const link = await field(page, 'Link to send').inputValue();
  await button(page, 'Copy the private link').click();
  await page.goto(link);
  await answerWith(page, 'hello');
  await heading(page, 'Sent').waitFor();
  t.pass();
});

browserTest('what answers in place of the server takes nothing away that was typed', async (t) => {
  const { server, page } = await start(t);
  const { link, keepLink } = await askFor(page, server.base);
  await page.goto(link);
  await page.route('**/requests/*', (route, request) =>
    request.method() === 'POST' ? route.fulfill({ status: 200, body: '<p>Blocked</p>' }) : route.fallback(),
  );
  await answerWith(page, 'typed');
  await messageOf(page, /^Something between this page and the server/);
  t.is(await field(page, 'Secret').inputValue(), 'typed');
  await page.unrouteAll();
  await button(page, 'Send it').click();
  await heading(page, 'Sent').waitFor();
  await page.goto(keepLink);
  await openAnswer(page);
  t.is(await field(page, 'Your secret').inputValue(), 'typed');
});

browserTest('over plain HTTP a request is made and answered unsealed, and the pages say so', async (t) => {
  const { server } = await start(t, LETS_NAME_PASS);
  const base = server.base.replace('127.0.0.1', PLAIN_HTTP_HOST);
  const { page, links } = await askOverHttp(t, base);
  t.false(links.link.includes('#'));
  await page.goto(links.link);
  await page.getByText('The server seals it, and could read it.').waitFor();
  t.false(await page.getByText('Add files').isVisible(), 'only what is sealed can hold files');
  await answerWith(page, 'hello');
  await heading(page, 'Sent').waitFor();
  await page.goto(links.keepLink);
  await openAnswer(page);
  t.is(await field(page, 'Your secret').inputValue(), 'hello');
});

async function askOverHttp(t: ExecutionContext, base: string): Promise<{ page: Page; links: Links }> {
  const page = await openPage(t, [base]);
  await page.goto(`${base}/ask`);
  await page.getByText('This page came over plain HTTP').waitFor();
  await button(page, 'Create the links').click();
  const link = await field(page, 'Link to send').inputValue();
  await button(page, 'Copy the private link').click(); // which shows it, where the clipboard cannot be written to
  return { page, links: { link, keepLink: await field(page, 'Private link').inputValue() } };
}

browserTest('over plain HTTP a sealed request is answered with nothing', async (t) => {
  const { server, page } = await start(t, LETS_NAME_PASS);
  const { link } = await askFor(page, server.base);
  const base = server.base.replace('127.0.0.1', PLAIN_HTTP_HOST);
  const reader = await openPage(t, [base]);
  const posts = await decidePosts(reader, () => 'pass');
  await reader.goto(link.replace('127.0.0.1', PLAIN_HTTP_HOST));
  await heading(reader, 'This link needs HTTPS').waitFor();
  t.false(await field(reader, 'Secret').isVisible());
  t.is(posts.length, 0);
});

browserTest('the address of a receipt shows every change, and burns', async (t) => {
  const { server, page } = await start(t);
  const [read, burned] = [
    await server.create({ secret: 'hello', phrase: 'blue', receipt: true }),
    await server.create({ secret: 'hello', receipt: true }),
  ];
  await page.goto(`${server.base}/receipts/${read.receipt_key}`);
  t.is(await page.locator('#state').textContent(), 'Not read yet');
  await server.post(`/secrets/${read.secret_key}`, { phrase: 'red' });
  await page.evaluate("dispatchEvent(new Event('focus'))");
  await page.getByText('Wrong phrases tried: 1').waitFor();
  await server.post(`/secrets/${read.secret_key}`, { phrase: 'blue' });
  await page.evaluate("dispatchEvent(new Event('focus'))");
  await page.locator('#state[data-state=read]').waitFor();
  t.regex(await page.title(), /^The secret was read/);
  t.is(await page.getByRole('button', { name: 'Burn it' }).count(), 0);

  await page.goto(`${server.base}/receipts/${burned.receipt_key}`);
  await button(page, 'Burn it').click();
  await page.locator('#state[data-state=burned]').waitFor();
  t.is((await server.post(`/secrets/${burned.secret_key}`)).status, 404);
});

browserTest('a link to send can be shown as a QR code and copied with a text', async (t) => {
  const { server, page } = await start(t);
  const { link } = await askFor(page, server.base);
  await button(page, 'QR code').click();
  const picture = page.getByRole('img', { name: 'QR code of the link' });
  await picture.waitFor();
  t.regex((await picture.locator('path').getAttribute('d')) ?? '', /^(M\d+ \d+h\d+v1h-\d+z){100,}$/);
  await button(page, 'Copy with a text').click();
  await page.locator('#send-note', { hasText: 'Copied.' }).waitFor();
  t.true(((await page.evaluate('navigator.clipboard.readText()')) as string).includes(link));
});

browserTest('a phrase is made up of words of the list, each as likely as any other', async (t) => {
  const { server, page } = await start(t);
  await page.goto(`${server.base}/`);
  const make = `import('/assets/phrase-words.js').then(({ makePhrase }) => makePhrase())`;
  // What the browser draws, in turn: 65,535 would favour the first words, and is drawn again.
  await page.evaluate(`{
    const drawn = [0, 65_535, 7771, 7772, 1];
    crypto.getRandomValues = (array) => array.fill(drawn.shift());
  }`);
  t.is(await page.evaluate(make), 'abacus zoom abacus abdomen');
});

browserTest('without JavaScript a request shows what is asked for, and what is missing', async (t) => {
  const { server, page } = await start(t);
  const { link } = await askFor(page, server.base, 'The door code');
  const reader = await openPage(t, [server.base], { javaScriptEnabled: false });
  await reader.goto(link);
  await reader.getByText('The door code').waitFor();
  await reader.getByText('This page needs JavaScript').waitFor();
  t.false(await field(reader, 'Secret').isVisible());
});

browserTest('the pages speak Russian to those who do, and a switch keeps the part after the #', async (t) => {
  const { server, page } = await start(t);
  const { link } = await askFor(page, server.base);
  const reader = await openPage(t, [server.base], { locale: 'ru-RU' });
  await reader.goto(link);
  await heading(reader, 'У вас просят секрет').waitFor();
  t.is(await reader.locator('html').getAttribute('lang'), 'ru');
  await reader.locator('#language').click();
  await heading(reader, 'Somebody asks you for a secret').waitFor();
  await answerWith(reader, 'hello');
  await heading(reader, 'Sent').waitFor();
  t.is(new URL(reader.url()).hash, new URL(link).hash);
});

browserTest('a private link whose end is missing says so early, while the whole one can still be found', async (t) => {
  const { server, page } = await start(t);
  const { keepLink } = await new Hushbox(server.base).request();
  const warning = page.getByText('the link will not open the answer');
  await page.goto(keepLink);
  await page.locator('#withdraw:enabled').waitFor();
  t.false(await warning.isVisible());
  await page.goto('about:blank');
  await page.goto(keepLink.slice(0, -1));
  await warning.waitFor();
  t.false(await page.getByText('Only this link opens the answer').isVisible());
});
