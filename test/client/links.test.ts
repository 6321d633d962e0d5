import { randomInt } from 'node:crypto';
import test from 'ava';
import { Hushbox, HushboxError, parseLink } from '../../client/hushbox.ts';
import { newKey } from '../../client/sealing.ts';
import { startServer } from '../support/http/server.ts';
import { SQLITE } from '../support/storage/storage.ts';

const KEY = 'awUM7NPCPrt1t6HnvLS644X6szXOo18S9n5ChXlDiN4IZkao';
const K = 'gIGCg4SFhoeIiYqLjI2Oj5CRkpOUlZaXmJmam5ydnp8';

const WHOLE: readonly [link: string, parsed: object][] = [
  [`https://example.com/secrets/${KEY}#${K}`, { kind: 'secret', base: 'https://example.com', key: KEY, fragment: K }],
  [`https://example.com/secrets/${KEY}`, { kind: 'secret', base: 'https://example.com', key: KEY }],
  [`https://example.com/requests/request_a#${K}`, { kind: 'request', key: 'request_a', fragment: K }],
  ['https://example.com/receipts/receipt_a', { kind: 'receipt', key: 'receipt_a' }],
  [`https://example.com/in/a/folder/secrets/${KEY}#${K}`, { base: 'https://example.com/in/a/folder', fragment: K }],
  [`https://example.com/secrets/secrets/${KEY}#${K}`, { base: 'https://example.com/secrets', fragment: K }],
  [`http://127.0.0.1:8000/secrets/${KEY}#${K}`, { base: 'http://127.0.0.1:8000' }],
  [`http://[::1]:8000/secrets/${KEY}#${K}`, { base: 'http://[::1]:8000' }],
  [`Https://EXAMPLE.com:443/secrets/${KEY}#${K}`, { base: 'https://example.com', fragment: K }],
  [`HTTPS://example.com/secrets/${KEY}#${K}`, { base: 'https://example.com', fragment: K }],
  [`https://example.com//secrets///${KEY}//#${K}`, { base: 'https://example.com', key: KEY, fragment: K }],
  [`https://example.com/secrets/${KEY}?utm_source=x#${K}`, { key: KEY, fragment: K }],
  [`  https://example.com/secrets/${KEY}#${K}\n`, { key: KEY, fragment: K, isEscaped: false }],
  [`https://example.com/secrets/${KEY}%23${K}`, { key: KEY, fragment: K, isEscaped: true }],
  [`https://example.com/secrets/${KEY}/%2523${K}`, { key: KEY, fragment: K, isEscaped: true }],
];
for (const [link, parsed] of WHOLE) {
  test(`is a link: ${JSON.stringify(link)}`, (t) => {
    t.like(parseLink(link), { isEscaped: link.includes('%'), ...parsed });
    t.is('fragment' in parseLink(link), link.includes(K));
  });
}

const SPOILT: readonly string[] = [
  '',
  'x',
  KEY,
  `${KEY}#${K}`,
  `//example.com/secrets/${KEY}#${K}`,
  `example.com/secrets/${KEY}#${K}`,
  `ftp://example.com/secrets/${KEY}#${K}`,
  `javascript:https://example.com/secrets/${KEY}#${K}`,
  `https:///secrets/${KEY}#${K}`,
  `https://user:password@example.com/secrets/${KEY}#${K}`,
  `https://example.com@evil.example/secrets/${KEY}#${K}`,
  `https://example.com\\@evil.example/secrets/${KEY}#${K}`,
  `https://exa mple.com/secrets/${KEY}#${K}`,
  `https://example.com:99999/secrets/${KEY}#${K}`,
  `https://example.com/#${K}`,
  `https://example.com/secrets/#${K}`,
  `https://example.com/secret/${KEY}#${K}`,
  `https://example.com/Secrets/${KEY}#${K}`,
  `https://example.com/secrets/${KEY}/more#${K}`,
  `https://example.com/secrets/${'a'.repeat(201)}#${K}`,
  `https://example.com/secrets/${KEY}#`,
  `https://example.com/secrets/${KEY}%23`,
  `https://example.com/secrets/${KEY}#${K.slice(0, -1)}`,
  `https://example.com/secrets/${KEY}#${K.slice(1)}`,
  `https://example.com/secrets/${KEY}#${K}x`,
  `https://example.com/secrets/${KEY}#${K}=`,
  `https://example.com/secrets/${KEY}#${K}.`,
  `https://example.com/secrets/${KEY}#${K}?utm_source=x`,
  `https://example.com/secrets/${KEY}##${K}`,
  `https://example.com/secrets/${KEY}#${K}#`,
  `https://example.com/secrets/${KEY}%23${K}#`,
  `https://example.com/secrets/${KEY}#${K.slice(0, 20)} ${K.slice(21)}`,
  `https://example.com/secrets/${KEY}#${K.slice(0, 20)}\n${K.slice(20)}`,
  `https://example.com/secrets/${KEY.slice(0, 20)}\n${KEY.slice(20)}#${K}`,
  `https://example.com/secrets/${KEY}#${K.slice(0, 42)}9`, // the last character stands for the same bytes as 8
  `https://example.com/secrets/${KEY}#${K.slice(0, 42)}-`,
  `https://example.com/secrets/${KEY}#${K.slice(0, 42)}+`,
  `https://example.com/secrets/${KEY}#${encodeURIComponent(`${K.slice(0, 40)}/+8`)}`,
  `https://example.com/secrets/${KEY}#${'a'.repeat(5000)}`,
  `https://example.com/${'secrets/'.repeat(500)}!`,
  `https://example.com/${'/'.repeat(1_000_000)}`,
];
for (const link of SPOILT) {
  test(`is a spoilt link: ${JSON.stringify(link.slice(0, 160))} (${link.length} characters)`, (t) => {
    t.throws(() => parseLink(link), { instanceOf: HushboxError, code: 'SPOILT_LINK' });
  });
}

/** What happens to links in mails, chats, and when people type them. */
const MUTATIONS: readonly ((link: string, at: number) => string)[] = [
  (link, at) => link.slice(0, at),
  (link, at) => link.slice(at),
  (link, at) => link.slice(0, at) + link.slice(at + 1),
  (link, at) => link.slice(0, at) + character() + link.slice(at + 1),
  (link, at) => link.slice(0, at) + character() + link.slice(at),
  (link, at) => link.slice(0, at) + changeCase(link[at]) + link.slice(at + 1),
  (link, at) => link.slice(0, at) + link.slice(at).toUpperCase(),
  (link, at) => link.slice(0, at) + link.slice(at).toLowerCase(),
  (link, at) => link.slice(0, at) + (link[at + 1] ?? '') + (link[at] ?? '') + link.slice(at + 2),
  (link, at) => link + link.slice(at),
  (link) => link + ['.', ',', ')', '>', '"', '-', '_', '=', '…', ' .', '%20'][randomInt(11)],
];

function character(): string {
  return String.fromCharCode(randomInt(0x20, 0x7f));
}

function changeCase(letter = ''): string {
  return letter === letter.toUpperCase() ? letter.toLowerCase() : letter.toUpperCase();
}

test('500 mutations of a link use nothing up, and only those that leave both keys unchanged open it', async (t) => {
  const { base } = await startServer(t, { place: await SQLITE.place(t) });
  const posts: string[] = [];
  // A changed host or port is nobody's.
  const here: typeof fetch = async (url, init) => {
    if (!String(url).startsWith(`${base}/`)) throw new TypeError('fetch failed');
    if (init?.method === 'POST') posts.push(String(url));
    return fetch(url, init);
  };
  const box = new Hushbox(base, { fetch: here });
  for (const phrase of [undefined, 'a phrase']) {
    const { link } = await box.send('the secret', { phrase });
    posts.length = 0;
    const isSame = (changed: string) => {
      try {
        const { base, key, fragment } = parseLink(changed);
        return `${base}/secrets/${key}#${fragment}` === link;
      } catch {
        return false;
      }
    };
    for (let count = 0; count < 250; count++) {
      const mutate = MUTATIONS[count % MUTATIONS.length] as (typeof MUTATIONS)[number];
      const changed = mutate(link, randomInt(link.length));
      if (isSame(changed)) {
        t.like(await box.look(changed), { isSealed: true }, changed);
        continue;
      }
      const error = await t.throwsAsync<HushboxError>(box.open(changed, { phrase }), undefined, changed);
      t.regex(error.code, /^(SPOILT_LINK|KEY_NOT_FOUND|UNREACHABLE|NOT_FOUND)$/, changed);
    }
    t.deepEqual(posts, [], 'nothing was even tried');
    t.deepEqual(await box.open(link, { phrase }), { text: 'the secret', files: [] });
  }
});

test('every key that differs in one character, or in its last bits, is spoilt', async (t) => {
  const { base } = await startServer(t, { place: await SQLITE.place(t) });
  const box = new Hushbox(base);
  const { link } = await box.send('the secret');
  const start = link.slice(0, link.indexOf('#') + 1);
  const key = link.slice(start.length);
  for (let at = 0; at < key.length; at++) {
    for (const other of [character(), changeCase(key[at]), String.fromCharCode(key.charCodeAt(at) + 1)]) {
      if (other === key[at] || (at === 0 && other === ' ')) continue;
      const changed = `${start}${key.slice(0, at)}${other}${key.slice(at + 1)}`;
      await t.throwsAsync(box.open(changed), { code: 'SPOILT_LINK' }, changed);
    }
  }
  await t.throwsAsync(box.open(start + newKey()), { code: 'SPOILT_LINK' });
  await t.throwsAsync(box.open(start.slice(0, -1)), { code: 'SPOILT_LINK' });
  t.deepEqual(await box.open(link), { text: 'the secret', files: [] });
});
