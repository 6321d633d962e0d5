import test, { type ExecutionContext } from 'ava';
import { assetRoutes } from '../../src/web/assets.ts';
import { formatUtc } from '../../src/web/texts/texts.ts';
import { startServer, type TestServer, type TestServerOptions } from '../support/http/server.ts';
import { ENGINES } from '../support/storage/storage.ts';

const [sqlite] = ENGINES;
const BROWSER = { accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8' };
const UNKNOWN_KEY = 'A'.repeat(48);
const TYPES: Readonly<Record<string, string>> = {
  css: 'text/css; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  ts: 'text/javascript; charset=utf-8', // its types are stripped
  svg: 'image/svg+xml',
  txt: 'text/plain; charset=utf-8',
};
const ASSETS = Object.fromEntries(
  assetRoutes(undefined).map(({ path }) => [path, TYPES[path.replace(/^.*\./, '')] as string]),
);
const ACCOUNT_PAGES = ['/signin', '/register', '/forgotten', '/reset', '/account'];

async function start(t: ExecutionContext, options: Omit<TestServerOptions, 'place'> = {}): Promise<TestServer> {
  if (!sqlite) throw new TypeError('no engine');
  return startServer(t, { place: await sqlite.place(t), ...options });
}

function isHtml(response: Response): boolean {
  return response.headers.get('content-type') === 'text/html; charset=utf-8';
}

test('a link answers a program with JSON and a browser with a page', async (t) => {
  const { get, create } = await start(t);
  const { secret_key } = await create({ secret: 'hello' });
  for (const accept of [BROWSER.accept, 'text/html', 'text/html, application/json;q=0.9']) {
    const response = await get(`/secrets/${secret_key}`, { accept });
    t.true(isHtml(response), accept);
    t.is(response.status, 200);
    t.regex(response.headers.get('vary') ?? '', /accept/i);
  }
  for (const accept of ['*/*', 'application/json', 'application/json, text/html;q=0.9', 'image/png']) {
    const response = await get(`/secrets/${secret_key}`, { accept });
    t.like(await response.json(), { phrase: false }, accept);
  }
});

test('looking at a link reads nothing, whoever looks and however', async (t) => {
  const { request, post, create } = await start(t);
  const { secret_key } = await create({ secret: 'hello' });
  const looks: Record<string, string>[] = [
    {},
    BROWSER,
    { ...BROWSER, 'sec-purpose': 'prefetch;prerender' },
    { ...BROWSER, purpose: 'prefetch' },
    { ...BROWSER, 'x-moz': 'prefetch' },
    { ...BROWSER, 'x-purpose': 'preview' },
    { ...BROWSER, 'user-agent': 'Slackbot-LinkExpanding 1.0' },
  ];
  for (const headers of looks) {
    for (const method of ['GET', 'HEAD', 'OPTIONS']) {
      const response = await request(method, `/secrets/${secret_key}`, undefined, headers);
      t.true(response.ok, `${method} ${JSON.stringify(headers)}`);
      t.false((await response.text()).includes('hello'));
    }
  }
  const response = await post(`/secrets/${secret_key}`);
  t.deepEqual(await response.json(), { secret: 'hello' });
});

test('a link that opens nothing has one page, whatever the reason', async (t) => {
  const { get, post, request, create, clock } = await start(t);
  const [read, burned, expired] = await Promise.all([
    create({ secret: 'a' }),
    create({ secret: 'b', receipt: true }),
    create({ secret: 'c', ttl: { minutes: 1 } }),
  ]);
  await post(`/secrets/${read.secret_key}`);
  await request('DELETE', `/receipts/${burned.receipt_key}`);
  clock.advance({ minutes: 1 });
  const pages = new Set<string>();
  for (const key of [read.secret_key, burned.secret_key, expired.secret_key, UNKNOWN_KEY, 'nonsense', '%3Cb%3E']) {
    const response = await get(`/secrets/${key}`, BROWSER);
    t.is(response.status, 404);
    t.true(isHtml(response));
    pages.add(await response.text());
  }
  t.is(pages.size, 1);
});

test('a browser gets a page where there is nothing to see, and a program gets JSON', async (t) => {
  const { get, post, request } = await start(t);
  for (const [path, status, code] of [
    ['/secret/some-key', 404, 'NOT_FOUND'],
    ['/nowhere/at/all', 404, 'NOT_FOUND'],
    ['/assets/nothing.js', 404, 'NOT_FOUND'],
    ['/generate', 405, 'METHOD_NOT_ALLOWED'],
    ['/receipts/unknown', 404, 'KEY_NOT_FOUND'],
    ['/secrets/read', 404, 'KEY_NOT_FOUND'],
  ] as const) {
    const page = await get(path, BROWSER);
    t.deepEqual([page.status, isHtml(page)], [status, true], path);
    t.truthy(page.headers.get('content-security-policy'));
    t.regex(page.headers.get('vary') ?? '', /accept/i);
    if (status === 405) t.is(page.headers.get('allow'), 'POST, OPTIONS');
    const html = await page.text();
    for (const [, address = ''] of html.matchAll(/<(?:link|script|img)[^>]* (?:href|src)="([^"]+)"/g)) {
      t.true(new URL(address, `http://hushbox.test${path}`).pathname in ASSETS, address);
    }
    const head = await request('HEAD', path, undefined, BROWSER);
    t.deepEqual([head.status, isHtml(head)], [status, true]);
    t.like(await (await get(path)).json(), { code }, path);
  }
  for (const path of ['/nowhere', '/secrets/read', '/secrets/unknown']) t.false(isHtml(await post(path, {}, BROWSER)));
  t.false(isHtml(await request('PUT', '/generate', {}, BROWSER)));
});

test('the address of a page that has shown a secret blames nobody', async (t) => {
  const { get } = await start(t);
  for (const path of ['/secrets/read', '//secrets//read/']) {
    const html = await (await get(path, BROWSER)).text();
    t.true(html.includes('The secret was shown here'));
    t.false(html.includes('someone else'));
  }
  t.true((await (await get('/secrets/reader', BROWSER)).text()).includes('someone else'));
});

test('a receipt has a page, which holds no key', async (t) => {
  const { get, post, request, create } = await start(t);
  const wish = { secret: 's', receipt: true };
  const [waiting, read, burned] = [await create(wish), await create(wish), await create(wish)];
  await post(`/secrets/${read.secret_key}`);
  await request('DELETE', `/receipts/${burned.receipt_key}`);
  for (const [{ receipt_key }, state] of [
    [waiting, 'waiting'],
    [read, 'read'],
    [burned, 'burned'],
  ] as const) {
    const page = await get(`/receipts/${receipt_key}`, BROWSER);
    t.deepEqual([page.status, isHtml(page)], [200, true]);
    const html = await page.text();
    t.true(html.includes(`data-state="${state}"`));
    t.false(html.includes(receipt_key));
    t.like(await (await get(`/receipts/${receipt_key}`)).json(), { state });
  }
});

test('while the storage is away a link has a page that looks again by itself', async (t) => {
  const { get, create, storage } = await start(t);
  const { secret_key } = await create({ secret: 'hello' });
  await storage.close();
  const response = await get(`/secrets/${secret_key}`, BROWSER);
  t.is(response.status, 503);
  t.truthy(response.headers.get('retry-after'));
  t.true(isHtml(response));
  t.true((await response.text()).includes('http-equiv="refresh"'));
  t.false(isHtml(await get(`/secrets/${secret_key}`)));
});

test('the page of a link asks for a phrase only where one is needed, and tells until when it waits', async (t) => {
  const { get, create } = await start(t);
  for (const phrase of [undefined, 'blue']) {
    const { secret_key, expires_at } = await create({ secret: 'hello', phrase });
    const html = await (await get(`/secrets/${secret_key}`, BROWSER)).text();
    t.is(html.includes('id="phrase"'), phrase !== undefined);
    t.true(html.includes(`<time datetime="${expires_at}">`));
    t.true(html.includes(formatUtc('en', Date.parse(expires_at))));
  }
});

test('the page of a link holds neither the key nor anything of the request', async (t) => {
  const { get, create } = await start(t);
  const { secret_key } = await create({ secret: 'hello' });
  for (const key of [secret_key, UNKNOWN_KEY]) {
    const html = await (await get(`/secrets/${key}?q=mirrored`, { ...BROWSER, 'x-forwarded-host': 'mirrored' })).text();
    t.false(html.includes(key));
    t.false(html.includes('mirrored'));
  }
});

test('the page to create a secret is what GET / answers to everyone', async (t) => {
  const { get } = await start(t);
  for (const accept of ['*/*', BROWSER.accept, 'application/json']) {
    const response = await get('/', { accept });
    t.is(response.status, 200);
    t.true(isHtml(response));
  }
});

test('the page to create a secret asks for a token only where one is needed', async (t) => {
  const open = await start(t);
  t.false((await (await open.get('/')).text()).includes('id="token"'));
  const guarded = await start(t, { env: { CREATE_TOKEN: 'a-token-of-the-staff' } });
  const html = await (await guarded.get('/')).text();
  t.true(html.includes('id="token"'));
  t.false(html.includes('a-token-of-the-staff'));
});

test('the page to create a secret knows the limits and the public address, escaped', async (t) => {
  const { get } = await start(t, {
    env: {
      PUBLIC_URL: `https://example.com/"><script>alert('1')</script>`,
      SECRET_MAX_BYTES: '123',
      SECRET_TTL_MAX_SECONDS: '4567',
    },
  });
  const html = await (await get('/')).text();
  t.true(html.includes('data-secret-max-bytes="123"'));
  t.true(html.includes('data-ttl-max-seconds="4567"'));
  t.true(html.includes('data-public-url="https://example.com/&#34;&#62;&#60;script&#62;alert(&#39;1&#39;)&#60;'));
});

test('what pages load is served, with its type and nothing to cache', async (t) => {
  const { get } = await start(t);
  for (const [path, type] of Object.entries(ASSETS)) {
    const response = await get(path);
    t.is(response.status, 200);
    t.is(response.headers.get('content-type'), type);
    t.is(response.headers.get('cache-control'), 'no-store');
    t.is(response.headers.get('x-content-type-options'), 'nosniff');
    t.is(response.headers.get('referrer-policy'), 'no-referrer');
    t.truthy(response.headers.get('x-request-id'));
  }
});

test('the pages of an account are there where accounts are served, and other pages name them only then', async (t) => {
  const full = await start(t);
  for (const path of ACCOUNT_PAGES) {
    for (const accept of ['*/*', BROWSER.accept]) t.true(isHtml(await full.get(path, { accept })), path);
    t.is((await full.post(path)).status, 405);
  }
  t.true((await (await full.get('/')).text()).includes('href="./signin"'));
  const without = await start(t, { env: { SERVICES: 'secrets' } });
  for (const path of ACCOUNT_PAGES) t.is((await without.get(path)).status, 404, path);
  for (const path of ['/', '/status', '/nowhere']) {
    t.false(/signin|who\.js/.test(await (await without.get(path, BROWSER)).text()), path);
  }
});

test('nothing else of the disk is served', async (t) => {
  const { get, post } = await start(t);
  for (const path of ['', '/', '/create.html', '/page.js.map', '/..%2froutes.ts', '/%2e%2e/routes.ts']) {
    const response = await get(`/assets${path}`);
    t.is(response.status, 404, path);
    t.like(await response.json(), { code: 'NOT_FOUND' });
  }
  const response = await post('/assets/page.js');
  t.is(response.status, 405);
  t.is(response.headers.get('allow'), 'HEAD, GET, OPTIONS');
});

test('HEAD answers as GET does, without the body', async (t) => {
  const { get, request, create } = await start(t);
  const { secret_key } = await create({ secret: 'hello' });
  const links = [`/secrets/${secret_key}`, `/secrets/${UNKNOWN_KEY}`];
  for (const path of ['/', '/status', ...ACCOUNT_PAGES, ...links, ...Object.keys(ASSETS)]) {
    const [got, head] = await Promise.all([get(path, BROWSER), request('HEAD', path, undefined, BROWSER)]);
    t.is(head.status, got.status, path);
    for (const name of ['content-type', 'content-length', 'content-security-policy', 'cache-control', 'vary']) {
      t.is(head.headers.get(name), got.headers.get(name), `${path} ${name}`);
    }
    t.is((await got.text()).length > 0, true);
    t.is(await head.text(), '');
  }
});

test('a page runs and loads only what this server serves as a file', async (t) => {
  const { get, create } = await start(t);
  const { secret_key } = await create({ secret: 'hello', phrase: 'blue' });
  const links = [`/secrets/${secret_key}`, `/secrets/${secret_key}/`, `/secrets/${UNKNOWN_KEY}`];
  for (const path of ['/', '/status', '/status/', ...ACCOUNT_PAGES, '/signin/', ...links]) {
    const response = await get(path, BROWSER);
    const policy = new Map(
      (response.headers.get('content-security-policy') ?? '').split('; ').map((directive) => {
        const [name = '', ...sources] = directive.split(' ');
        return [name, sources.join(' ')];
      }),
    );
    for (const name of ['default-src', 'base-uri', 'form-action', 'frame-ancestors']) {
      t.is(policy.get(name), "'none'", name);
    }
    for (const [name, sources] of policy) if (name.endsWith('-src')) t.regex(sources, /^'(none|self)'$/, name);

    const html = await response.text();
    t.notRegex(html, /<script(?![^>]* src=)|<style|<base|\s(style|on[a-z]+)=/i);
    const loaded = [...html.matchAll(/<(?:link|script|img)[^>]* (?:href|src)="([^"]+)"/g)].map(
      ([, address = '']) => new URL(address, `http://hushbox.test${path}`),
    );
    t.true(loaded.length >= 3);
    for (const { host, pathname } of loaded) {
      t.is(host, 'hushbox.test');
      t.true(pathname in ASSETS, pathname);
    }
  }
});
