import { createHmac, randomBytes } from 'node:crypto';
import test, { type ExecutionContext } from 'ava';
import {
  createRemoteJWKSet,
  decodeJwt,
  decodeProtectedHeader,
  exportJWK,
  generateKeyPair,
  jwtVerify,
  SignJWT,
} from 'jose';
import { formatRefreshToken, parseRefreshToken, type RefreshToken } from '../../../src/auth/sessions/browser-tokens.ts';
import { createKeyRing } from '../../../src/sealing/key-ring.ts';
import { createSigningKeys } from '../../../src/tokens/access/signing-keys.ts';
import { logInAt } from '../../support/auth/log-in.ts';
import { startServer } from '../../support/http/server.ts';
import { ENGINES, SQLITE } from '../../support/storage/storage.ts';
import { type Browser, codeOf, copyOf, createBrowser } from './browser-support.ts';
import { type AuthServer, EMAIL, PASSWORD, startAuth } from './support.ts';

const ROUTES_OF_COOKIES = [
  ['GET', '/data'],
  ['GET', '/customers'],
  ['GET', '/sessions'],
] as const;

/** Of 50 uses at once. Every third one with a reuse, every third one with a log-out. */
const REFRESH_ROUNDS = Number(process.env.REFRESH_ROUNDS ?? 6);

type World = AuthServer & { browser: Browser };

async function start(t: ExecutionContext, engine = SQLITE, env: Record<string, string> = {}): Promise<World> {
  const server = await startAuth(t, engine, env);
  const browser = createBrowser(server);
  t.is((await browser.signIn()).status, 200);
  return { ...server, browser };
}

function access(browser: Browser): string {
  return browser.jar.get('access_token') as string;
}

async function verify(server: AuthServer, token: string): Promise<string> {
  return codeOf(await server.post('/api/v1/verify/', { token }));
}

for (const engine of ENGINES) {
  const { name, test } = engine;

  test(`${name}: a browser signs in, is known by its cookies, and signs out`, async (t) => {
    const server = await startAuth(t, engine);
    const browser = createBrowser(server);
    const response = await browser.signIn();
    t.is(response.status, 200);
    const user = (await response.json()) as Record<string, string>;
    t.like(user, { email: EMAIL, role: 'member' });
    t.deepEqual(
      browser.set.map((header) => header.replace(/=[^;]+;/, '=…;')),
      [
        'access_token=…; Path=/; Max-Age=300; SameSite=Strict; HttpOnly',
        'refresh_token=…; Path=/; Max-Age=43200; SameSite=Strict; HttpOnly',
        'csrftoken=…; Path=/; Max-Age=43200; SameSite=Strict',
      ],
    );
    for (const [method, path] of ROUTES_OF_COOKIES) t.is((await browser.send(method, path)).status, 200, path);
    t.is((await browser.send('POST', '/api/v1/test/')).status, 200);
    const created = await browser.send('POST', '/customers/create', { name: 'N', dob: '2000-01-01' });
    t.is(created.status, 201);
    const token = access(browser);
    t.is(await verify(server, token), '200');
    const stolen = copyOf(server, browser);
    t.is((await browser.send('POST', '/api/v1/logout/')).status, 204);
    t.is(browser.jar.size, 0);
    t.is(await verify(server, token), '401 UNAUTHORIZED');
    t.like(await server.validate(token), { authenticated: false });
    t.is(await codeOf(await stolen.send('GET', '/data')), '401 UNAUTHORIZED');
    t.is(await codeOf(await stolen.refresh()), '401 UNAUTHORIZED');
  });

  test(`${name}: an access token does wherever a token does, and a refresh token nowhere else`, async (t) => {
    const server = await start(t, engine);
    const token = access(server.browser);
    for (const headers of [{ token }, { authorization: `Bearer ${token}` }]) {
      for (const [, path] of ROUTES_OF_COOKIES) t.is((await server.get(path, headers)).status, 200, path);
    }
    t.like(await server.validate(token), { authenticated: true, email: EMAIL });
    const refreshToken = server.browser.jar.get('refresh_token') as string;
    t.like(await server.validate(refreshToken), { authenticated: false });
    t.is(await verify(server, refreshToken), '401 UNAUTHORIZED');
    const asAccess = copyOf(server, server.browser);
    asAccess.jar.set('access_token', refreshToken);
    t.is(await codeOf(await asAccess.send('GET', '/data')), '401 UNAUTHORIZED');
    asAccess.jar.set('access_token', await server.logIn());
    t.is(await codeOf(await asAccess.send('GET', '/data')), '401 UNAUTHORIZED', 'a token of another kind');
    asAccess.jar.set('refresh_token', token);
    t.is(await codeOf(await asAccess.refresh()), '401 UNAUTHORIZED');
  });

  test(`${name}: a refresh gives new tokens, keeps the csrftoken, and moves the end`, async (t) => {
    const server = await start(t, engine);
    const { browser, clock } = server;
    const before = new Map(browser.jar);
    clock.advance({ minutes: 29 });
    t.is(await codeOf(await browser.send('GET', '/data')), '401 UNAUTHORIZED', 'the access token has expired');
    t.is((await browser.refresh({ cookie: `refresh_token=${before.get('refresh_token')}` })).status, 200);
    t.not(browser.jar.get('refresh_token'), before.get('refresh_token'));
    t.is(browser.jar.get('csrftoken'), before.get('csrftoken'));
    t.regex(browser.set.join('\n'), /refresh_token=[^;]+; Path=\/; Max-Age=41460; /);
    clock.advance({ minutes: 29 });
    t.is((await browser.refresh()).status, 200, 'the session lives on');
    t.is((await browser.send('GET', '/data')).status, 200);
    clock.advance({ minutes: 30 });
    t.is(await codeOf(await browser.refresh()), '401 UNAUTHORIZED');
  });

  test(`${name}: a refresh token that is used again gives the same successor, and later ends the session`, async (t) => {
    const server = await start(t, engine);
    const { browser, clock } = server;
    const again = copyOf(server, browser);
    t.is((await browser.refresh()).status, 200);
    clock.advance({ seconds: 59.999 });
    t.is((await again.refresh()).status, 200);
    t.is(again.jar.get('refresh_token'), browser.jar.get('refresh_token'));
    const first = copyOf(server, again);
    t.is((await browser.refresh()).status, 200, 'the successor is used');
    t.is((await first.refresh()).status, 200, 'and again');
    const old = createBrowser(server);
    old.jar.set('refresh_token', again.jar.get('refresh_token') as string);
    clock.advance({ seconds: 60 });
    t.is(await codeOf(await old.refresh()), '401 REPLAY_DETECTED', 'at exactly 60 s');
    t.is(await codeOf(await browser.refresh()), '401 UNAUTHORIZED', 'the session has ended');
    t.is(await verify(server, access(browser)), '401 UNAUTHORIZED');
    t.regex(server.logged(), /"audit":"session.refresh_reused"/);
  });

  test(`${name}: an older generation ends the session at once`, async (t) => {
    const server = await start(t, engine);
    const { browser } = server;
    const oldest = copyOf(server, browser);
    t.is((await browser.refresh()).status, 200);
    t.is((await browser.refresh()).status, 200);
    t.is(await codeOf(await oldest.refresh()), '401 REPLAY_DETECTED');
    t.is(await codeOf(await browser.refresh()), '401 UNAUTHORIZED');
  });

  test(`${name}: of 50 uses of one refresh token at once each gets the same successor`, async (t) => {
    const server = await start(t, engine);
    const all = Array.from({ length: 50 }, () => copyOf(server, server.browser));
    const responses = await Promise.all(all.map((one) => one.refresh()));
    t.deepEqual(new Set(responses.map(({ status }) => status)), new Set([200]));
    t.is(new Set(all.map(({ jar }) => jar.get('refresh_token'))).size, 1);
    t.is(((await (await server.browser.send('GET', '/sessions')).json()) as unknown[]).length, 1);
  });

  test(`${name}: uses, reuse and log-out on two hosts at once leave one successor, or none`, async (t) => {
    const place = await engine.place(t);
    const masterKeys = [randomBytes(32)] as const;
    const hosts = [
      await startAuth(t, { place: async () => place }, {}, { masterKeys }),
      await startServer(t, { place, masterKeys }),
    ] as const;
    for (let round = 0; round < REFRESH_ROUNDS; round++) {
      const browser = createBrowser(hosts[0]);
      await browser.signIn();
      const old = copyOf(hosts[0], browser);
      if (round % 3 === 1) await browser.refresh();
      const all = Array.from({ length: 50 }, (_, index) => copyOf(hosts[index % 2] as AuthServer, browser));
      const other = copyOf(hosts[1], browser);
      const work = all.map((one) => one.refresh());
      if (round % 3 === 2) void work.splice(round % 50, 0, other.send('POST', '/api/v1/logout/'));
      const codes = (await Promise.all(work)).map(({ status }) => status);
      if (round % 3 < 2) {
        t.deepEqual(new Set(codes), new Set([200]), `round ${round}`);
        t.is(new Set(all.map(({ jar }) => jar.get('refresh_token'))).size, 1, `round ${round}`);
      }
      if (round % 3 === 1) {
        const [last = browser] = all;
        t.is((await last.refresh()).status, 200);
        t.is(await codeOf(await old.refresh()), '401 REPLAY_DETECTED');
      }
      if (round % 3 === 0) continue;
      for (const one of [...all.slice(0, 4), other]) {
        t.is(await codeOf(await one.refresh()), '401 UNAUTHORIZED', `round ${round}: nothing lives`);
        t.is(await verify(hosts[1] as AuthServer, access(one) ?? 'x'), '401 UNAUTHORIZED');
      }
    }
  });

  test(`${name}: an unknown refresh token ends nothing`, async (t) => {
    const server = await start(t, engine);
    const { browser } = server;
    const token = browser.jar.get('refresh_token') as string;
    const bytes = Buffer.from(token.slice('hushbox_refresh_'.length), 'base64url');
    const mutants = [...bytes.keys()].map((index) => {
      const changed = Buffer.from(bytes);
      changed[index] = (changed[index] as number) ^ 1;
      return `hushbox_refresh_${changed.toString('base64url')}`;
    });
    for (const value of [...mutants, '', 'x', `${token}A`, token.slice(0, -1), token.slice(16)]) {
      const thief = createBrowser(server);
      thief.jar.set('refresh_token', value);
      t.is(await codeOf(await thief.refresh()), '401 UNAUTHORIZED');
    }
    t.is((await browser.refresh()).status, 200);
  });

  test(`${name}: SINGLE_SESSION holds for sessions of every kind`, async (t) => {
    const server = await start(t, engine, { SINGLE_SESSION: 'true' });
    const token = await server.logIn();
    t.is(await codeOf(await server.browser.send('GET', '/data')), '401 UNAUTHORIZED');
    t.is((await server.browser.signIn()).status, 200);
    t.like(await server.validate(token), { authenticated: false });
  });

  test(`${name}: verify extends nothing, and says until when`, async (t) => {
    const server = await start(t, engine);
    const token = await server.logIn();
    server.clock.advance({ minutes: 20 });
    const response = await server.post('/api/v1/verify/', { token }, { cookie: 'access_token=x', token: 'y' });
    t.is(response.status, 200);
    t.like(await response.json(), {
      email: EMAIL,
      role: 'member',
      expires_at: new Date(server.clock.now + 10 * 60_000).toISOString(),
    });
    server.clock.advance({ minutes: 10 });
    t.is(await verify(server, token), '401 UNAUTHORIZED');
  });

  test(`${name}: no browser session, and no key, from before a restore is good`, async (t) => {
    let refusedUntil = 0;
    const server = await startAuth(t, engine, {}, { refusedUntil: () => refusedUntil });
    const browser = createBrowser(server);
    await browser.signIn();
    refusedUntil = server.clock.now;
    t.is(await codeOf(await browser.send('GET', '/data')), '401 UNAUTHORIZED');
    t.is(await codeOf(await browser.refresh()), '401 UNAUTHORIZED');
    t.is(await verify(server, access(browser)), '401 UNAUTHORIZED');
  });
}

test('what a cookie authenticates needs the token of our own pages, bound to the session', async (t) => {
  const server = await start(t);
  const { browser } = server;
  const other = createBrowser(server);
  await other.signIn();
  const foreign = other.jar.get('csrftoken') as string;
  const own = browser.jar.get('csrftoken') as string;
  const cookies = (csrf: string): string =>
    `access_token=${access(browser)}; refresh_token=${browser.jar.get('refresh_token')}; csrftoken=${csrf}`;
  const bad: Record<string, string | undefined>[] = [
    { 'x-csrftoken': undefined },
    { 'x-csrftoken': '' },
    { 'x-csrftoken': `${own}x` },
    { 'x-csrftoken': foreign },
    { 'x-csrftoken': foreign, cookie: cookies(foreign) },
    { 'x-csrftoken': own, cookie: cookies(foreign) },
    { 'x-csrftoken': 'self-made', cookie: cookies('self-made') },
    { cookie: `access_token=${access(browser)}` },
    { cookie: `${cookies(own)}; csrftoken=${own}` },
  ];
  const changes = [
    ['POST', '/api/v1/test/'],
    ['POST', '/api/v1/logout/'],
    ['POST', '/customers/create', { name: 'n', dob: '2000-01-01' }],
    ['DELETE', '/customers/delete?id=x'],
    ['DELETE', '/sessions'],
    ['DELETE', '/logout'],
    ['POST', '/proxy/'],
  ] as const;
  for (const headers of bad) {
    for (const [method, path, body] of changes) {
      t.is(
        await codeOf(await browser.send(method, path, body, headers)),
        '403 CSRF_FAILED',
        `${path} ${JSON.stringify(headers)}`,
      );
    }
  }
  t.is((await browser.send('POST', '/api/v1/test/')).status, 200, 'nothing has ended');
  t.is(await codeOf(await createBrowser(server).send('POST', '/api/v1/test/')), '401 UNAUTHORIZED');
  const token = await server.logIn();
  for (const given of [token, access(browser)]) {
    t.is(
      await codeOf(await server.post('/api/v1/test/', undefined, { token: given })),
      '403 CSRF_FAILED',
      'no browser',
    );
  }
});

test('a refresh arms the binding, as every use does that has the cookie', async (t) => {
  const server = await start(t);
  const { browser } = server;
  await browser.send('GET', '/session_cookie_experiment');
  t.is((await browser.refresh()).status, 200);
  const bare = `refresh_token=${browser.jar.get('refresh_token')}`;
  t.is(await codeOf(await browser.refresh({ cookie: bare })), '401 REPLAY_DETECTED', 'at once');
});

test('a session that is bound to a cookie is refreshed with it alone', async (t) => {
  const server = await start(t);
  const { browser } = server;
  t.is((await browser.send('GET', '/session_cookie_experiment')).status, 200);
  server.clock.advance({ seconds: 10 });
  t.is((await browser.refresh()).status, 200);
  const stolen = `refresh_token=${browser.jar.get('refresh_token')}`;
  t.is(await codeOf(await browser.refresh({ cookie: stolen })), '401 REPLAY_DETECTED');
  t.is(await codeOf(await browser.refresh()), '401 UNAUTHORIZED');
  t.regex(server.logged(), /"audit":"session\.replay_detected"/);
});

test('where only the cookies of a browser count, a token is refused, and lives no longer for it', async (t) => {
  const server = await start(t);
  const token = await server.logIn();
  for (let minutes = 0; minutes < 30; minutes += 10) {
    for (const path of ['/api/v1/test/', '/api/v1/logout/']) {
      t.is(await codeOf(await server.post(path, undefined, { token })), '403 CSRF_FAILED', `${minutes} ${path}`);
    }
    server.clock.advance({ minutes: 10 });
  }
  t.is(await codeOf(await server.post('/api/v1/test/', undefined, { token })), '401 UNAUTHORIZED');
});

test('pages of other websites, of the same site and of CORS_ORIGINS too, do nothing with cookies', async (t) => {
  const server = await start(t, SQLITE, { CORS_ORIGINS: 'https://app.example' });
  const { browser } = server;
  const foreign: Record<string, string | undefined>[] = [
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
    { 'sec-fetch-site': 'cross-site', origin: 'https://app.example' },
    { 'sec-fetch-site': undefined, origin: 'https://app.example' },
    { 'sec-fetch-site': undefined, origin: 'null' },
  ];
  for (const headers of foreign) {
    for (const path of ['/api/v1/test/', '/api/v1/logout/', '/api/v1/login/refresh/', '/customers/create']) {
      t.is(await codeOf(await browser.send('POST', path, undefined, headers)), '403 FOREIGN_ORIGIN', path);
    }
    const stranger = createBrowser(server);
    const signIn = await stranger.send('POST', '/api/v1/login/', { email: EMAIL, password: PASSWORD }, headers);
    t.is(await codeOf(signIn), '403 FOREIGN_ORIGIN');
    t.is(stranger.jar.size, 0);
    t.is(signIn.headers.get('access-control-allow-credentials'), null);
  }
  const form = { 'sec-fetch-site': 'same-origin', origin: 'null' }; // a form of our own page, which sends no referrer
  t.is((await browser.send('POST', '/api/v1/test/', undefined, form)).status, 200);
  t.is((await browser.send('POST', '/api/v1/test/', undefined, { 'sec-fetch-site': 'none' })).status, 200);
});

test('a token in a header counts before cookies, which never replace it', async (t) => {
  const server = await start(t);
  const { browser } = server;
  for (const headers of [{ token: 'x' }, { authorization: 'Bearer x' }, { authorization: 'Bearer' }]) {
    t.is(
      await codeOf(await browser.send('GET', '/data', undefined, headers)),
      '401 UNAUTHORIZED',
      JSON.stringify(headers),
    );
  }
  const token = await server.logIn();
  const created = await browser.send(
    'POST',
    '/customers/create',
    { name: 'n', dob: '2000-01-01' },
    { token, 'x-csrftoken': undefined },
  );
  t.is(created.status, 201, 'and needs no X-CSRFToken');
});

test('over HTTPS the names begin with __Host-, and only such names are read', async (t) => {
  const server = await startAuth(t, SQLITE, { PUBLIC_URL: 'https://box.example' });
  const browser = createBrowser(server);
  t.is((await browser.signIn()).status, 200);
  t.deepEqual([...browser.jar.keys()], ['__Host-access_token', '__Host-refresh_token', '__Host-csrftoken']);
  for (const header of browser.set) t.regex(header, /; Path=\/; .*; Secure$/);
  t.is((await browser.send('GET', '/data')).status, 200);
  t.is((await browser.send('POST', '/api/v1/test/')).status, 200);
  t.is((await browser.refresh()).status, 200);
  const bare = createBrowser(server);
  for (const [name, value] of browser.jar) bare.jar.set(name.replace('__Host-', ''), value);
  t.is(await codeOf(await bare.send('GET', '/data')), '401 UNAUTHORIZED');
  t.is(await codeOf(await bare.refresh()), '401 UNAUTHORIZED');
  t.is((await browser.send('POST', '/api/v1/logout/')).status, 204);
  t.is(browser.jar.size, 0);
});

test('over plain HTTP elsewhere than on a loopback address there are no cookies', async (t) => {
  const server = await startAuth(t, SQLITE, { PUBLIC_URL: 'http://box.example' });
  const browser = createBrowser(server);
  t.is(await codeOf(await browser.signIn()), '403 HTTPS_REQUIRED');
  t.is(await codeOf(await browser.refresh()), '403 HTTPS_REQUIRED');
  browser.jar.set('access_token', 'x');
  for (const path of ['/data', '/sessions']) t.is(await codeOf(await browser.send('GET', path)), '403 HTTPS_REQUIRED');
});

test('two cookies of one name: somebody else has set one', async (t) => {
  const server = await start(t);
  const { browser } = server;
  const twice = { cookie: `${browser.cookieHeader().cookie}; access_token=x; refresh_token=x` };
  t.is(await codeOf(await browser.send('GET', '/data', undefined, twice)), '401 UNAUTHORIZED');
  t.is(await codeOf(await browser.refresh(twice)), '401 UNAUTHORIZED');
});

test('signing in takes forms as well as JSON, and no files', async (t) => {
  const server = await startAuth(t, SQLITE);
  const URL_ENCODED = 'application/x-www-form-urlencoded';
  type Body = string | FormData | URLSearchParams | Buffer;
  const post = async (given: Body, type?: string): Promise<string> => {
    const body = Buffer.isBuffer(given) ? new Uint8Array(given) : given;
    const request = new Request(`${server.base}/api/v1/login/`, {
      method: 'POST',
      body,
      ...(type && { headers: { 'content-type': type } }),
    });
    const bytes = new Uint8Array(await request.arrayBuffer());
    return codeOf(
      await fetch(request.url, {
        method: 'POST',
        body: bytes,
        headers: { 'content-type': request.headers.get('content-type') ?? '' },
      }),
    );
  };
  const fields = { email: EMAIL, password: PASSWORD };
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.set(name, value);
  t.is(await post(form), '200');
  t.is(await post(new URLSearchParams(fields)), '200');
  t.is(await post(`\uFEFF${new URLSearchParams(fields)}`, URL_ENCODED), '200', 'a mark before it');
  for (const type of ['application/json', 'text/plain', URL_ENCODED, 'multipart/form-data; boundary=b']) {
    t.is(await post(JSON.stringify(fields), type), '200', type);
    t.is(await post(` \n${JSON.stringify(fields)}`, type), '200', type);
    t.is(await post(`\uFEFF${JSON.stringify(fields)}`, type), '200', `${type} with a mark`);
  }
  const bad: [string, Body, string?][] = [
    ['a field twice', new URLSearchParams([...Object.entries(fields), ['email', EMAIL]])],
    ['octets that are not UTF-8', `${new URLSearchParams(fields)}%ff`, URL_ENCODED],
    [
      'bytes that are not UTF-8',
      Buffer.concat([Buffer.from(`${new URLSearchParams(fields)}`), Buffer.of(255)]),
      URL_ENCODED,
    ],
    ['no form', 'x', 'multipart/form-data; boundary=b'],
    ['no boundary', 'x', 'multipart/form-data'],
    ['an unknown field', new URLSearchParams({ ...fields, role: 'admin' })],
    ['nothing', ''],
    ['nothing, as a form', '', 'application/x-www-form-urlencoded'],
    ['an object', JSON.stringify({ email: { $ne: '' }, password: { $ne: '' } })],
  ];
  const withFile = new FormData();
  for (const [name, value] of Object.entries(fields)) withFile.set(name, value);
  withFile.set('photo', new Blob([PASSWORD]), 'a.txt');
  bad.push(['a file', withFile]);
  const twice = new FormData();
  twice.append('email', EMAIL);
  twice.append('email', EMAIL);
  bad.push(['a part twice', twice]);
  for (const [title, body, type] of bad) t.is(await post(body, type), '400 INVALID_REQUEST', title);
  t.is(await post(`email=${'x'.repeat(65_536)}`, 'application/x-www-form-urlencoded'), '413 TOO_LARGE');
});

test('an access token is verified by others with the keys that are served', async (t) => {
  const server = await start(t);
  const keys = createRemoteJWKSet(new URL(`${server.base}/.well-known/jwks.json`), { timeoutDuration: 60_000 });
  const token = access(server.browser);
  const { payload, protectedHeader } = await jwtVerify(token, keys, {
    audience: 'hushbox',
    typ: 'at+jwt',
    algorithms: ['ES256'],
    currentDate: new Date(server.clock.now),
  });
  t.regex(payload.iss as string, /^hushbox-[0-9a-f]{16}$/);
  t.is((payload.exp as number) - (payload.iat as number), 300);
  t.is(typeof payload.sid, 'string');
  const served = await server.get('/.well-known/jwks.json');
  t.is(served.headers.get('cache-control'), 'public, max-age=300');
  const { keys: all } = (await served.clone().json()) as { keys: Record<string, string>[] };
  t.deepEqual(
    all.map(({ kid }) => kid),
    [protectedHeader.kid],
  );
  t.deepEqual(Object.keys(all[0] as object).sort(), ['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y'], 'no private member');
  const etag = served.headers.get('etag') as string;
  const again = await server.get('/.well-known/jwks.json', { 'if-none-match': etag });
  t.is(again.status, 304);
  t.is(again.headers.get('etag'), etag);
  t.is(await again.text(), '');
});

test('a forged, foreign or spoilt access token is not good', async (t) => {
  const server = await start(t);
  const good = access(server.browser);
  const { kid } = decodeProtectedHeader(good);
  const claims = decodeJwt(good);
  const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true });
  const [head = '', body = '', signature = ''] = good.split('.');
  const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const served = (await (await server.get('/.well-known/jwks.json')).json()) as { keys: Record<string, string>[] };
  const forge = (header: object, changes: object = {}): Promise<string> =>
    new SignJWT({ ...claims, ...changes })
      .setProtectedHeader({ alg: 'ES256', typ: 'at+jwt', kid, ...header } as never)
      .sign(privateKey);
  const underPublicKey = `${encode({ alg: 'HS256', typ: 'at+jwt', kid })}.${body}`;
  const forged: Record<string, string> = {
    'another key': await forge({}),
    'its key in the header': await forge({ jwk: await exportJWK(publicKey) }),
    'a place of its key': await forge({ jku: `${server.base}/.well-known/jwks.json` }),
    'a kid that is a path': await forge({ kid: '../../etc/passwd' }),
    'a kid that is a query': await forge({ kid: "' OR 1=1 --" }),
    'alg none': `${encode({ alg: 'none', typ: 'at+jwt', kid })}.${body}.`,
    'HS256 with the public key': `${underPublicKey}.${createHmac('sha256', JSON.stringify(served.keys[0])).update(underPublicKey).digest('base64url')}`,
    'another head': `${encode({ alg: 'ES256', typ: 'JWT', kid })}.${body}.${signature}`,
    'another body': `${head}.${encode({ ...claims, sub: 'x' })}.${signature}`,
    'a spoilt signature': `${head}.${body}.${signature.slice(0, -4)}AAAA`,
    'no signature': `${head}.${body}.`,
    'too long': `${head}.${body}.${'A'.repeat(4096)}`,
  };
  for (const [title, token] of Object.entries(forged)) {
    t.is(await verify(server, token), '401 UNAUTHORIZED', title);
    t.like(await server.validate(token), { authenticated: false }, title);
    t.is(
      await codeOf(await server.post('/proxy/', undefined, { token })),
      '401 UNAUTHORIZED',
      `at the proxy: ${title}`,
    );
  }
  t.is(await verify(server, good), '200');
  server.clock.advance({ seconds: 300 });
  t.is(await verify(server, good), '401 UNAUTHORIZED', 'to the millisecond');
});

test('a token that our own key signed is good only if every claim is right', async (t) => {
  const masterKeys = [randomBytes(32)] as const;
  const server = await startAuth(t, SQLITE, {}, { masterKeys });
  const [browser, other] = [createBrowser(server), createBrowser(server)];
  await server.addAccount('other@example.com');
  await browser.signIn();
  await other.send('POST', '/api/v1/login/', { email: 'other@example.com', password: PASSWORD });
  const ring = createKeyRing(masterKeys);
  const { storage, clock } = server;
  const keys = await createSigningKeys({ store: storage.signingKeys, ring, clock: () => clock.now }).load();
  const { kid, privateKey } = keys.signerAt(clock.now);
  const claims = decodeJwt(access(browser));
  const sign = (changes: object, typ = 'at+jwt'): Promise<string> =>
    new SignJWT({ ...claims, ...changes }).setProtectedHeader({ alg: 'ES256', typ, kid }).sign(privateKey);
  t.is(await verify(server, await sign({})), '200');
  const wrong: Record<string, string> = {
    audience: await sign({ aud: 'somebody else' }),
    issuer: await sign({ iss: 'https://other.example' }),
    type: await sign({}, 'JWT'),
    account: await sign({ sub: decodeJwt(access(other)).sub }),
    session: await sign({ sid: decodeJwt(access(other)).sid }),
    'no session': await sign({ sid: undefined }),
    'no end': await sign({ exp: undefined }),
  };
  for (const [title, token] of Object.entries(wrong)) t.is(await verify(server, token), '401 UNAUTHORIZED', title);
});

test('a refresh token of a generation that is not there yet is unknown, and ends nothing', async (t) => {
  const masterKeys = [randomBytes(32)] as const;
  const server = await startAuth(t, SQLITE, {}, { masterKeys });
  const browser = createBrowser(server);
  await browser.signIn();
  const token = parseRefreshToken(createKeyRing(masterKeys), browser.jar.get('refresh_token') as string);
  const ahead = createBrowser(server);
  ahead.jar.set('refresh_token', formatRefreshToken({ ...(token as RefreshToken), generation: 1 }));
  t.is(await codeOf(await ahead.refresh()), '401 UNAUTHORIZED', 'as after a restore');
  t.is((await browser.refresh()).status, 200);
});

test('a token that needs a proof or a cookie is not good for somebody else, who ends nothing by asking', async (t) => {
  const server = await startAuth(t, SQLITE);
  const bound = await logInAt(server.storage, server.clock.now, { keyThumbprint: 'x'.repeat(43) });
  t.is(await verify(server, bound.token), '401 UNAUTHORIZED');
  const token = await server.logIn();
  const cookie =
    (await server.get('/session_cookie_experiment', { token })).headers.get('set-cookie')?.split(';')[0] ?? '';
  t.is(await verify(server, token), '200', 'not armed yet');
  t.is((await server.get('/data', { token, cookie })).status, 200);
  t.is(await verify(server, token), '401 UNAUTHORIZED');
  t.is((await server.get('/data', { token, cookie })).status, 200);
});

test('sessions and refresh tokens survive another master key as long as the old one is there', async (t) => {
  const [old, fresh] = [randomBytes(32), randomBytes(32)];
  const place = await SQLITE.place(t);
  const before = await startAuth(t, { place: async () => place }, {}, { masterKeys: [old] });
  const browser = createBrowser(before);
  await browser.signIn();
  const csrf = browser.jar.get('csrftoken');
  const after = copyOf(await startServer(t, { place, masterKeys: [fresh, old] }), browser);
  t.is((await after.refresh()).status, 200);
  t.is(after.jar.get('csrftoken'), csrf, 'it keeps its value');
  t.is((await after.send('POST', '/api/v1/test/')).status, 200);
  const without = copyOf(await startServer(t, { place, masterKeys: [fresh] }), after);
  t.is(await codeOf(await without.refresh()), '401 UNAUTHORIZED');
});

test("at the proxy what is somebody else's is ignored in a header, and a cookie is always ours", async (t) => {
  const server = await start(t);
  const { privateKey } = await generateKeyPair('ES256');
  const foreign = await new SignJWT({ sub: 'x' })
    .setProtectedHeader({ alg: 'ES256' })
    .setIssuer('https://other.example')
    .sign(privateKey);
  const post = (headers: Record<string, string>): Promise<Response> => server.post('/proxy/', undefined, headers);
  const userOf = async (response: Response): Promise<string> =>
    ((await response.json()) as { payload: { user: string } }).payload.user;
  for (const headers of [
    { token: foreign },
    { authorization: `Bearer ${foreign}` },
    { authorization: `JWT ${foreign}` },
    { token: 'a.b.c' },
    { token: 'x' },
    { authorization: 'Basic eA==' },
  ]) {
    t.is(await userOf(await post(headers as Record<string, string>)), 'username', JSON.stringify(headers));
  }
  const own = access(server.browser);
  t.is(await userOf(await server.browser.send('POST', '/proxy/')), EMAIL);
  t.is(await userOf(await post({ authorization: `Bearer ${own}` })), EMAIL);
  const [head = '', body = ''] = own.split('.');
  const [session = ''] = [await server.logIn()];
  for (const headers of [
    { cookie: 'access_token=theirs' },
    { cookie: `access_token=${foreign}` },
    { token: `${head}.${body}.` },
    { token: `${own}=` },
    { token: `${own}.x` },
    { authorization: `Token ${session}` },
    { authorization: `Bearer ${session}, Bearer x` },
  ]) {
    t.is(await codeOf(await post(headers as Record<string, string>)), '401 UNAUTHORIZED', JSON.stringify(headers));
  }
});

test('of an access token every character counts', async (t) => {
  const server = await start(t);
  const token = access(server.browser);
  const DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  const good = [...DIGITS].map((last) => token.slice(0, -1) + last);
  const codes = await Promise.all(good.map((one) => verify(server, one)));
  t.is(codes.filter((code) => code === '200').length, 1);
});

test('the issuer stays when the master key is replaced, and is one for all hosts', async (t) => {
  const [old, fresh] = [randomBytes(32), randomBytes(32)];
  const place = await SQLITE.place(t);
  const before = await startAuth(t, { place: async () => place }, {}, { masterKeys: [old] });
  const browser = createBrowser(before);
  await browser.signIn();
  const after = await startServer(t, { place, masterKeys: [fresh, old] });
  t.is((await after.post('/api/v1/verify/', { token: access(browser) })).status, 200);
  const moved = copyOf(after, browser);
  t.is((await moved.refresh()).status, 200);
  t.is(decodeJwt(access(moved)).iss, decodeJwt(access(browser)).iss);
});

test('the list of keys is revalidated as any other resource', async (t) => {
  const server = await start(t);
  const etag = (await server.get('/.well-known/jwks.json')).headers.get('etag') as string;
  for (const given of [etag, `W/${etag}`, `"a", ${etag}`, '*']) {
    t.is((await server.get('/.well-known/jwks.json', { 'if-none-match': given })).status, 304, given);
  }
  t.is((await server.get('/.well-known/jwks.json', { 'if-none-match': '"a"' })).status, 200);
});

test('a log-out of a browser by the route of API clients clears its cookies too', async (t) => {
  const { browser } = await start(t);
  t.is((await browser.send('DELETE', '/logout')).status, 204);
  t.is(browser.jar.size, 0);
});

test('verify and refresh have 300 a minute from one network', async (t) => {
  const server = await start(t, SQLITE, { LIMITS: 'on' });
  const calls = {
    verify: () => server.post('/api/v1/verify/', { token: 'x' }),
    refresh: () => server.post('/api/v1/login/refresh/', undefined, { cookie: 'refresh_token=x' }),
  };
  for (const [name, call] of Object.entries(calls)) {
    const codes = await Promise.all(Array.from({ length: 301 }, async () => codeOf(await call())));
    t.is(codes.filter((code) => code === '401 UNAUTHORIZED').length, 300, name);
    t.is(codes.filter((code) => code === '429 RATE_LIMITED').length, 1, name);
  }
});
