import { randomBytes } from 'node:crypto';
import test from 'ava';
import { converse } from '../../support/http/raw.ts';
import { startServer } from '../../support/http/server.ts';
import { ENGINES, SQLITE } from '../../support/storage/storage.ts';
import { codeOf } from '../sessions/browser-support.ts';
import { EMAIL } from '../sessions/support.ts';
import { ADDRESS, PROFILE, SECRET, startAccounts, visibleOf } from './support.ts';

const DAY = { hours: 24 } as const;

for (const engine of ENGINES) {
  const { name, test } = engine;

  test(`${name}: an address registers, gets a mail, activates its account once, and signs in`, async (t) => {
    const server = await startAccounts(t, engine);
    const response = await server.register();
    t.is(response.status, 201);
    t.deepEqual(await response.json(), { email: ADDRESS });
    t.is((await server.signIn()).code, '401 INVALID_CREDENTIALS');
    t.is(await server.storage.accounts.findByEmail(ADDRESS), undefined);
    const { subject, link = '' } = await server.mailNumber(1);
    t.is(subject, 'Activate your account');
    t.regex(link, new RegExp(`^${server.base}/api/v1/activate/\\?token=hushbox_link_[\\w-]{42}[A-Za-z0-9]$`));
    const token = await server.tokenNumber(1);
    const activated = await server.post('/api/v1/activate/', { token });
    t.is(activated.status, 200);
    t.deepEqual(activated.headers.getSetCookie(), [], 'signs nobody in');
    t.is(await server.activate(token), '410 LINK_GONE');
    const { browser, code } = await server.signIn();
    t.is(code, '200');
    const me = await (await browser.send('GET', '/api/v1/me/')).json();
    t.like(me, { email: ADDRESS, role: 'member', profile: PROFILE });
    t.regex(server.logged(), /"audit":"account\.registered"/);
    t.regex(server.logged(), /"audit":"account\.activated"/);
  });

  test(`${name}: each registration stands alone: the first link pressed decides`, async (t) => {
    const server = await startAccounts(t, engine);
    await server.register({ password: 'of the attacker', profile: { first_name: 'Mallory' } });
    const attackers = await server.tokenNumber(1);
    await server.register({ password: 'of the owner', profile: { first_name: 'Olga' } });
    const owners = await server.tokenNumber(2);
    t.is(await server.activate(owners), '200');
    t.is(await server.activate(attackers), '410 LINK_GONE');
    t.is((await server.signIn(ADDRESS, 'of the attacker')).code, '401 INVALID_CREDENTIALS');
    const { browser } = await server.signIn(ADDRESS, 'of the owner');
    t.like(await (await browser.send('GET', '/api/v1/me')).json(), { profile: { first_name: 'Olga' } });
  });

  test(`${name}: an address that has an account gets the same answer, and a mail that says so`, async (t) => {
    const server = await startAccounts(t, engine);
    const [known, unknown] = [EMAIL, 'owneu@example.com'];
    const answers = [];
    for (const email of [known, unknown]) answers.push(await visibleOf(await server.register({ email }), email));
    t.deepEqual(answers[0], answers[1]);
    const mail = await server.mailNumber(1, known);
    t.is(mail.subject, 'You already have an account');
    t.is(mail.link, `${server.base}/signin`);
    t.is((await server.mailNumber(1, unknown)).subject, 'Activate your account');
    t.is(server.mail.mails.length, 2);
    t.is((await server.tryLogIn()).status, 200, 'the account is as it was');
  });

  test(`${name}: of a link that is not sent nothing is left; a known address can be resent nothing`, async (t) => {
    const server = await startAccounts(t, engine);
    await server.register({ email: EMAIL });
    await server.mailNumber(1, EMAIL);
    const answers = [];
    for (const email of [EMAIL, 'nobody@example.com', 'no address', '']) {
      answers.push(await visibleOf(await server.post('/api/v1/register/resend/', { email }), email));
    }
    t.is((answers[0] as { status: number }).status, 202);
    for (const answer of answers) t.deepEqual(answer, answers[0]);
    await server.register();
    await server.mailNumber(1);
    t.is(server.mail.mails.length, 2);
    t.true((await server.storage.links.sweepLinks(server.clock.now, 100)) >= 4, 'they have expired at once');
  });
}

test('a link can be sent again; each of the two is good, until one was used', async (t) => {
  const server = await startAccounts(t);
  await server.register();
  const first = await server.tokenNumber(1);
  t.is((await server.post('/api/v1/register/resend', { email: ADDRESS.toUpperCase() })).status, 202);
  const second = await server.tokenNumber(2);
  t.not(first, second);
  t.is(await server.activate(second), '200');
  t.is(await server.activate(first), '410 LINK_GONE');
  t.is((await server.signIn()).code, '200');
});

test('a link is good for 24 hours, to the millisecond, and not after a restore', async (t) => {
  let refusedUntil = 0;
  const server = await startAccounts(t, SQLITE, {}, { refusedUntil: () => refusedUntil });
  for (const email of ['one@example.com', 'two@example.com', 'three@example.com']) await server.register({ email });
  const [one, two, three] = await Promise.all(
    ['one@example.com', 'two@example.com', 'three@example.com'].map((email) => server.tokenNumber(1, email)),
  );
  refusedUntil = server.clock.now;
  t.is(await server.activate(three as string), '410 LINK_GONE');
  refusedUntil = server.clock.now - 1;
  server.clock.advance(DAY);
  server.clock.now -= 1;
  t.is(await server.activate(one as string), '200');
  server.clock.now += 1;
  t.is(await server.activate(two as string), '410 LINK_GONE');
});

test('forms and JSON register; everything else is refused and named', async (t) => {
  const server = await startAccounts(t);
  const form = new FormData();
  for (const [name, value] of [
    ['email', ADDRESS],
    ['password', SECRET],
    ['profile', JSON.stringify(PROFILE)],
  ] as const) {
    form.set(name, value);
  }
  const body = new Response(form);
  const type = { 'content-type': body.headers.get('content-type') ?? '' };
  const sent = await server.post('/api/v1/register', await body.text(), type);
  t.is(sent.status, 201);
  const fields = new URLSearchParams({ email: 'b@example.com', password: SECRET, profile: '{}' }).toString();
  const urlEncoded = { 'content-type': 'application/x-www-form-urlencoded' };
  t.is((await server.post('/api/v1/register/', fields, urlEncoded)).status, 201);
  t.is((await server.register({ email: 'c@example.com', profile: undefined })).status, 201);
  const wrong: [object, RegExp][] = [
    [{ email: { $ne: '' } }, /email must be text/],
    [{ email: 'no address' }, /email must be an email address/],
    [{ email: 'a@b.example\r\nbcc: c@d.example' }, /email must be an email address/],
    [{ email: '"quoted"@b.example' }, /email must be an email address/],
    [{ password: { $ne: '' } }, /password must be text/],
    [{ password: 'short' }, /password must have 8 to 256 characters/],
    [{ password: 'qwertyuiop' }, /password is one of the most common/],
    [{ role: 'admin' }, /The body has an unknown member; allowed are: email, password, profile/],
    [{ id: 'x' }, /unknown member/],
    [{ email_verified: true }, /unknown member/],
    [{ profile: { role: 'admin' } }, /profile has an unknown member; allowed are: type, first_name/],
    [{ profile: '{"role":"admin"}' }, /profile has an unknown member/],
    [{ profile: JSON.parse('{"__proto__":{"role":"admin"}}') }, /profile has an unknown member/],
    [{ profile: 'text' }, /profile must be an object/],
    [{ profile: '[]' }, /profile must be an object/],
    [{ profile: null }, /profile must be an object/],
    [{ profile: { first_name: { $ne: '' } } }, /profile\.first_name must be text/],
    [{ profile: { first_name: 'я'.repeat(51) } }, /profile\.first_name must be at most 50 characters/],
    [{ profile: { birth_date: '2001-02-29' } }, /profile\.birth_date must be a date/],
    [{ profile: { birth_date: '2000-08-25T12:00:00' } }, /profile\.birth_date must be a date/],
    [{ profile: { birth_date: '2000-08-25T24:00:00Z' } }, /profile\.birth_date must be a date/],
    [{ profile: { birth_date: '2000-08-25T12:00:00+24:00' } }, /profile\.birth_date must be a date/],
    [{ profile: { birth_date: 'yesterday' } }, /profile\.birth_date must be a date/],
  ];
  for (const [wish, words] of wrong) {
    const response = await server.register(wish);
    t.is(response.status, 400, JSON.stringify(wish));
    t.regex(((await response.json()) as { Error: string }).Error, words);
  }
  for (const birth_date of [
    '2000-02-29',
    '1960-01-01T00:00Z',
    '2000-08-25T12:00:00.1234567890-23:59',
    '1998-12-31t23:59:60z',
  ]) {
    t.is(
      (await server.register({ email: 'd@example.com', profile: { birth_date, first_name: '🔑'.repeat(50) } })).status,
      201,
    );
  }
});

test('who can register: nobody, or addresses of the listed domains', async (t) => {
  const off = await startAccounts(t, SQLITE, { REGISTRATION: 'off' });
  t.is(await codeOf(await off.register()), '403 REGISTRATION_OFF');
  const listed = await startAccounts(t, SQLITE, { REGISTRATION: 'email.ee, Кто.рф' });
  t.is((await listed.register()).status, 201);
  t.is((await listed.register({ email: 'a@xn--j1ail.xn--p1ai' })).status, 201);
  for (const email of ['a@sub.email.ee', 'a@email.ee.example.com', 'email.ee@example.com']) {
    t.is(await codeOf(await listed.register({ email })), '403 REGISTRATION_OFF', email);
  }
});

test('registrations of one network are limited, mails to one address too, and then the answer is the same', async (t) => {
  const server = await startAccounts(t, SQLITE, { LIMITS: 'on' });
  const answers = [];
  for (let n = 0; n < 5; n++) answers.push(await visibleOf(await server.register(), ADDRESS));
  for (const answer of answers) t.deepEqual(answer, answers[0]);
  for (let n = 0; n < 5; n++) await server.post('/api/v1/password/forgot', { email: EMAIL });
  await server.mailNumber(3);
  await server.mailNumber(3, EMAIL);
  t.is(server.mail.mails.length, 6);
  for (let done = 5; done < 100; done += 5) {
    await Promise.all(Array.from({ length: 5 }, (_, n) => server.register({ email: `${done + n}@example.com` })));
  }
  const refused = await server.register({ email: 'more@example.com' });
  t.is(await codeOf(refused.clone()), '429 RATE_LIMITED');
  t.true(Number(refused.headers.get('retry-after')) > 0);
  server.clock.advance({ hours: 1 });
  t.is((await server.register({ email: 'more@example.com' })).status, 201);
  await server.mailNumber(1, 'more@example.com');
});

test('the page of a link uses nothing up, is the same for every token, and its form is enough', async (t) => {
  const server = await startAccounts(t);
  await server.register();
  const { link = '' } = await server.mailNumber(1);
  const token = await server.tokenNumber(1);
  const headers = { accept: 'text/html' };
  const pages = [];
  for (const one of [token, token.replace(/.$/, 'A'), 'x"><script>', '']) {
    const response = await server.get(`/api/v1/activate/?token=${encodeURIComponent(one)}`, headers);
    t.is(response.status, 200);
    t.is(response.headers.get('referrer-policy'), 'no-referrer');
    t.regex(response.headers.get('content-security-policy') ?? '', /default-src 'none';.*form-action 'self'/);
    const page = await response.text();
    t.notRegex(page, /<script(?! type="module" src=")|"><script/);
    pages.push(page.replace(/value="[^"]*"/, ''));
  }
  t.is(new Set(pages).size, 1);
  t.is((await server.get('/api/v1/activate/?token=a&token=b')).status, 400);
  const form = new URLSearchParams({ token }).toString();
  const post = { ...headers, 'content-type': 'application/x-www-form-urlencoded' };
  const fromPage = { ...post, origin: 'null', 'sec-fetch-site': 'same-origin' };
  t.is(
    await codeOf(
      await server.post('/api/v1/activate/', form, { ...post, accept: '*/*', 'sec-fetch-site': 'cross-site' }),
    ),
    '403 FOREIGN_ORIGIN',
  );
  const done = await server.post('/api/v1/activate/', form, fromPage);
  t.is(done.status, 200);
  t.regex(await done.text(), /The address of your account is <b class="address">some@email\.ee</);
  const gone = await server.post('/api/v1/activate/', form, fromPage);
  t.is(gone.status, 410);
  t.regex(await gone.text(), /This link no longer works/);
  t.is(await codeOf(await server.post(new URL(link).pathname + new URL(link).search)), '410 LINK_GONE');
});

test('a token in the query of a POST is as good as one in its body', async (t) => {
  const server = await startAccounts(t);
  await server.register();
  const { link = '' } = await server.mailNumber(1);
  t.is((await server.post(new URL(link).pathname + new URL(link).search)).status, 200);
});

test('links in mails never have a name that a client made up', async (t) => {
  const server = await startAccounts(t, SQLITE, { HOST: '0.0.0.0' });
  const conversation = await converse({ port: server.port });
  const body = JSON.stringify({ email: ADDRESS, password: SECRET });
  for (const headers of ['Host: evil.example', 'Host: 203.0.113.7', 'Host: x\r\nX-Forwarded-Host: evil.example']) {
    conversation.send(`POST /api/v1/register/ HTTP/1.1\r\n${headers}\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
  }
  await conversation.untilAnswered(3);
  for (const { status } of conversation.answers()) t.is(status, 201);
  conversation.close();
  for (const count of [1, 2, 3]) t.is(new URL((await server.mailNumber(count)).link ?? '').origin, server.base);
  const known = await startAccounts(t, SQLITE, { PUBLIC_URL: 'https://хаш.example/box/' });
  await known.register();
  t.is((await known.mailNumber(1)).link?.startsWith('https://xn--80a5bk.example/box/api/v1/activate/?token='), true);
});

test('mails are in the language of the browser', async (t) => {
  const server = await startAccounts(t);
  await server.register({}, { 'accept-language': 'ru-RU,ru;q=0.9,en;q=0.8' });
  t.regex((await server.mailNumber(1)).subject, /[а-я]/);
  await server.register({}, { 'accept-language': 'de' });
  t.notRegex((await server.mailNumber(2)).subject, /[а-я]/);
});

test('too many bad tokens from one network are refused', async (t) => {
  const server = await startAccounts(t, SQLITE, { LIMITS: 'on' });
  const codes = new Map<string, number>();
  for (let n = 0; n < 310; n++) {
    const code = await server.activate(`hushbox_link_${'A'.repeat(43)}`);
    codes.set(code, (codes.get(code) ?? 0) + 1);
  }
  t.deepEqual(
    [...codes],
    [
      ['410 LINK_GONE', 300],
      ['429 RATE_LIMITED', 10],
    ],
  );
});

test('asking for a mail is 202 also while the storage is full, and nothing is sent', async (t) => {
  const server = await startAccounts(t, SQLITE, { LIMITS: 'on' }, { storeLimits: { maxBytes: 20_000 } });
  await server.signUp();
  const keys: unknown[] = [];
  for (const secret of ['x'.repeat(3_000), 'x']) {
    for (let status = 201; status === 201; ) {
      const answer = await server.post('/generate', { secret });
      status = answer.status;
      if (status === 201) keys.push(((await answer.json()) as { secret_key: string }).secret_key);
    }
  }
  const before = server.mail.mails.length;
  for (const path of ['/api/v1/password/forgot/', '/api/v1/register/resend/']) {
    for (const email of [ADDRESS, 'nobody@example.com']) t.is((await server.post(path, { email })).status, 202, path);
  }
  t.is(server.mail.mails.length, before);
  for (const key of keys) await server.post(`/secrets/${key}`);
  for (let count = 1; count <= 2; count++) {
    t.is((await server.post('/api/v1/password/forgot/', { email: ADDRESS })).status, 202);
    await server.mailNumber(before + count); // what was never written took nothing of the three an hour
  }
});

test('asking for a mail is 202 always: for known and unknown addresses, above the limit too, and not before a time', async (t) => {
  const server = await startAccounts(t, SQLITE, { LIMITS: 'on' });
  await server.signUp();
  const before = server.mail.mails.length;
  for (const path of ['/api/v1/password/forgot/', '/api/v1/register/resend/']) {
    const startedAt = performance.now();
    const one = await server.post(path, { email: ADDRESS });
    const other = await server.post(path, { email: 'nobody@example.com' });
    t.true(performance.now() - startedAt >= 195, 'two answers, one after the other');
    t.is(await one.text(), await other.text());
    const codes = await Promise.all(
      Array.from({ length: 160 }, async () => codeOf(await server.post(path, { email: 'nobody@example.com' }))),
    );
    t.deepEqual(new Set(codes), new Set(['202']));
  }
  await server.post('/api/v1/password/forgot/', { email: ADDRESS });
  await server.mailNumber(2);
  t.is(server.mail.mails.length, before + 1, 'of a network that asked too often nothing is sent any more');
});

test('REGISTRATION holds also for registrations that wait', async (t) => {
  const place = await SQLITE.place(t);
  const masterKeys = [randomBytes(32)] as const;
  const open = await startAccounts(t, { place: async () => place }, {}, { masterKeys });
  await open.register();
  const token = await open.tokenNumber(1);
  for (const REGISTRATION of ['off', 'other.example']) {
    const closed = await startServer(t, { place, masterKeys, env: { REGISTRATION, SMTP_URL: open.mail.url } });
    t.is(await codeOf(await closed.post('/api/v1/activate/', { token })), '403 REGISTRATION_OFF');
    t.is(await codeOf(await closed.post('/api/v1/register/resend/', { email: ADDRESS })), '202');
  }
  t.is(await open.activate(token), '200', 'once it is open again');
  t.is(open.mail.mails.filter(({ to }) => to === ADDRESS).length, 1, 'nothing was sent again');
});

test("of several registrations none is sent again: one of them may be another person's", async (t) => {
  const server = await startAccounts(t);
  await server.register();
  await server.mailNumber(1);
  await server.post('/api/v1/register/resend/', { email: ADDRESS });
  await server.mailNumber(2);
  await server.register({ password: 'another password of it' });
  await server.mailNumber(3);
  t.is(await codeOf(await server.post('/api/v1/register/resend/', { email: ADDRESS })), '202');
  await server.register({ email: 'next@email.ee' });
  await server.mailNumber(1, 'next@email.ee');
  t.is(server.mail.mails.filter(({ to }) => to === ADDRESS).length, 3);
});
