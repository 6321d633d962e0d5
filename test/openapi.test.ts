import { randomBytes } from 'node:crypto';
import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import { z } from 'zod';
import { type AppParts, createRoutes } from '../src/app.ts';
import { createAccounts } from '../src/auth/accounts/accounts.ts';
import { createPasswordRules } from '../src/auth/accounts/password.ts';
import { AppError, ERRORS, type ErrorCode, PUBLIC_CODES } from '../src/errors.ts';
import { hashAtOnce } from '../src/hashing/argon2.ts';
import type { Answer, DescribedOperation as Operation, PathItem, Schema } from '../src/http/openapi.ts';
import { createDocument, EVERYTHING } from '../src/openapi.ts';
import { ownNameOf } from '../src/proxy/own-name.ts';
import { createTokenKey } from '../src/tokens/calls/key.ts';
import { signToken } from '../src/tokens/calls/sign.ts';
import { reachAccounts } from './auth/accounts/reach.ts';
import { logInAt } from './support/auth/log-in.ts';
import type { Created as CreatedSecret } from './support/http/api.ts';
import { send } from './support/http/client.ts';
import { startServer, type TestServer } from './support/http/server.ts';
import { until } from './support/process/program.ts';
import { ask as askForSealed, seal, sealFor } from './support/secrets/sealed.ts';
import { ENGINES } from './support/storage/storage.ts';
import { type Call, startReceiver } from './support/webhooks/receiver.ts';

type Created = CreatedSecret & { request_key: string };
type Header = { required: boolean; schema: Schema };
type Document = {
  servers: { url: string }[];
  paths: Record<string, PathItem>;
  webhooks: Record<string, PathItem>;
  components: {
    headers: Record<string, Schema>;
    responses: Record<string, Answer>;
    schemas: Record<string, Schema>;
  };
};

const KEY_BYTES = randomBytes(64);
const KEY = createTokenKey(KEY_BYTES);
const LIMITS = { secretMaxBytes: 1_048_576, ttlMaxSeconds: 604_800 };
const document = createDocument({
  limits: LIMITS,
  needsToken: true,
  publicUrl: undefined,
  served: EVERYTHING,
}) as Document;
const operations = operationsIn(document.paths);
const webhooks = operationsIn(document.webhooks);

function operationsIn(items: Record<string, PathItem>): { name: string; operation: Operation }[] {
  return Object.entries(items).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => ({ name: `${method.toUpperCase()} ${path}`, operation })),
  );
}

function resolve<T>(value: T | { $ref: string }): T {
  if (typeof value !== 'object' || value === null || !('$ref' in value)) return value as T;
  const steps = value.$ref.replace('#/', '').split('/');
  const target = steps.reduce((at: unknown, step) => (at as Record<string, unknown> | undefined)?.[step], document);
  if (target === undefined) throw new Error(`${value.$ref} leads nowhere`);
  return target as T;
}

/** A schema of the document as a check. */
function checkOf(schema: Schema): z.ZodType {
  const whole = JSON.stringify({ ...schema, $defs: document.components.schemas });
  return z.fromJSONSchema(JSON.parse(whole.replaceAll('#/components/schemas/', '#/$defs/')));
}

/** The members that a schema speaks of, or that of the items of a list. */
function membersOf(schema: Schema): string[] {
  const found = resolve(schema) as { properties?: Schema; allOf?: Schema[]; items?: Schema };
  const { properties = {}, allOf = [], items } = found;
  return [...Object.keys(properties), ...allOf.flatMap(membersOf), ...(items ? membersOf(items) : [])];
}

function everythingIn(value: unknown): unknown[] {
  if (typeof value !== 'object' || value === null) return [value];
  return [value, ...Object.values(value).flatMap(everythingIn)];
}

function contentsOf({ operation }: (typeof operations)[number]): NonNullable<Answer['content']>[] {
  const answers = Object.values(operation.responses).map((answer) => resolve<Answer>(answer).content ?? {});
  return operation.requestBody ? [operation.requestBody.content, ...answers] : answers;
}

async function start(t: ExecutionContext, options: object = {}): Promise<TestServer> {
  const [sqlite] = ENGINES;
  if (!sqlite) throw new TypeError('no engine');
  return startServer(t, { place: await sqlite.place(t), ...options });
}

test('every route is in the document, and every operation of the document is a route', (t) => {
  const served = { secrets: {}, sink: {}, proxy: {}, auth: {}, business: {} };
  const parts = { limits: LIMITS, site: {}, operator: {}, ...served } as AppParts; // nothing is called
  const routes = createRoutes(parts).routes.map(({ method, path }) => `${method} ${path}`.replace(/:(\w+)/g, '{$1}'));
  const listed = routes.filter((route) => !route.startsWith('GET /assets/')); // what pages load is no interface
  t.deepEqual(listed.sort(), operations.map(({ name }) => name).sort());
});

test('every error code is documented under its status, and no other', (t) => {
  const answers = [
    ...operations.flatMap(({ operation }) => Object.entries(operation.responses)),
    ...Object.values(document.components.responses).map((answer) => ['', answer] as const),
  ];
  const documented = new Set<string>();
  for (const [status, answer] of answers) {
    const examples = resolve<Answer>(answer).content?.['application/json']?.examples ?? {};
    for (const code of Object.keys(examples).filter((name) => name in ERRORS)) {
      documented.add(code);
      if (status) t.is(String(ERRORS[code as keyof typeof ERRORS].status), status, code);
    }
  }
  t.deepEqual([...documented].sort(), PUBLIC_CODES.toSorted());
});

test('every reference and link leads somewhere, and operations have names of their own', (t) => {
  const names = [...operations, ...webhooks].map(({ operation }) => operation.operationId);
  t.is(new Set(names).size, names.length);
  for (const value of everythingIn(document)) {
    t.notThrows(() => resolve(value));
    const { operationId } = Object(value) as Partial<Operation>;
    if (operationId !== undefined) t.true(names.includes(operationId), operationId);
  }
});

test('every example is valid', (t) => {
  let count = 0;
  for (const operation of [...operations, ...webhooks]) {
    for (const { schema, examples = {} } of contentsOf(operation).flatMap(Object.values)) {
      for (const { value } of Object.values(examples) as { value: unknown }[]) {
        t.notThrows(() => checkOf(schema).parse(value), operation.name);
        count += 1;
      }
    }
  }
  t.true(count > 40);
});

test('what a server serves has its own limits in it', async (t) => {
  const { get } = await start(t, {
    env: { SECRET_MAX_BYTES: '1000', SECRET_TTL_MAX_SECONDS: '86400', PUBLIC_URL: 'https://hush.example' },
  });
  const response = await get('/openapi.json');
  t.is(response.headers.get('content-type'), 'application/json; charset=utf-8');
  const served = (await response.json()) as Document;
  t.like(served.components.schemas, {
    NewSecret: { properties: { secret: { maxLength: 2744 } } },
    Lifetime: { properties: { days: { maximum: 1 }, hours: { maximum: 24 }, minutes: { maximum: 1440 } } },
  });
  t.is(served.servers[0]?.url, 'https://hush.example');
});

/** Holds a real answer against the document. */
async function holdAgainst(t: ExecutionContext, operation: Operation, response: Response): Promise<void> {
  const documented = operation.responses[response.status];
  if (!documented) throw new Error(`${operation.operationId} does not document ${response.status}`);
  const { headers, content = {} } = resolve<Answer>(documented);
  for (const [name, header] of Object.entries(headers)) {
    const { schema } = resolve<Header>(header as Header | { $ref: string });
    const value = response.headers.get(name);
    t.notThrows(() => checkOf(schema).parse(schema.type === 'integer' ? Number(value) : value), name);
  }
  const text = await response.text();
  const [type = ''] = (response.headers.get('content-type') ?? '').split(';');
  t.is(Object.keys(content).length > 0, text !== '');
  if (text === '') return;
  const schema = content[type]?.schema;
  if (!schema) throw new Error(`${operation.operationId} does not document ${type} for ${response.status}`);
  if (type !== 'application/json') return;
  const body = JSON.parse(text);
  t.notThrows(() => checkOf(schema).parse(body), text);
  if (operation.operationId === 'getDocument') return;
  const unknown = [body]
    .flat()
    .flatMap(Object.keys)
    .filter((name) => !membersOf(schema).includes(name));
  t.deepEqual(unknown, []);
}

const TOKEN = 'a-token-of-the-tests';
/** What sending to these fails with. */
const FAILURES: Readonly<Record<string, ErrorCode>> = {
  forbid: 'DESTINATION_FORBIDDEN',
  fail: 'UPSTREAM_FAILED',
  late: 'UPSTREAM_TIMEOUT',
};
const PHRASE = { phrase: 'some phrase' };
const FOREIGN = { origin: 'https://other.example' };
const TEXT = { accept: 'text/plain' };
const HEADER = { 'idempotency-key': 'e13f0c3a9b6d4f7c8a52d0917be4c6f8' };

async function postAsIs(port: number, path: string): Promise<Response> {
  const { status, headers, body } = await send(`http://127.0.0.1:${port}`, path, {});
  return new Response(JSON.stringify(body), { status, headers: headers as Record<string, string> });
}

/** The same of log-ins and sessions. */
async function* reachSessions(server: TestServer): AsyncGenerator<[name: string, response: Response]> {
  const { get, post, request, clock, storage } = server;
  const [username, password] = ['owner@example.com', 'a password of its owner'];
  const accounts = createAccounts({
    ...{ store: storage.accounts, rules: createPasswordRules(), hash: hashAtOnce, clock: () => clock.now },
  });
  await accounts.create({ email: username, password, role: 'member' });
  const logIn = (body: unknown, headers = {}): Promise<Response> => post('/login', body, headers);
  const token = async (): Promise<string> =>
    ((await (await logIn({ username, password })).json()) as { token: string }).token;

  yield ['logIn', await logIn({ username, password })];
  yield ['logIn', await logIn({ username, password: 'another password' })];
  yield ['logIn', await logIn({ username })];
  yield ['logIn', await logIn({ username, password }, { dpop: 'no proof' })];
  yield ['logIn', await logIn({ username, password }, FOREIGN)];
  yield ['logIn', await logIn({ username, password: 'x'.repeat(70_000) })];
  yield ['logIn', await logIn('x', { 'content-encoding': 'gzip' })];
  const first = await token();
  const bound = await get('/session_cookie_experiment', { token: first });
  const cookie = bound.headers.get('set-cookie')?.split(';')[0] ?? '';
  yield ['bindSession', bound];
  yield ['bindSession', await get('/session_cookie_experiment', { token: first, cookie })];
  yield [
    'bindSession',
    await get('/session_cookie_experiment', { token: first, cookie, 'x-forwarded-host': 'hush.example' }),
  ];
  yield ['bindSession', await get('/session_cookie_experiment', { token: first })];

  const second = { token: await token() };
  const listed = await get('/sessions', second);
  const [{ id = '' } = {}] = (await listed.clone().json()) as { id: string }[];
  yield ['listSessions', listed];
  yield ['endOtherSessions', await request('DELETE', '/sessions', undefined, second)];
  yield ['endOtherSessions', await request('DELETE', '/sessions', undefined, { ...second, ...FOREIGN })];
  yield ['endSession', await request('DELETE', '/sessions/unknown', undefined, second)];
  yield ['endSession', await request('DELETE', `/sessions/${id}`, undefined, { ...second, ...FOREIGN })];
  yield ['endSession', await request('DELETE', `/sessions/${id}`, undefined, second)];
  const third = { token: await token() };
  yield ['logOut', await request('DELETE', '/logout', undefined, { ...third, ...FOREIGN })];
  yield ['logOut', await request('DELETE', '/logout', undefined, third)];

  yield* reachBrowsers(server);
  const bad = { token: 'bad' };
  for (let left = 301; left > 0; left--) {
    yield ['listSessions', await get('/sessions', bad)];
    if (left > 2 && left < 300) continue;
    yield ['bindSession', await get('/session_cookie_experiment', bad)];
    yield ['logOut', await request('DELETE', '/logout', undefined, bad)];
    yield ['endOtherSessions', await request('DELETE', '/sessions', undefined, bad)];
    yield ['endSession', await request('DELETE', '/sessions/x', undefined, bad)];
  }
  for (let left = 20; left > 0; left--) yield ['logIn', await logIn({ username, password: `another ${left}` })];
  yield* reachRefusedBrowsers(server);
}

/** The same of browsers, and of tokens that others verify. */
async function* reachBrowsers(server: TestServer): AsyncGenerator<[name: string, response: Response]> {
  const { get, post } = server;
  const [email, password] = ['owner@example.com', 'a password of its owner'];
  const https = { 'x-forwarded-proto': 'https' };
  const plain = { 'x-forwarded-host': 'hush.example' };
  const signInWith = (body: unknown, headers = {}): Promise<Response> =>
    post('/api/v1/login/', body, { ...https, ...headers });

  const signedIn = await signInWith({ email, password });
  const cookies = signedIn.headers.getSetCookie().map((header) => header.split(';')[0] ?? '');
  const [access = '', refresh = '', csrf = ''] = cookies;
  const browser = { ...https, cookie: cookies.join('; '), 'x-csrftoken': csrf.slice(csrf.indexOf('=') + 1) };
  yield ['signIn', signedIn];
  yield ['signIn', await signInWith({ email, password: 'another password' })];
  yield ['signIn', await signInWith({ email, password }, FOREIGN)];
  yield ['signIn', await signInWith('x'.repeat(70_000))];
  yield ['signIn', await signInWith('x', { 'content-encoding': 'gzip' })];
  yield ['getJwks', await get('/.well-known/jwks.json')];
  for (const name of ['testSession', 'signOut'] as const) {
    const path = name === 'signOut' ? '/api/v1/logout' : '/api/v1/test';
    yield [name, await post(path, undefined, { ...https, cookie: access })];
    yield [name, await post(path, undefined, https)];
    yield [name, await post(path, undefined, { ...browser, ...FOREIGN })];
  }
  yield ['testSession', await post('/api/v1/test', undefined, browser)];
  for (const path of ['/data', '/customers', '/sessions']) {
    const name = { '/data': 'getData', '/customers': 'listCustomers', '/sessions': 'listSessions' }[path] as string;
    yield [name, await get(path, { ...plain, cookie: access })];
  }
  const token = access.slice(access.indexOf('=') + 1);
  yield ['verifyToken', await post('/api/v1/verify', { token })];
  yield ['verifyToken', await post('/api/v1/verify', { token: 'x'.repeat(70_000) })];
  yield ['verifyToken', await post('/api/v1/verify', 'x', { 'content-encoding': 'gzip' })];
  yield ['verifyToken', await post('/api/v1/verify', { token }, FOREIGN)];
  yield ['refreshSession', await post('/api/v1/login/refresh', undefined, { ...https, cookie: refresh })];
  yield ['refreshSession', await post('/api/v1/login/refresh', undefined, { ...plain, cookie: refresh })];
  for (let left = 301; left > 0; left--) {
    yield ['refreshSession', await post('/api/v1/login/refresh', undefined, { ...https, cookie: `${refresh}x` })];
    yield ['verifyToken', await post('/api/v1/verify', { token: 'x' })];
  }
  yield ['signOut', await post('/api/v1/logout', undefined, browser)];
}

/** After so many bad tokens and log-ins that the next one is refused. */
async function* reachRefusedBrowsers({ post }: TestServer): AsyncGenerator<[name: string, response: Response]> {
  const https = { 'x-forwarded-proto': 'https' };
  const bad = { ...https, cookie: '__Host-access_token=x' };
  yield ['testSession', await post('/api/v1/test', undefined, bad)];
  yield ['signOut', await post('/api/v1/logout', undefined, bad)];
  yield ['signIn', await post('/api/v1/login/', { email: 'owner@example.com', password: 'x' }, https)];
}

const CUSTOMER = { name: 'somebody', dob: '1999-12-31' };

/** The same of data and customers, after so many bad tokens that the next one is refused. */
async function* reachBusiness(server: TestServer, token: string): AsyncGenerator<[name: string, response: Response]> {
  const { get, post, request } = server;
  const me = { token };
  const created = await post('/customers/create', CUSTOMER, me);
  const { id } = (await created.clone().json()) as { id: string };
  const changed = { id, name: 'somebody else' };
  yield ['createCustomer', created];
  yield ['updateCustomer', await post('/customers/update', changed, me)];
  yield ['updateCustomer', await post('/customers/update', { id: 'unknown' }, me)];
  yield ['getData', await get('/data', me)];
  for (const query of ['', '?numbers=1']) yield ['listCustomers', await get(`/customers${query}`, me)];
  yield ['deleteCustomer', await request('DELETE', '/customers/delete?id=unknown', undefined, me)];
  yield ['deleteCustomer', await request('DELETE', `/customers/delete?id=${id}`, undefined, { ...me, ...FOREIGN })];
  yield ['deleteCustomer', await request('DELETE', `/customers/delete?id=${id}`, undefined, me)];
  for (const [name, path] of [
    ['createCustomer', '/customers/create'],
    ['updateCustomer', '/customers/update'],
  ] as const) {
    yield [name, await post(path, CUSTOMER, { ...me, ...FOREIGN })];
    yield [name, await post(path, 'x'.repeat(20_000), me)];
    yield [name, await post(path, 'x', { ...me, 'content-encoding': 'gzip' })];
  }
  for (const headers of [{}, { token: 'bad' }] as Record<string, string>[]) {
    yield ['getData', await get('/data', headers)];
    yield ['listCustomers', await get('/customers', headers)];
    yield ['createCustomer', await post('/customers/create', CUSTOMER, headers)];
    yield ['updateCustomer', await post('/customers/update', changed, headers)];
    yield ['deleteCustomer', await request('DELETE', `/customers/delete?id=${id}`, undefined, headers)];
  }
}

type Generate = (body: unknown, headers?: object) => Promise<Response>;

/** The same of a secret that its client sealed. */
async function* reachSealed({ get, post }: TestServer, generate: Generate): AsyncGenerator<[string, Response]> {
  const { jwe, proof, proofHash } = await seal('s');
  const created = await generate({ secret: jwe, sealed: true, proof_hash: proofHash });
  const { secret_key } = (await created.clone().json()) as Created;
  yield ['createSecret', created];
  yield ['lookAtSecret', await get(`/secrets/${secret_key}`)];
  yield ['readSecret', await post(`/secrets/${secret_key}`)];
  yield ['readSecret', await post(`/secrets/${secret_key}`, { proof })];
}

/** The same of requests. Refusals for want of room come later. */
async function* reachRequests(
  { get, post, request }: TestServer,
  bearer: Record<string, string>,
): AsyncGenerator<[string, Response]> {
  const ask = (body: unknown = {}, headers = {}): Promise<Response> =>
    post('/requests', body, { ...bearer, ...headers });
  const asking = await askForSealed();
  const created = await ask({ kid: asking.kid, proof_hash: asking.proofHash, note: 'please' });
  const { request_key, secret_key } = (await created.clone().json()) as Created;
  const [send, keep] = [`/requests/${request_key}`, `/secrets/${secret_key}`];
  yield ['createRequest', created];
  yield ['createRequest', await ask({ note: 5 })];
  yield ['createRequest', await post('/requests', {})];
  yield ['createRequest', await ask({ notify: 'http://127.0.0.1/' })];
  yield ['createRequest', await ask('x'.repeat(70_000))];
  yield ['createRequest', await ask('x', { 'content-encoding': 'gzip' })];
  yield ['createRequest', await ask({}, FOREIGN)];
  yield ['lookAtRequest', await get(send)];
  yield ['lookAtRequest', await get(send, { accept: 'text/html' })];
  yield ['lookAtRequest', await get('/requests/unknown')];
  yield ['lookAtRequest', await get('/requests/unknown', { accept: 'text/html' })];
  yield ['lookAtSecret', await get(keep)];
  yield ['readSecret', await post(keep)];
  yield ['withdrawRequest', await request('DELETE', keep)];
  yield ['withdrawRequest', await request('DELETE', keep, undefined, FOREIGN)];
  yield ['withdrawRequest', await request('DELETE', keep, 'x'.repeat(70_000))];
  yield ['withdrawRequest', await request('DELETE', keep, 'x', { 'content-encoding': 'gzip' })];
  yield ['answerRequest', await post(send, { secret: 's' })];
  yield ['answerRequest', await post(send, { secret: 'x'.repeat(LIMITS.secretMaxBytes + 1) })];
  yield ['answerRequest', await post(send, 'x', { 'content-encoding': 'gzip' })];
  yield ['answerRequest', await post(send, { secret: 's' }, FOREIGN)];
  const answer = { secret: await sealFor(asking, 's'), sealed: true, receipt: true };
  yield ['answerRequest', await post(send, answer)];
  yield ['answerRequest', await post(send, answer)];
  yield ['withdrawRequest', await request('DELETE', keep)];
  yield ['withdrawRequest', await request('DELETE', '/secrets/unknown')];
  const second = (await (await ask()).json()) as Created;
  yield ['withdrawRequest', await request('DELETE', `/secrets/${second.secret_key}`)];
}

/** Reaches every answer that a server in good health can give. */
async function* reachAnswers(server: TestServer): AsyncGenerator<[name: string, response: Response]> {
  const { get, post, request, clock } = server;
  const bearer = { authorization: `Bearer ${TOKEN}` };
  const generate = (body: unknown, headers = {}): Promise<Response> =>
    post('/generate', body, { ...bearer, ...headers });
  const create = async (body = {}): Promise<Record<'secret_key' | 'receipt_key', string>> =>
    (await generate({ secret: 's', ...body })).json() as never;

  yield [
    'createSecret',
    await generate({ secret: 's', phrase: 'p', ttl: { days: 3, hours: 4, minutes: 5 }, receipt: true }),
  ];
  yield ['createSecret', await generate({ secret: 's' })];
  yield ['createSecret', await generate({ secret: '' })];
  yield ['createSecret', await post('/generate', { secret: 's' })];
  yield ['createSecret', await generate({ secret: 's', notify: 'http://127.0.0.1/' })];
  yield ['createSecret', await generate({ secret: 'x'.repeat(LIMITS.secretMaxBytes + 1) })];
  yield ['createSecret', await generate('x', { 'content-encoding': 'gzip' })];
  yield ['createSecret', await generate({ secret: 's' }, FOREIGN)];
  yield ['createSecret', await generate({ secret: 's' }, TEXT)];
  yield ['createSecret', await generate({ secret: '' }, TEXT)];

  const locked = await create({ ...PHRASE, receipt: true });
  const path = `/secrets/${locked.secret_key}`;
  yield ['lookAtSecret', await get(path)];
  yield ['lookAtSecret', await get(path, { accept: 'text/html' })];
  yield ['lookAtSecret', await get('/secrets/unknown')];
  yield ['lookAtSecret', await get('/secrets/unknown', { accept: 'text/html' })];
  yield ['readSecret', await post(path, {})];
  yield ['readSecret', await post(path, { phrase: 'wrong' })];
  yield ['readSecret', await post(path, { phrase: 'wrong' }, TEXT)];
  yield ['readSecret', await post(path, {}, FOREIGN)];
  yield ['readSecret', await post(path, { frase: 'x' })];
  yield ['readSecret', await post(path, 'x'.repeat(7_000_000))];
  yield ['readSecret', await post(path, 'x', { 'content-encoding': 'br' })];
  yield ['readSecret', await post(path, PHRASE, HEADER)];
  yield ['readSecret', await post(path, PHRASE, HEADER)];
  yield ['readSecret', await post(path, PHRASE)];

  yield* reachSealed(server, generate);
  yield* reachRequests(server, bearer);

  const guessed = await create(PHRASE);
  for (let guess = 0; guess < 11; guess++) {
    yield ['readSecret', await post(`/secrets/${guessed.secret_key}`, { phrase: `${guess}` })];
  }

  const burned = await create({ receipt: true });
  yield ['getReceipt', await get(`/receipts/${burned.receipt_key}`)];
  yield ['burnSecret', await request('DELETE', `/receipts/${burned.receipt_key}`)];
  yield ['burnSecret', await request('DELETE', `/receipts/${burned.receipt_key}`)];
  yield ['burnSecret', await request('DELETE', '/receipts/receipt_unknown')];
  yield ['burnSecret', await request('DELETE', '/receipts/receipt_unknown', undefined, FOREIGN)];
  yield ['getReceipt', await get(`/receipts/${burned.receipt_key}`)];
  yield ['getReceipt', await get(`/receipts/${burned.receipt_key}`, { accept: 'text/html' })];
  yield ['getReceipt', await get(`/receipts/${locked.receipt_key}`)];
  const expired = await create({ receipt: true, ttl: { minutes: 1 } });
  clock.advance({ minutes: 1 });
  yield ['getReceipt', await get(`/receipts/${expired.receipt_key}`)];
  yield ['getReceipt', await get('/receipts/unknown')];

  const { token } = await logInAt(server.storage, clock.now);
  const customer = await (await post('/customers/create', CUSTOMER, { token })).json();
  const ours = { token: `hushbox_${'x'.repeat(43)}`, 'proxy-authorization': `Bearer ${TOKEN}` };
  yield ['forwardRequest', await post('/proxy', {}, ours)];
  yield* reachSessions(server);
  yield ['forwardRequest', await post('/proxy', {}, ours)];
  yield* reachBusiness(server, token);

  const large = { secret: 'x'.repeat(30_000) };
  const receive = (jti: string, more = {}): Promise<Response> => {
    const claims = { iat: Math.floor(clock.now / 1000), jti, payload: { user: 'u', date: '2066-01-01', ...more } };
    return post('/server', {}, { 'x-my-jwt': signToken(KEY, claims) });
  };
  yield ['receiveCall', await receive('first')];
  yield ['receiveCall', await receive('first')];
  yield ['receiveCall', await post('/server', {})];
  yield ['receiveCall', await post('/server', {}, FOREIGN)];
  yield ['receiveCall', await receive('large', { more: 'x'.repeat(5000) })];
  const forward = (headers = {}): Promise<Response> =>
    post('/proxy', {}, { 'proxy-authorization': `Bearer ${TOKEN}`, ...headers });
  yield ['forwardRequest', await forward()];
  yield ['forwardRequest', await postAsIs(server.port, '/proxy')]; // fetch shows no 407
  yield ['forwardRequest', await forward({ via: `1.1 ${ownNameOf(KEY)}` })];
  for (const destination of Object.keys(FAILURES)) {
    yield ['forwardRequest', await forward({ destination })];
  }
  yield ['listCalls', await get('/server', bearer)];
  yield ['listCalls', await get('/server')];
  const open = (await (await post('/requests', {}, bearer)).json()) as Created;
  const answerOpen = (): Promise<Response> => post(`/requests/${open.request_key}`, large);
  for (let left = 10; left > 0; left--) yield ['createSecret', await generate(large)];
  yield ['answerRequest', await answerOpen()];
  for (let left = 50; left > 0; left--) yield ['createSecret', await generate({ secret: 's' })];
  yield ['createRequest', await post('/requests', {}, bearer)];
  for (let left = 300; left > 0; left--) yield ['receiveCall', await receive(`${left}`)];
  yield ['forwardRequest', await forward()];
  yield ['createCustomer', await post('/customers/create', CUSTOMER, { token })];
  const { id } = customer as { id: string };
  yield ['updateCustomer', await post('/customers/update', { id, name: '🔑'.repeat(200) }, { token })];

  yield ['getCreatePage', await get('/')];
  yield ['getAskPage', await get('/ask')];
  yield ['getSignInPage', await get('/signin')];
  yield ['getRegisterPage', await get('/register')];
  yield ['getForgottenPage', await get('/forgotten')];
  yield ['getResetPage', await get('/reset')];
  yield ['getAccountPage', await get('/account')];
  yield ['getStatus', await get('/status')];
  yield ['getStatus', await get('/status', { accept: 'text/html' })];
  yield ['isLive', await get('/health/live')];
  yield ['isReady', await get('/health/ready')];
  yield ['getDocument', await get('/openapi.json')];
  yield ['getReference', await get('/docs')];
}

test('a healthy server gives the documented answers: each of them, and no others', async (t) => {
  const server = await start(t, {
    env: {
      NODE_ENV: 'production',
      LIMITS: 'on',
      CREATE_TOKEN: TOKEN,
      PROXY_TOKEN: TOKEN,
      JWT_HEX_SECRET: KEY_BYTES.toString('hex'),
      TRUSTED_PROXIES: '127.0.0.1',
    },
    proxy: {
      send: ({ url }: { url: string }) => Promise.reject(new AppError(FAILURES[url] as ErrorCode)),
    },
    storeLimits: { clientMaxSecrets: 50, maxBytes: 200_000 },
  });
  const seen = new Set<string>();
  for await (const [name, response] of both(reachAnswers(server), reachAccounts(t))) {
    const found = operations.find(({ operation }) => operation.operationId === name);
    if (!found) throw new Error(`${name} is not documented`);
    await holdAgainst(t, found.operation, response);
    seen.add(`${name} ${response.status}`);
  }
  // Those of a server in trouble, and those that the HTTP parser gives, have tests of their own.
  const others =
    /(^(?!createSecret|readSecret|createRequest|answerRequest|logIn).* 400|^createRequest 507|^answerRequest 429| 408| 417| 421| 431| 500| 503| default)$/;
  const documented = operations.flatMap(({ operation }) =>
    Object.keys(operation.responses).map((status) => `${operation.operationId} ${status}`),
  );
  t.deepEqual([...seen].sort(), documented.filter((answer) => !others.test(answer)).sort());
});

async function* both<T>(...all: AsyncGenerator<T>[]): AsyncGenerator<T> {
  for (const one of all) yield* one;
}

/** Ends a secret in one of three ways, or a request in one of two. */
const ENDS: Readonly<Record<string, (server: TestServer, created: Created) => Promise<unknown>>> = {
  'secret.read': ({ post }, { secret_key }) => post(`/secrets/${secret_key}`),
  'secret.burned': ({ request }, { receipt_key }) => request('DELETE', `/receipts/${receipt_key}`),
  'secret.expired': expire,
  'request.expired': expire,
  'request.answered': ({ post }, { request_key }) => post(`/requests/${request_key}`, { secret: 's' }),
};

async function expire({ clock, storage, wake }: TestServer): Promise<void> {
  clock.advance({ days: 8 });
  await storage.secrets.sweep(clock.now, 100, 0);
  wake();
}

const EVENT = '#/components/schemas/SecretEvent';
/** What every request has. */
const OF_HTTP = ['connection', 'content-length', 'content-type', 'host'];

test('each event comes as the document says: its headers, all of them, and its body', async (t) => {
  const [server, receiver] = [await start(t, { env: { EGRESS_ALLOW: '127.0.0.1' } }), await startReceiver(t)];
  t.deepEqual(Object.keys(document.webhooks), Object.keys(ENDS));
  for (const { name: event, operation } of webhooks) {
    const type = event.replace('POST ', '');
    const isRequest = type.startsWith('request.');
    const body = isRequest ? {} : { secret: 's', receipt: true };
    const answer = await server.post(isRequest ? '/requests' : '/generate', { ...body, notify: receiver.url });
    const created = (await answer.json()) as Created;
    await ENDS[type]?.(server, created);
    await until(type, () => receiver.calls.length === 1);
    const { headers, body: sent } = receiver.calls.pop() as Call;
    const { parameters = [], requestBody } = operation;
    const documented = parameters as unknown as { name: string; schema: Schema }[];
    for (const { name, schema } of documented) {
      const value = headers[name];
      t.notThrows(() => checkOf(schema).parse(schema.type === 'integer' ? Number(value) : value), name);
    }
    t.deepEqual(Object.keys(headers).sort(), [...OF_HTTP, ...documented.map(({ name }) => name)].sort());
    const schema = requestBody?.content['application/json']?.schema as Schema;
    t.notThrows(() => checkOf(schema).parse(JSON.parse(sent)), sent);
    t.deepEqual(Object.keys(JSON.parse(sent)).sort(), [...new Set(membersOf({ $ref: EVENT }))].sort());
  }
});

test('the server accepts what the document calls right, within the range of lifetimes, and nothing else', async (t) => {
  const { post } = await start(t);
  const check = checkOf({ $ref: '#/components/schemas/NewSecret' });
  const odd = fc.constantFrom<unknown>(null, '', 0, -1, 1.5, true, [], {}, '1', 10_081);
  const member = (sensible: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> =>
    fc.oneof({ weight: 8, arbitrary: sensible }, { weight: 8, arbitrary: fc.constant(undefined) }, odd);
  const number = member(fc.integer({ min: 0, max: 9 }));
  const body = fc.record({
    secret: fc.oneof({ weight: 8, arbitrary: fc.string({ minLength: 1 }) }, odd),
    phrase: fc.constantFrom(...Array(20), null, '', 7), // a right one would cost a hash; schemas cannot count its bytes
    ttl: member(fc.record({ days: number, hours: number, minutes: number })),
    receipt: member(fc.boolean()),
    note: fc.constantFrom(...Array(20), 'a member there is not'),
  });
  let accepted = 0;
  await fc.assert(
    fc.asyncProperty(body, async (input) => {
      const sent = JSON.parse(JSON.stringify(input)); // without what is undefined
      const { status } = await post('/generate', sent);
      const { days = 0, hours = 0, minutes = 0 } = sent.ttl ?? { days: 7 };
      const totalMinutes = (days * 24 + hours) * 60 + minutes;
      const isRight = check.safeParse(sent).success && totalMinutes >= 1 && totalMinutes <= 7 * 24 * 60;
      accepted += Number(status === 201);
      return status === (isRight ? 201 : 400);
    }),
    { numRuns: 300 },
  );
  t.true(accepted > 20, `${accepted}`);
});
