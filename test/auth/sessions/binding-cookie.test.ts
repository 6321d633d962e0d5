import test from 'ava';
import { ENGINES, SQLITE } from '../../support/storage/storage.ts';
import { type AuthServer, startAuth } from './support.ts';

const PATH = '/session_cookie_experiment';

function bind(server: AuthServer, token: string, headers: Record<string, string> = {}): Promise<Response> {
  return server.get(PATH, { token, ...headers });
}

/** The pair of a `Set-Cookie`. */
function pairOf(response: Response): string {
  return response.headers.get('set-cookie')?.split(';')[0] ?? '';
}

const OK = { authenticated: true };
const REPLAYED = { authenticated: false, code: 'REPLAY_DETECTED' };
const ENDED = { authenticated: false, code: 'UNAUTHORIZED' };

for (const engine of ENGINES) {
  const { name, test } = engine;

  test(`${name}: once its cookie was seen, a token without it is detected, and its session has ended`, async (t) => {
    const server = await startAuth(t, engine);
    const token = await server.logIn();
    const bystander = await server.logIn();
    const bound = await bind(server, token);
    t.is(bound.status, 200);
    const { session_id } = await server.validate(token);
    t.deepEqual(await bound.json(), { session_id });
    t.regex(
      bound.headers.get('set-cookie') ?? '',
      new RegExp(`^hushbox_session_${session_id}=[\\w-]{43}; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict$`),
    );
    t.like(await server.validate(token), OK); // not armed yet
    const cookie = pairOf(bound);
    t.like(await server.validate(token, { cookie: `a=b; ${cookie}; c=d` }), OK);
    t.like(await server.validate(token, { cookie }), OK);
    t.is((await server.get('/sessions', { token, cookie })).status, 200);
    const replayed = await server.get('/sessions', { token });
    t.is(replayed.status, 401);
    t.like(await replayed.json(), { code: 'REPLAY_DETECTED' });
    t.deepEqual(await server.validate(token, { cookie }), ENDED);
    t.like(await server.validate(bystander), OK);
    const audited = server.logged().match(/"audit":"session\.replay_detected"/g);
    t.is(audited?.length, 1);
    t.true(server.metrics().includes('hushbox_session_ends_total{reason="replayed"} 1'));
  });

  test(`${name}: it arms by itself 10 s after the first answer, not earlier and not later`, async (t) => {
    const server = await startAuth(t, engine);
    const [early, late] = [await server.logIn(), await server.logIn()];
    await bind(server, early);
    await bind(server, late);
    server.clock.advance({ seconds: 5 });
    const again = await bind(server, late); // does not begin the 10 s again
    server.clock.now += 4_999;
    t.like(await server.validate(early), OK);
    server.clock.now += 1;
    t.deepEqual(await server.validate(early), REPLAYED);
    t.like(await server.validate(late, { cookie: pairOf(again) }), OK);
    t.deepEqual(await server.validate(late), REPLAYED);
  });

  test(`${name}: until then the call may be repeated: the last cookie counts`, async (t) => {
    const server = await startAuth(t, engine);
    const token = await server.logIn();
    const [lost, kept] = [await bind(server, token), await bind(server, token)];
    t.not(pairOf(lost), pairOf(kept));
    t.like(await server.validate(token, { cookie: pairOf(lost) }), OK);
    t.like(await server.validate(token, { cookie: pairOf(kept) }), OK);
    const repeated = await bind(server, token, { cookie: pairOf(kept) });
    t.is(repeated.status, 200);
    t.is(repeated.headers.get('set-cookie'), null);
    t.deepEqual(await server.validate(token, { cookie: pairOf(lost) }), REPLAYED);
  });

  test(`${name}: a wrong cookie, that of another session, and one under another name are replays`, async (t) => {
    const server = await startAuth(t, engine);
    const other = pairOf(await bind(server, await server.logIn()));
    const value = (pair: string): string => pair.split('=')[1] ?? '';
    for (const forge of [
      (pair: string) => `${pair}x`,
      (pair: string) => pair.toLowerCase(),
      (pair: string) => `__Host-${pair}`,
      (pair: string) => `x${pair}`,
      (pair: string) => `${pair.split('=')[0]}=${value(other)}`,
      (pair: string) => `${other.split('=')[0]}=${value(pair)}`,
      (pair: string) => `${pair.split('=')[0]}=`,
      () => other,
      () => '',
      () => ';;;==;',
      (pair: string) => `${pair.split('=')[0]}=x; ${pair}`,
    ]) {
      const token = await server.logIn();
      const cookie = pairOf(await bind(server, token));
      t.like(await server.validate(token, { cookie }), OK);
      t.deepEqual(await server.validate(token, { cookie: forge(cookie) }), REPLAYED, forge(cookie));
      t.deepEqual(await server.validate(token, { cookie }), ENDED);
    }
  });

  test(`${name}: a binding that armed stays armed when the clock is set back`, async (t) => {
    const server = await startAuth(t, engine);
    const token = await server.logIn();
    const cookie = pairOf(await bind(server, token));
    server.clock.advance({ seconds: 20 });
    t.like(await server.validate(token, { cookie }), OK);
    server.clock.advance({ seconds: -30 });
    t.deepEqual(await server.validate(token), REPLAYED);
  });

  test(`${name}: a binding that did not arm yet arms when the clock is set back`, async (t) => {
    const server = await startAuth(t, engine);
    const [bare, bound] = [await server.logIn(), await server.logIn()];
    await bind(server, bare);
    const cookie = pairOf(await bind(server, bound));
    server.clock.now -= 9_999; // two hosts may disagree as much
    t.like(await server.validate(bound), OK);
    server.clock.now -= 1;
    t.is((await bind(server, bound, { cookie })).headers.get('set-cookie'), null);
    t.like(await server.validate(bound, { cookie }), OK);
    t.deepEqual(await server.validate(bare), REPLAYED);
    t.deepEqual(await server.validate(bound), REPLAYED);
  });
}

test('over HTTPS the cookie is Secure and has the prefix, by PUBLIC_URL or a trusted proxy', async (t) => {
  const places: readonly [env: Record<string, string>, headers: Record<string, string>][] = [
    [{ PUBLIC_URL: 'https://hush.example' }, {}],
    [{ PUBLIC_URL: 'https://hush.example', TRUSTED_PROXIES: '127.0.0.1' }, { 'x-forwarded-proto': 'http' }],
    [{ TRUSTED_PROXIES: '127.0.0.1' }, { 'x-forwarded-proto': 'https' }],
  ];
  for (const [env, headers] of places) {
    const server = await startAuth(t, SQLITE, env);
    const token = await server.logIn();
    const bound = await bind(server, token, headers);
    t.regex(bound.headers.get('set-cookie') ?? '', /^__Host-hushbox_session_.*; HttpOnly; SameSite=Strict; Secure$/);
    const cookie = pairOf(bound);
    t.like(await server.validate(token, { cookie }), OK);
    t.deepEqual(await server.validate(token, { cookie: cookie.replace('__Host-', '') }), REPLAYED);
  }
});

test('on plain HTTP elsewhere than on a loopback address it is refused, and nothing is bound or extended', async (t) => {
  const places: readonly [env: Record<string, string>, headers: Record<string, string>][] = [
    [{ PUBLIC_URL: 'http://hush.example' }, {}],
    [{ TRUSTED_PROXIES: '127.0.0.1' }, { 'x-forwarded-proto': 'http', 'x-forwarded-host': 'hush.example' }],
  ];
  for (const [env, headers] of places) {
    const server = await startAuth(t, SQLITE, env);
    const token = await server.logIn();
    server.clock.advance({ minutes: 20 });
    const refused = await bind(server, token, headers);
    t.is(refused.status, 403);
    t.like(await refused.json(), { code: 'HTTPS_REQUIRED' });
    t.is(refused.headers.get('set-cookie'), null);
    server.clock.advance({ minutes: 10 });
    t.deepEqual(await server.validate(token), ENDED);
    t.is((await server.get(PATH, headers)).status, 401);
  }
});

test('an untrusted X-Forwarded-Proto makes nothing HTTPS', async (t) => {
  const server = await startAuth(t, SQLITE);
  const bound = await bind(server, await server.logIn(), { 'x-forwarded-proto': 'https' });
  t.regex(bound.headers.get('set-cookie') ?? '', /^hushbox_session_/);
});

test('a cookie alone opens nothing', async (t) => {
  const server = await startAuth(t, SQLITE);
  const token = await server.logIn();
  const cookie = pairOf(await bind(server, token));
  for (const path of ['/sessions', PATH]) t.is((await server.get(path, { cookie })).status, 401);
});
