import { randomBytes } from 'node:crypto';
import type { ExecutionContext } from 'ava';
import { Hushbox, HushboxError, newIdempotencyKey, parseLink } from '../../client/hushbox.ts';
import { startServer, type TestServer } from '../support/http/server.ts';
import { ENGINES } from '../support/storage/storage.ts';
import { breakOff, type Reply, startScriptedServer } from './scripted-server.ts';

const code = (expected: string) => ({ instanceOf: HushboxError, code: expected });

/** What a program without types may give: sealed as it is, nobody could open it. */
const UNFIT = [
  ...[undefined, null, 5, {}, [null], ['a'], [new Blob(['a'])], new File(['a'], 'a'), Buffer.from('a')],
  ...[{ files: ['a'] }, { text: 5, files: [] }, { text: null, files: [] }, { text: ['a'] }],
];

async function contentsOf(files: readonly File[]) {
  return Promise.all(files.map(async (file) => [file.name, file.type, Buffer.from(await file.arrayBuffer())]));
}

for (const { name, test, place } of ENGINES) {
  const start = async (
    t: ExecutionContext,
    env: Record<string, string> = {},
  ): Promise<TestServer & { box: Hushbox }> => {
    const server = await startServer(t, { place: await place(t), env });
    return { ...server, box: new Hushbox(server.base) };
  };

  test(`${name}: text is sent, looked at, and opened once, byte for byte`, async (t) => {
    const { base, box, logged } = await start(t);
    for (const text of ['x', '\uFEFF\r\n\0 秘密 \uFEFF', '{"files":[]}\n', 'a'.repeat(100_000)]) {
      const { link, expiresAt, ...more } = await box.send(text, { ttl: { minutes: 5 } });
      t.deepEqual(more, {});
      t.regex(link, new RegExp(`^${base}/secrets/[\\w-]{48}#[\\w-]{43}$`));
      const look = { answered: true, phrase: false, expiresAt, isSealed: true, hasFiles: false };
      t.deepEqual(await box.look(link), look as Awaited<ReturnType<Hushbox['look']>>);
      t.deepEqual(await box.open(new URL(link)), { text, files: [] });
      await t.throwsAsync(box.open(link), code('KEY_NOT_FOUND'));
      t.false(logged().includes(link.slice(-43)));
    }
  });

  test(`${name}: files come back byte for byte, with and without text`, async (t) => {
    const { box } = await start(t);
    const files = [
      new File([randomBytes(70_000)], 'a"%22../\u202e.png', { type: 'image/png' }),
      new File(['\uFEFF\r\n'], ''),
      new File([], 'empty'),
    ];
    for (const content of [files, { files }, { text: '\uFEFFtext\n', files }]) {
      const { link } = await box.send(content);
      t.like(await box.look(link), { hasFiles: true });
      const opened = await box.open(link);
      t.is(opened.text, 'text' in content ? content.text : undefined);
      t.deepEqual(await contentsOf(opened.files), await contentsOf(files));
    }
  });

  test(`${name}: a phrase is asked for, and a wrong one leaves tries`, async (t) => {
    const { box } = await start(t);
    const { link } = await box.send('text', { phrase: 'the phrase' });
    t.like(await box.look(link), { phrase: true });
    await t.throwsAsync(box.open(link), { ...code('PHRASE_REQUIRED') });
    const error = await t.throwsAsync(box.open(link, { phrase: 'wrong' }), code('WRONG_PHRASE'));
    t.like(error, { status: 403, triesLeft: 9, message: 'Incorrect phrase' });
    t.like(await box.open(link, { phrase: 'the phrase' }), { text: 'text' });
    await t.throwsAsync(box.send('text', { phrase: '' }), code('INVALID_REQUEST'), 'never sent without the phrase');
  });

  test(`${name}: the path alone neither reads nor destroys`, async (t) => {
    const { box, post } = await start(t);
    const { link } = await box.send('text');
    const [path = ''] = link.split('#');
    await t.throwsAsync(box.look(path), code('SPOILT_LINK'));
    await t.throwsAsync(box.open(path), code('SPOILT_LINK'));
    t.is((await post(new URL(path).pathname, {})).status, 403);
    t.like(await box.open(link), { text: 'text' });
  });

  test(`${name}: what the server seals itself has a link without a #, and no files`, async (t) => {
    const { box } = await start(t);
    const { link } = await box.send('text', { plain: true });
    t.false(link.includes('#'));
    t.like(await box.look(link), { isSealed: false, hasFiles: false });
    await t.throwsAsync(box.open(`${link}#${newIdempotencyKey()}`), code('UNTRUSTED'));
    t.deepEqual(await box.open(link), { text: 'text', files: [] });
    await t.throwsAsync(box.send([new File(['x'], 'x')], { plain: true }), code('INVALID_REQUEST'));
    await t.throwsAsync(box.send('a\uD800', { plain: true }), code('INVALID_REQUEST'));
    await t.throwsAsync(box.send(''), code('INVALID_REQUEST'));
    for (const unfit of UNFIT as never[]) {
      await t.throwsAsync(box.send(unfit), code('INVALID_REQUEST'), String(unfit));
      await t.throwsAsync(box.send(unfit, { plain: true }), code('INVALID_REQUEST'), String(unfit));
    }
    const { link: asks, keepLink: keeps } = await box.request();
    for (const unfit of UNFIT as never[]) await t.throwsAsync(box.answer(asks, unfit), code('INVALID_REQUEST'));
    await t.throwsAsync(box.open(keeps), code('NOT_ANSWERED'));
    for (const address of ['', 'nonsense', undefined]) {
      t.throws(() => new Hushbox(address as string), code('INVALID_REQUEST'));
    }
  });

  test(`${name}: a receipt shows what became of a secret, and burns it`, async (t) => {
    const { box } = await start(t);
    const { link, expiresAt, receiptKey = '' } = await box.send('text', { receipt: true });
    t.like(await box.receipt(receiptKey), { state: 'waiting', expiresAt, wrongTries: 0, reads: 0 });
    t.false('endedAt' in (await box.receipt(receiptKey)));
    await box.burn(receiptKey);
    await t.throwsAsync(box.open(link), code('KEY_NOT_FOUND'));
    const burned = await box.receipt(receiptKey);
    t.is(burned.state, 'burned');
    t.regex(burned.endedAt ?? '', /^\d{4}-.*Z$/);
    await t.throwsAsync(box.burn(receiptKey), code('NOT_WAITING'));
    for (const key of ['', '..', 'a/b', `${receiptKey}#`, `${receiptKey}%2f`, '?']) {
      await t.throwsAsync(box.receipt(key), code('SPOILT_LINK'), key);
    }
  });

  test(`${name}: only creating and asking send the token, and only to the server of the constructor`, async (t) => {
    const { base, box: without } = await start(t, { CREATE_TOKEN: 'a-token-to-create-with' });
    const box = new Hushbox(base, { token: 'a-token-to-create-with' });
    await t.throwsAsync(without.send('text'), code('UNAUTHORIZED'));
    const { link } = await box.send('text', { receipt: true });
    const scripted = await startScriptedServer(t, () => ({ status: 404, body: { Error: 'x', code: 'KEY_NOT_FOUND' } }));
    const foreign = `${scripted.base}${new URL(link).pathname}${new URL(link).hash}`;
    await t.throwsAsync(box.open(foreign, { phrase: 'p', idempotencyKey: newIdempotencyKey() }), code('KEY_NOT_FOUND'));
    await t.throwsAsync(box.withdraw(foreign), code('KEY_NOT_FOUND'));
    t.is(scripted.received.length, 3);
    for (const { headers } of scripted.received) t.is(headers.authorization, undefined);
    t.like(await box.open(link), { text: 'text' });
  });

  test(`${name}: a read whose answer breaks off is repeated, and nothing is lost`, async (t) => {
    const { base, box } = await start(t);
    let cuts = 0;
    const relay = await startScriptedServer(t, async ({ method, path, headers, body }) => {
      const { 'idempotency-key': key } = headers;
      const response = await fetch(base + path, {
        method,
        headers: key ? { 'idempotency-key': String(key) } : {},
        ...(body && { body }),
      });
      const text = await response.text();
      const isCut = method === 'POST' && cuts++ < 2;
      return isCut ? breakOff(text) : { status: response.status, body: text };
    });
    const { link } = await box.send('text', { phrase: 'p' });
    const through = relay.base + link.slice(base.length);
    t.like(await box.open(through, { phrase: 'p' }), { text: 'text' });
    t.is(cuts, 3);
    const keys = relay.received
      .filter(({ method }) => method === 'POST')
      .map(({ headers }) => headers['idempotency-key']);
    t.is(new Set(keys).size, 1);
    t.regex(String(keys[0]), /^[\w-]{43}$/);
  });

  test(`${name}: a read can be repeated with its key, and by nobody else`, async (t) => {
    const { box } = await start(t);
    const { link } = await box.send('text');
    const idempotencyKey = newIdempotencyKey();
    t.like(await box.open(link, { idempotencyKey }), { text: 'text' });
    t.like(await box.open(link, { idempotencyKey }), { text: 'text' });
    await t.throwsAsync(box.open(link, { idempotencyKey: newIdempotencyKey() }), code('KEY_NOT_FOUND'));
    await t.throwsAsync(box.open(link), code('KEY_NOT_FOUND'));
    const { base, key } = parseLink(link);
    await t.throwsAsync(
      box.open(`${base}/secrets/${key}#${newIdempotencyKey()}`, { idempotencyKey }),
      code('SPOILT_LINK'),
    );
  });

  test(`${name}: of 10 readers exactly one opens`, async (t) => {
    const { box } = await start(t);
    const { link } = await box.send('text');
    const opened = await Promise.allSettled([...Array(10)].map(() => box.open(link)));
    t.is(opened.filter(({ status }) => status === 'fulfilled').length, 1);
  });

  for (const plain of [false, true]) {
    const kind = plain ? 'by the server' : 'by the client';
    test(`${name}: a request is made, answered once and opened (sealed ${kind})`, async (t) => {
      const { base, box } = await start(t);
      const { link, keepLink, expiresAt } = await box.request({ note: 'The printer?', ttl: { hours: 1 }, plain });
      const hash = plain ? '$' : '#[\\w-]{43}$';
      t.regex(link, new RegExp(`^${base}/requests/request_[\\w-]+${hash}`));
      t.regex(keepLink, new RegExp(`^${base}/secrets/[\\w-]{48}${hash}`));
      t.deepEqual(await box.look(keepLink), { answered: false, note: 'The printer?', expiresAt });
      await t.throwsAsync(box.open(keepLink), code('NOT_ANSWERED'));
      t.deepEqual(await box.lookAtRequest(link), { note: 'The printer?', expiresAt, isSealed: !plain });
      await t.throwsAsync(box.open(link), code('SPOILT_LINK'));
      await t.throwsAsync(box.answer(keepLink, 'x'), code('SPOILT_LINK'));
      const answers = await Promise.allSettled(['one', 'two'].map((text) => box.answer(link, text, { receipt: true })));
      const won = answers.findIndex(({ status }) => status === 'fulfilled');
      t.is(answers.filter(({ status }) => status === 'fulfilled').length, 1);
      const { receiptKey = '' } = (answers[won] as PromiseFulfilledResult<{ receiptKey?: string }>).value;
      t.like(await box.receipt(receiptKey), { state: 'waiting', expiresAt });
      await t.throwsAsync(box.lookAtRequest(link), code('KEY_NOT_FOUND'));
      t.like(await box.look(keepLink), { answered: true, isSealed: !plain, hasFiles: false });
      t.deepEqual(await box.open(keepLink), { text: ['one', 'two'][won] ?? '', files: [] });
      t.like(await box.receipt(receiptKey), { state: 'read' });
    });
  }

  test(`${name}: files answer a sealed request, and never an unsealed one`, async (t) => {
    const { box } = await start(t);
    const files = [new File([randomBytes(1000)], 'key.pem')];
    const sealed = await box.request();
    await box.answer(sealed.link, { text: 'here', files });
    const opened = await box.open(sealed.keepLink);
    t.is(opened.text, 'here');
    t.deepEqual(await contentsOf(opened.files), await contentsOf(files));
    const plain = await box.request({ plain: true });
    await t.throwsAsync(box.answer(plain.link, files), code('INVALID_REQUEST'));
    await box.answer(plain.link, 'still open');
  });

  test(`${name}: a spoilt link to answer takes no answer`, async (t) => {
    const { box } = await start(t);
    const { link, keepLink } = await box.request();
    const start_ = link.slice(0, link.indexOf('#'));
    const wrong = [
      start_,
      `${start_}#`,
      link.slice(0, -1),
      `${start_}#${newIdempotencyKey()}`,
      `${start_}${new URL(keepLink).hash}`,
    ];
    for (const spoilt of wrong) {
      await t.throwsAsync(box.lookAtRequest(spoilt), code('SPOILT_LINK'), spoilt);
      await t.throwsAsync(box.answer(spoilt, 'text'), code('SPOILT_LINK'), spoilt);
    }
    const plain = await box.request({ plain: true });
    await t.throwsAsync(box.answer(`${plain.link}${new URL(link).hash}`, 'text'), code('UNTRUSTED'));
    await box.answer(link, 'text');
    await box.answer(plain.link, 'text');
  });

  test(`${name}: a request is withdrawn with the link to keep alone`, async (t) => {
    const { box } = await start(t);
    const { link, keepLink } = await box.request();
    const path = keepLink.slice(0, keepLink.indexOf('#'));
    await t.throwsAsync(box.withdraw(link), code('SPOILT_LINK'));
    await t.throwsAsync(box.withdraw(path), code('SPOILT_LINK'));
    await t.throwsAsync(box.withdraw(`${path}#${newIdempotencyKey()}`), code('SPOILT_LINK'));
    await box.withdraw(keepLink);
    await t.throwsAsync(box.answer(link, 'text'), code('KEY_NOT_FOUND'));
    await t.throwsAsync(box.look(keepLink), code('KEY_NOT_FOUND'));
    const secret = await box.send('text');
    await t.throwsAsync(box.withdraw(secret.link), code('STILL_WAITING'));
  });

  test(`${name}: an answer whose acknowledgement breaks off counts once, and its receipt arrives`, async (t) => {
    const { base, box } = await start(t);
    let cuts = 0;
    const relay = await startScriptedServer(t, async ({ method, path, headers, body }): Promise<Reply> => {
      const { 'idempotency-key': key } = headers;
      const response = await fetch(base + path, {
        method,
        headers: key ? { 'idempotency-key': String(key) } : {},
        ...(body && { body }),
      });
      const text = await response.text();
      return method === 'POST' && cuts++ === 0 ? breakOff(text) : { status: response.status, body: text };
    });
    const { link, keepLink } = await box.request();
    const { receiptKey = '' } = await box.answer(relay.base + link.slice(base.length), 'text', { receipt: true });
    t.is(cuts, 2);
    t.like(await box.receipt(receiptKey), { state: 'waiting' });
    t.like(await box.open(keepLink), { text: 'text' });
  });
}
