import { execFile } from 'node:child_process';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import { listSettings } from '../src/config/config.ts';
import { startAuth } from './auth/sessions/support.ts';
import { testWith } from './support/process/tools.ts';
import { SQLITE } from './support/storage/storage.ts';

const DOCUMENTS = globSync(['*.md', 'docs/**/*.md', 'nginx/*.md', 'client/*.md']).map((path) => ({
  path,
  text: readFileSync(path, 'utf8'),
}));
const README = DOCUMENTS.find(({ path }) => path === 'README.md')?.text ?? '';

const withCurl = testWith('curl', 'openssl');

/** Has blanks, so that no key has it. */
const NEXT = '--- next ---';
/** What the README's commands print, in its order. */
const ANSWERS: readonly RegExp[] = [
  /^\{"secret":"some secret"\}$/,
  /^\{"phrase":true,"expires_at":"[\dT:.-]+Z"\}\{"secret":"some secret"\}$/,
  /^\{"secret_key":"[\w-]{48}","expires_at":"[\dT:.-]+Z"\}$/,
  /^some secret$/,
  /^\{"secret":"some secret"\}$/,
  /^\{"state":"waiting","created_at":"[\dT:.-]+Z","expires_at":"[\dT:.-]+Z","wrong_tries":0,"reads":0\}$/,
  /^\{"secret_key":"[\w-]{48}","expires_at":"[\dT:.-]+Z","webhook_secret":"whsec_[\w+/]{86}=="\}$/,
  /^\{"data":\{"email":"demo@example\.com","role":"member"\}\}\[\]$/,
  /^\{"iat":\d+,"jti":"[\w-]{22}","payload":\{"user":"username","date":"[\d-]{10}"\}\}\[\{.*\}\]$/,
  /^\{"started_at":"[\dT:.-]+Z","uptime_seconds":[\d.]+,"requests":\d+\}$/,
];

withCurl("the README's commands, pasted in a row, answer what it says", async (t) => {
  const env = { EGRESS_ALLOW: '127.0.0.1', JWT_HEX_SECRET: '5a'.repeat(64) };
  const clock = { now: Date.now(), advance: () => {} };
  const { base, get, accounts } = await startAuth(t, SQLITE, env, { clock });
  await accounts.create({ email: 'demo@example.com', password: 'demo-password', role: 'member' });
  const blocks = [...README.matchAll(/^```sh\n(.*?)^```/gms)].map(([, block = '']) => block);
  const asked = blocks.filter((block) => block.includes('curl'));
  const script = asked
    .join(`\necho; echo '${NEXT}'\n`)
    .replaceAll('http://127.0.0.1:8000', base)
    .replaceAll('hooks.example.com', '1.1.1.1'); // so that no name is looked up; nobody reads, so nothing is sent
  const shell = await promisify(execFile)('sh', ['-c', `${script}\necho; echo "$KEY $RECEIPT"`]);
  const printed = shell.stdout.split(NEXT).map((text) => text.trim());
  const [last = '', keys = ''] = printed.pop()?.split('\n') ?? [];
  for (const [index, answer] of ANSWERS.entries()) t.regex([...printed, last][index] ?? '', answer);
  t.is(printed.length + 1, ANSWERS.length);
  const [key, receipt] = keys.split(' ');
  t.is((await get(`/secrets/${key}`)).status, 404);
  t.like(await (await get(`/receipts/${receipt}`)).json(), { state: 'burned' });
});

const TARGETS = new Set(readFileSync('Makefile', 'utf8').match(/^\w+(?=:)/gm));
const SCRIPTS = JSON.parse(readFileSync('package.json', 'utf8')).scripts;

for (const { path, text } of DOCUMENTS) {
  test(`${path} names only files, headings and commands that exist`, (t) => {
    const files = text.match(/(?<![\w/.-])(?:src|test|docs|scripts|bench|nginx|\.ci)\/[\w./-]*[\w/]/g) ?? [];
    const links = [...text.matchAll(/\]\((?!https?:)([^)]+)\)/g)].map(([, link = '']) => link);
    const targets = [...text.matchAll(/`make (\w+)`/g)].map(([, target = '']) => target);
    const scripts = [...text.matchAll(/`npm run (\w+)/g)].map(([, script = '']) => script);
    const missing = [
      ...files.filter((file) => !existsSync(file)),
      ...links.filter((link) => !leadsSomewhere(path, link)),
      ...targets.filter((target) => !TARGETS.has(target)),
      ...scripts.filter((script) => !(script in SCRIPTS)),
    ];
    t.deepEqual([...new Set(missing)], []);
  });
}

/** The width of all prose. Code, tables, headings and the pages that `make bench` writes may be wider. */
const WIDTH = 118;
const BY_BENCH = /^Written by `(?:make|node) /m;

for (const { path, text } of DOCUMENTS.filter(({ text }) => !BY_BENCH.test(text))) {
  test(`${path} is wrapped at ${WIDTH} columns`, (t) => {
    const prose = text.replaceAll(/^```.*?^```$/gms, '').split('\n');
    t.deepEqual(
      prose.filter((line) => line.length > WIDTH && !/^[|#]/.test(line)),
      [],
    );
  });
}

test('the index names every document', (t) => {
  const index = readFileSync('docs/README.md', 'utf8');
  const documents = globSync(['*.md', '*.json', 'decisions/*.md'], { cwd: 'docs' });
  t.true(documents.length > 30);
  t.deepEqual(
    documents.filter((path) => path !== 'README.md' && !index.includes(`](${path})`)),
    [],
  );
});

test('tests are named in the table of a page, not inside of its sentences', (t) => {
  const pages = DOCUMENTS.filter(({ path }) => path !== 'CONTRIBUTING.md');
  const sentences = pages.flatMap(({ path, text }) =>
    text
      .split('\n')
      .filter((line) => !line.startsWith('|') && /\(`?test\/[\w./-]+/.test(line))
      .map((line) => `${path}: ${line}`),
  );
  t.deepEqual(sentences, []);
});

test('the README needs at most 900 words before its reference part', (t) => {
  const [before = '', reference] = README.split('\n## Reference\n');
  t.truthy(reference);
  t.true(before.trim().split(/\s+/).length <= 900);
});

function leadsSomewhere(from: string, link: string): boolean {
  const [file, heading] = link.split('#');
  const target = file ? join(dirname(from), file) : from;
  return existsSync(target) && (!heading || headingsOf(readFileSync(target, 'utf8')).includes(heading));
}

function headingsOf(text: string): string[] {
  return [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\w\s-]/g, '')
      .trim()
      .replaceAll(' ', '-'),
  );
}

test("the README's variables are settings, with the defaults they have", (t) => {
  const rows = [...README.matchAll(/^\| (`[A-Z_`, ]+) \|/gm)].flatMap(
    ([, names = '']) => names.match(/[A-Z_]+/g) ?? [],
  );
  const settings = listSettings().map(({ name }) => name);
  t.true(rows.length > 5);
  t.deepEqual(
    rows.filter((name) => !settings.includes(name)),
    [],
  );
});

test('the lock file knows every package that one in it needs, for any platform: else `npm ci` refuses it', (t) => {
  type Locked = Record<'dependencies' | 'optionalDependencies', Record<string, string> | undefined>;
  const packages: Record<string, Locked> = JSON.parse(readFileSync('package-lock.json', 'utf8')).packages;
  const isLocked = (name: string): boolean =>
    Object.keys(packages).some((path) => path.endsWith(`node_modules/${name}`));
  const needed = Object.values(packages).flatMap((locked) =>
    Object.keys({ ...locked.dependencies, ...locked.optionalDependencies }),
  );
  t.deepEqual(
    needed.filter((name) => !isLocked(name)),
    [],
  );
});

test('no document and no lock file names a machine or where packages came from', (t) => {
  const files = globSync([
    '*.md',
    '*.json',
    'docs/**/*.{md,json,svg}',
    'Makefile',
    '.npmrc',
    '.ci/*',
    'scripts/*',
    'nginx/*',
  ]);
  t.true(files.includes('package-lock.json'));
  for (const path of files) {
    const text = readFileSync(path, 'utf8');
    t.notRegex(text, /"resolved":|\bregistry\.|(?<![\w.])\/(?:root|home|mnt|srv)\//, path);
  }
});
