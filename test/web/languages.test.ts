import { globSync, readdirSync, readFileSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import { en } from '../../src/web/texts/en.ts';
import { ru } from '../../src/web/texts/ru.ts';
import { startServer, type TestServer } from '../support/http/server.ts';
import { SQLITE } from '../support/storage/storage.ts';

// What pages say, and in which language.

const start = async (t: ExecutionContext, env: Record<string, string> = {}): Promise<TestServer> =>
  startServer(t, { place: await SQLITE.place(t), env });
const FOLDER = 'src/web/page';
const read = (name: string): string => readFileSync(`${FOLDER}/${name}`, 'utf8');
const PAGES = readdirSync(FOLDER).filter((name) => name.endsWith('.html'));
const keysOf = (text: string): string[] => [...text.matchAll(/\{\{@(\w+)\}\}/g)].map(([, key = '']) => key);

test('the cookie decides, then Accept-Language, else it is English', async (t) => {
  const { get } = await start(t);
  for (const [cookie, accepted, language] of [
    ['', '', 'en'],
    ['', 'ru', 'ru'],
    ['', 'ru-RU,ru;q=0.9,en;q=0.8', 'ru'],
    ['', 'de, en;q=0.5, ru;q=0.7', 'ru'],
    ['', 'de-DE', 'en'],
    ['', ';;;q=x', 'en'],
    ['lang=en', 'ru', 'en'],
    ['lang=ru', 'en', 'ru'],
    ['lang=xx', 'ru', 'ru'],
    ['lang=__proto__', 'en', 'en'],
    ['lang=ru; lang=en', 'en', 'en'],
  ] as const) {
    const response = await get('/', { accept: 'text/html', 'accept-language': accepted, cookie });
    const html = await response.text();
    t.true(html.includes(`<html lang="${language}">`), `${cookie} ${accepted}`);
    t.regex(response.headers.get('vary') ?? '', /accept-language, cookie/i);
  }
});

test('every text of a language has the same placeholders in the other, and Russian is written in Cyrillic', (t) => {
  const placeholdersOf = (text: string): string[] => [...new Set(text.match(/\{+\w+\}+/g))].sort();
  for (const [key, text] of Object.entries(ru)) {
    // What the server says of a refusal is English.
    if (key !== 'refused') t.deepEqual(placeholdersOf(text), placeholdersOf(en[key as keyof typeof en]), key);
    const isName = ['browserOn', 'otherLanguage', 'otherLanguageName', 'api', 'openedTextFile'].includes(key);
    if (!isName) t.regex(text, /[а-яё]/i, key);
  }
});

test('plural forms are as many as the language has', (t) => {
  const isPlural = (key: string): boolean => en[key as keyof typeof en].includes('|');
  for (const key of Object.keys(en).filter(isPlural)) {
    t.is(en[key as keyof typeof en].split('|').length, 2, key);
    t.is(ru[key as keyof typeof en].split('|').length, 4, key);
  }
});

test('no page says anything but by a text, and every text is said somewhere', (t) => {
  const routes = globSync('src/web/*.ts')
    .map((path) => readFileSync(path, 'utf8'))
    .join('\n');
  const said = new Set(PAGES.flatMap((name) => keysOf(read(name))));
  const unsaid = Object.keys(en).filter((key) => !said.has(key) && !new RegExp(`\\b${key}\\b`).test(routes));
  t.deepEqual(unsaid, []);
  for (const name of PAGES) {
    const words = read(name)
      .replace(/<code>.*?<\/code>|<!--.*?-->|<!doctype html>|<[^>]+>|\{\{.*?\}\}/gs, ' ')
      .match(/\p{L}{2,}/gu);
    t.deepEqual(words ?? [], [], name);
  }
});

test('what a script says is in its page', (t) => {
  const include = (html: string): string =>
    html.replace(/\{\{>(?!made-)([\w-]+)\}\}/g, (_all, part) => include(read(`${part}.html`)));
  /** A script with what it imports. */
  const withImports = (name: string, seen = new Set<string>()): string => {
    if (seen.has(name)) return '';
    seen.add(name);
    const text = read(name);
    const imports = [...text.matchAll(/^(?:import|} from)\b.*'\.\/([\w-]+\.js)'/gm)].map(([, file = '']) => file);
    // page.js and form.js have functions that not every page calls.
    return [
      /^(page|form)\.js$/.test(name) ? '' : text,
      ...imports.filter((file) => file !== 'uqr.js' && file !== 'who.js').map((file) => withImports(file, seen)),
    ].join('\n');
  };
  for (const name of PAGES) {
    const html = include(read(name));
    for (const [, script = ''] of html.matchAll(/src="\{\{root\}\}assets\/([\w-]+\.js)"/g)) {
      const needed = [...withImports(script).matchAll(/\bsay(?:Count)?\('(\w+)'/g)].map(([, key = '']) => key);
      const missing = needed.filter((key) => !html.includes(`id="text-${key}"`));
      if (script !== 'page.js') t.deepEqual([...new Set(missing)], [], `${name} ${script}`);
    }
  }
});

test('an operator sets a name, a picture and two links, which are data', async (t) => {
  const logo = 'src/web/page/icon.svg';
  const { get } = await start(t, {
    OPERATOR_NAME: `Example <script>alert('1')</script>`,
    OPERATOR_LOGO: logo,
    IMPRINT_URL: 'https://example.com/imprint?a="b"&c',
    PRIVACY_URL: 'https://example.com/privacy',
  });
  for (const path of ['/', '/status', '/nowhere', '/secrets/unknown', '/signin']) {
    const html = await (await get(path, { accept: 'text/html' })).text();
    t.true(html.includes('<span>Example &#60;script&#62;alert(&#39;1&#39;)&#60;/script&#62;</span>'), path);
    t.true(html.includes('href="https://example.com/imprint?a=%22b%22&#38;c"'), path);
    t.true(html.includes('href="https://example.com/privacy"'), path);
    t.regex(html, /<img class="logo" src="(?:\.\/|\.\.\/)assets\/logo" alt="">/);
  }
  const response = await get('/assets/logo');
  t.is(response.headers.get('content-type'), 'image/svg+xml');
  t.regex(response.headers.get('content-security-policy') ?? '', /^default-src 'none'; .*sandbox$/);
  t.is(await response.text(), readFileSync(logo, 'utf8'));
  const without = await start(t);
  t.false((await (await without.get('/')).text()).includes('rel="noopener">Imprint'));
  t.is((await without.get('/assets/logo')).status, 404);
});
