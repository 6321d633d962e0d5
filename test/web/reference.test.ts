import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { get } from 'node:http';
import type { Readable } from 'node:stream';
import { text as readText } from 'node:stream/consumers';
import { promisify } from 'node:util';
import test from 'ava';
import { ERRORS } from '../../src/errors.ts';
import { createDocument, EVERYTHING } from '../../src/openapi.ts';
import { createTokenKey } from '../../src/tokens/calls/key.ts';
import { signToken } from '../../src/tokens/calls/sign.ts';
import { type ApiDocument, renderReference } from '../../src/web/reference/reference.ts';
import type { Shape } from '../../src/web/reference/schemas.ts';
import { type AuthServer, startAuth } from '../auth/sessions/support.ts';
import { startServer } from '../support/http/server.ts';
import { testWith } from '../support/process/tools.ts';
import { SQLITE } from '../support/storage/storage.ts';

const SETTINGS = {
  limits: { secretMaxBytes: 1_048_576, ttlMaxSeconds: 604_800 },
  needsToken: true,
  publicUrl: undefined,
  served: EVERYTHING,
};
const document = createDocument(SETTINGS);
const { text, contents } = renderReference(document);
const operations = Object.values(document.paths).flatMap((item) => Object.values(item));

function decode(markup: string): string {
  return markup.replace(/&#(\d+);/g, (_all, code) => String.fromCharCode(code));
}

/** What stands between the tags. */
function wordsOf(markup: string): string {
  return decode(markup.replace(/<[^>]*>/g, ''));
}

test('it has every operation, event, member and error code of the document, and its links lead to them', (t) => {
  const ids = [...text.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id);
  t.is(new Set(ids).size, ids.length);
  const events = Object.values(document.webhooks).flatMap((item) => Object.values(item));
  for (const { operationId } of [...operations, ...events]) t.true(ids.includes(operationId), operationId);
  for (const code of Object.keys(ERRORS)) t.true(ids.includes(code), code);
  const links = [...(text + contents).matchAll(/ href="#([^"]+)"/g)].map(([, id]) => id);
  t.true(links.length > operations.length * 3);
  for (const link of links) t.true(ids.includes(link), link);
  const words = wordsOf(text);
  for (const [name, schema] of Object.entries<Shape>(document.components.schemas as Record<string, Shape>)) {
    for (const member of Object.keys(schema.properties ?? {})) t.true(words.includes(member), `${name}.${member}`);
  }
  for (const { summary } of operations) t.true(words.includes(summary.replaceAll('`', '')), summary);
});

test('the descriptions use only what it knows of Markdown: paragraphs, lists and code', (t) => {
  const texts: string[] = [];
  JSON.stringify(document, (name, value) => {
    if (['description', 'summary'].includes(name) && typeof value === 'string') texts.push(value);
    return value;
  });
  t.true(texts.length > 300);
  for (const one of texts) {
    t.is(one.split('`').length % 2, 1, one);
    const bare = one.replace(/`[^`]*`/g, '');
    t.notRegex(bare, /\*|\[[^\]]*\]\(|^#|^>|^\d+\. |<\w|(?<!\n)\n(?!\n|- )/m, one);
  }
});

test('the schemas use only keywords that it knows', (t) => {
  const known = [
    ...['type', 'description', 'properties', 'required', 'allOf', 'anyOf', 'items', 'enum', 'const', 'default'],
    ...['format', 'pattern', 'minLength', 'maxLength', 'minimum', 'maximum', 'minProperties', 'maxItems', '$ref'],
    ...['additionalProperties', 'propertyNames', 'example', 'examples'], // which say nothing more to a person
  ];
  function look(schema: unknown, where: string): void {
    for (const [keyword, value] of Object.entries(Object(schema))) {
      t.true(known.includes(keyword), `${where}: ${keyword}`);
      const inner = { properties: Object.values(Object(value)), allOf: value, anyOf: value, items: [value] }[keyword];
      for (const one of (inner ?? []) as unknown[]) look(one, where);
    }
  }
  for (const [name, schema] of Object.entries(document.components.schemas)) look(schema, name);
  JSON.stringify(document.paths, (name, value) => {
    if (name === 'schema') look(value, 'a schema of an operation');
    return value;
  });
});

test('text of the document stays text, and fills no placeholder', (t) => {
  const hostile = `"><script>alert('1')</script>{{root}}{{@api}}{{>head}} \`<b>\``;
  const spoilt = JSON.parse(JSON.stringify(document), (name, value) =>
    ['description', 'summary', 'title', 'url', 'example'].includes(name) && typeof value === 'string' ? hostile : value,
  ) as ApiDocument;
  const markup = Object.values(renderReference(spoilt)).join('');
  t.notRegex(markup.replace('"{{root}}openapi.json"', '').replace('={{address}}<', ''), /<script|<b>|\{\{|alert\('/);
  t.true(wordsOf(markup).includes(`"><script>alert('1')</script>{{root}}{{@api}}{{>head}} <b>`));
});

test('events that differ in more than their examples stop it', (t) => {
  const other = structuredClone(document) as unknown as { webhooks: Record<string, { post: { description: string } }> };
  for (const { post } of Object.values(other.webhooks).slice(1)) post.description = 'Another one.';
  t.throws(() => renderReference(other as never), { instanceOf: TypeError });
});

test('it is served at /docs/, in the language of the frame, compressed for those who accept it', async (t) => {
  const server = await startServer(t, { place: await SQLITE.place(t), env: { PUBLIC_URL: 'https://hush.example' } });
  const plain = await server.get('/docs/', { 'accept-encoding': 'identity' });
  t.is(plain.status, 200);
  t.is(plain.headers.get('content-type'), 'text/html; charset=utf-8');
  t.regex(plain.headers.get('content-security-policy') ?? '', /default-src 'none'.*trusted-types 'none'/);
  t.regex(plain.headers.get('vary') ?? '', /accept-language.*accept-encoding/);
  const html = await plain.text();
  t.true(html.includes('HUSHBOX_URL=https://hush.example<'));
  t.notRegex(html, /\{\{| style=|<style|<script(?![^>]* src=")| on\w+=/);
  const packed = await server.get('/docs/', { 'accept-encoding': 'gzip' });
  t.is(packed.headers.get('content-encoding'), 'gzip');
  t.true(Number(packed.headers.get('content-length')) < 30_000);
  t.is(await packed.text(), html);
  const russian = await (await server.get('/docs/', { 'accept-language': 'ru' })).text();
  t.true(russian.includes('Содержание') && russian.includes('<main lang="en">'));
  for (const path of ['/docs', '//docs//', '/docs/?x']) {
    const response = await server.get(path);
    t.is(response.status, 200, path);
    const page = await response.text();
    const [, style = ''] = /<link rel="stylesheet" href="([^"]+reference\.css)"/.exec(page) ?? [];
    t.is(new URL(style, `http://hushbox.test${path}`).pathname, '/assets/reference.css', path);
  }
  const head = await server.request('HEAD', '/docs/', undefined, { 'accept-encoding': 'identity' });
  t.is(head.headers.get('content-length'), plain.headers.get('content-length'));
  t.is((await server.post('/docs/', {})).status, 405);
});

test('without a PUBLIC_URL its commands go to the address that the reader used', async (t) => {
  const server = await startServer(t, { place: await SQLITE.place(t) });
  const addressIn = async (path: string, host: string) => {
    const [response] = (await once(get(`${server.base}${path}`, { headers: { host } }), 'response')) as [Readable];
    return /HUSHBOX_URL=(.*?)</.exec(await readText(response))?.[1];
  };
  const { port } = new URL(server.base);
  for (const host of [`127.0.0.1:${port}`, `localhost:${port}`, `[::1]:${port}`, '127.0.0.1', `127.0.0.1:${port}`]) {
    for (const path of ['/docs/', '/docs']) t.is(await addressIn(path, host), `http://${host}`);
  }
});

/** The commands of each operation, as a reader copies them. */
function commandsIn(html: string): { id: string; command: string }[] {
  return html.split('<section class="operation" id="').flatMap((section, index) => {
    const id = section.slice(0, section.indexOf('"'));
    const commands = [...section.matchAll(/<pre class="command"><code>(.*?)<\/code><\/pre>/gs)];
    return index === 0 ? [] : commands.map(([, command = '']) => ({ id, command: decode(command) }));
  });
}

const KEY_BYTES = randomBytes(64);
const PASSWORD = 'ghbdtn007';
/** These examples have keys or ids in their bodies that no server knows. */
const REFUSED: Readonly<Record<string, number>> = {
  verifyToken: 401,
  activate: 410,
  resetPassword: 410,
  updateCustomer: 404,
};

type Variables = Record<string, string>;

async function postJson({ post }: AuthServer, path: string, body: object, headers = {}): Promise<Variables> {
  return (await (await post(path, body, headers)).json()) as Variables;
}

/** The keys that a reader of the page has, fresh for each command. */
async function makeKeys(server: AuthServer, id: string): Promise<Variables> {
  const asGuest = { authorization: 'Bearer a-token' };
  const secret = await postJson(server, '/generate', { secret: 's', receipt: true }, asGuest);
  const request = await postJson(server, '/requests', {}, asGuest);
  const claims = { iat: Math.floor(server.clock.now / 1000), jti: id, payload: { user: 'u', date: '2066-01-01' } };
  return {
    CREATE_TOKEN: 'a-token',
    SECRET_KEY: (id === 'withdrawRequest' ? request : secret).secret_key ?? '',
    RECEIPT_KEY: secret.receipt_key ?? '',
    REQUEST_KEY: request.request_key ?? '',
    X_MY_JWT: signToken(createTokenKey(KEY_BYTES), claims),
  };
}

/** An account and what it is logged in with. */
async function makeSessions(server: AuthServer, email: string): Promise<Variables> {
  await server.accounts.create({ email, password: PASSWORD, role: 'member' });
  const logIn = (): Promise<Variables> => postJson(server, '/login', { username: email, password: PASSWORD });
  const [{ token: TOKEN = '' }, { token: other = '' }] = [await logIn(), await logIn()];
  const sessions = (await (await server.get('/sessions', { token: other })).json()) as { id: string }[];
  const cookies = (await server.post('/api/v1/login/', { email, password: PASSWORD })).headers.getSetCookie();
  const [ACCESS_TOKEN = '', REFRESH_TOKEN = '', CSRF_TOKEN = ''] = cookies.map((one) => one.replace(/^.*?=|;.*/g, ''));
  const customer = { name: 'x', dob: '1999-12-31' };
  const { id: CUSTOMER_ID = '' } = await postJson(server, '/customers/create', customer, { token: TOKEN });
  return { TOKEN, SESSION_ID: sessions[0]?.id ?? '', ACCESS_TOKEN, REFRESH_TOKEN, CSRF_TOKEN, CUSTOMER_ID };
}

testWith('curl')('every command of it works when pasted, and none of its variables is unknown', async (t) => {
  t.timeout(180_000);
  const env = { CREATE_TOKEN: 'a-token', JWT_HEX_SECRET: KEY_BYTES.toString('hex') };
  const server = await startAuth(t, SQLITE, env);
  for (const [email, password] of [
    ['demo@example.com', 'demo-password'],
    ['some@email.ee', PASSWORD],
  ] as const) {
    await server.accounts.create({ email, password, role: 'member' });
  }
  const commands = commandsIn(await (await server.get('/docs/')).text());
  const named = [...new Set(commands.map(({ id }) => id))];
  t.deepEqual(named.sort(), operations.map(({ operationId }) => operationId).sort());
  for (const [index, { id, command }] of commands.entries()) {
    const isOfSession = /\$(?:TOKEN|SESSION_ID|ACCESS_TOKEN|REFRESH_TOKEN|CUSTOMER_ID)\b/.test(command);
    const sessions = isOfSession ? await makeSessions(server, `reader${index}@example.com`) : {};
    const variables = { HUSHBOX_URL: server.base, ...(await makeKeys(server, id)), ...sessions };
    t.is(await statusOf(command, variables), REFUSED[id] ?? successOf(id), command);
  }
});

function successOf(id: string): number {
  const { responses } = operations.find(({ operationId }) => operationId === id) as (typeof operations)[number];
  return Number(Object.keys(responses).find((status) => status.startsWith('2')));
}

/** `set -u`: a variable that nobody sets is an error. */
async function statusOf(command: string, variables: Record<string, string>): Promise<number> {
  const quiet = 'set -u; curl() { command curl -s --max-time 20 -o /dev/null -w "%{http_code}" "$@"; };';
  const env = { PATH: process.env.PATH ?? '', ...variables };
  const { stdout } = await promisify(execFile)('sh', ['-c', `${quiet} ${command}`], { env, timeout: 30_000 });
  return Number(stdout);
}
