import { randomBytes } from 'node:crypto';
import type { ExecutionContext } from 'ava';
import type { Api } from '../support/http/api.ts';
import { startServer, type TestServer } from '../support/http/server.ts';
import { ask, FILES, open, type Sealed, seal, sealFor } from '../support/secrets/sealed.ts';
import { ENGINES } from '../support/storage/storage.ts';
import { type Answer, answerOf, expectError, expectGone, header, receiptOf } from './black-box.ts';

const WRONG_PROOFS = (proof: string): unknown[] => [
  '',
  'x',
  proof.slice(1),
  `${proof}=`,
  `${proof} `,
  ` ${proof}`,
  randomBytes(32).toString('base64url'),
  twin(proof),
  proof.toUpperCase(),
];

/** Another last character that stands for the same bytes. */
function twin(text: string): string {
  return text.slice(0, -1) + String.fromCharCode(text.charCodeAt(text.length - 1) + 1);
}

/** On a busy machine a database can take too long for so much: then the same request is sent again, as a client does. */
async function patiently(api: Api, path: string, body: object): Promise<Answer> {
  const mine = header();
  for (let tries = 1; ; tries++) {
    const [status, answer] = await answerOf(await api.post(path, body, mine));
    if (status < 300) return answer;
    if (status !== 503 || tries === 5) throw new Error(`${status} ${answer.code}`);
  }
}

for (const { name, test, place } of ENGINES) {
  const start = async (
    t: ExecutionContext,
    options: Partial<Parameters<typeof startServer>[1]> = {},
  ): Promise<TestServer> => startServer(t, { place: await place(t), ...options });
  const bodyOf = ({ jwe, proofHash }: Sealed): object => ({ secret: jwe, sealed: true, proof_hash: proofHash });

  test(`${name}: a sealed secret is looked at, read with its proof, and opened by its key`, async (t) => {
    const server = await start(t);
    const sealed = await seal('pässwörd\r\n');
    const { secret_key, expires_at } = await server.create(bodyOf(sealed));
    const path = `/secrets/${secret_key}`;
    const described = { alg: 'dir', kid: sealed.kid, proof: true };
    t.deepEqual(await answerOf(await server.get(path)), [200, { phrase: false, expires_at, sealed: described }]);
    const [status, read] = await answerOf(await server.post(path, { proof: sealed.proof }));
    t.deepEqual([status, read], [200, { secret: sealed.jwe, sealed: described }]);
    t.is(await open(read.secret as string, sealed.fragment), 'pässwörd\r\n');
    await expectGone(t, await server.post(path, { proof: sealed.proof }));
    await expectGone(t, await server.get(path));
  });

  test(`${name}: without a proof_hash no proof is needed, and one is ignored; files show in the look`, async (t) => {
    const server = await start(t);
    const sealed = await seal('{"files":[]}\n', { cty: FILES });
    for (const body of [{}, { proof: 'whatever' }, { proof: '' }, { proof: 'x'.repeat(5000) }]) {
      const { secret_key } = await server.create({ secret: sealed.jwe, sealed: true });
      const path = `/secrets/${secret_key}`;
      const described = { alg: 'dir', kid: sealed.kid, cty: FILES, proof: false };
      t.like(await (await server.get(path)).json(), { sealed: described });
      t.deepEqual(await answerOf(await server.post(path, body)), [200, { secret: sealed.jwe, sealed: described }]);
    }
    const plain = await server.create({ secret: 's', sealed: false });
    t.deepEqual(await answerOf(await server.post(`/secrets/${plain.secret_key}`, { proof: 'whatever' })), [
      200,
      { secret: 's' },
    ]);
  });

  test(`${name}: the path alone neither reads nor uses anything up, whatever the phrase`, async (t) => {
    const server = await start(t);
    const sealed = await seal('s');
    for (const phrase of [undefined, 'right']) {
      const created = await server.create({ ...bodyOf(sealed), phrase, receipt: true });
      const path = `/secrets/${created.secret_key}`;
      const phrases = [undefined, '', 'wrong', 'right'];
      for (const guess of phrases) {
        for (const headers of [{}, header()]) {
          await expectError(t, await server.post(path, { phrase: guess }, headers), 403, 'PROOF_REQUIRED');
          for (const proof of WRONG_PROOFS(sealed.proof)) {
            const answer = await server.post(path, { phrase: guess, proof }, headers);
            const body = await expectError(t, answer, 403, 'PROOF_REQUIRED');
            t.deepEqual(Object.keys(body), ['Error', 'code', 'request_id']);
          }
        }
      }
      for (const proof of [5, null, {}, ['x'], true]) {
        await expectError(t, await server.post(path, { proof }), 400, 'INVALID_REQUEST');
      }
      await expectError(t, await server.post(path, '{"proof":"\\ud800"}'), 400, 'INVALID_REQUEST');
      t.like(await receiptOf(server, created.receipt_key), { state: 'waiting', wrong_tries: 0, reads: 0 });
      const { proof } = sealed;
      if (phrase) {
        await expectError(t, await server.post(path, { proof }), 403, 'PHRASE_REQUIRED');
        const wrong = await server.post(path, { proof, phrase: 'wrong' });
        t.like(await expectError(t, wrong, 403, 'WRONG_PHRASE'), { tries_left: 9 });
      }
      t.like(await (await server.post(path, { proof, phrase })).json(), { secret: sealed.jwe });
      t.like(await receiptOf(server, created.receipt_key), { state: 'read', wrong_tries: phrase ? 1 : 0, reads: 1 });
    }
  });

  test(`${name}: a spent budget of tries is hidden from whoever has no proof`, async (t) => {
    const server = await start(t);
    const sealed = await seal('s');
    const { secret_key } = await server.create({ ...bodyOf(sealed), phrase: 'right' });
    const path = `/secrets/${secret_key}`;
    const { proof } = sealed;
    for (let tries = 0; tries < 10; tries++) await server.post(path, { proof, phrase: 'wrong' });
    await expectError(t, await server.post(path, { phrase: 'right' }), 403, 'PROOF_REQUIRED');
    await expectError(t, await server.post(path, { proof, phrase: 'right' }), 429, 'TOO_MANY_TRIES');
  });

  test(`${name}: a reread needs header and proof; without the header a read secret is gone`, async (t) => {
    const server = await start(t);
    const sealed = await seal('s');
    for (const phrase of [undefined, 'right']) {
      const { secret_key, receipt_key } = await server.create({ ...bodyOf(sealed), phrase, receipt: true });
      const path = `/secrets/${secret_key}`;
      const mine = header();
      const { proof } = sealed;
      const first = await answerOf(await server.post(path, { proof, phrase }, mine));
      t.is(first[0], 200);
      for (const wrong of [undefined, twin(proof), '']) {
        await expectError(t, await server.post(path, { proof: wrong, phrase }, mine), 403, 'PROOF_REQUIRED');
        await expectError(t, await server.post(path, { proof: wrong, phrase: 'no' }, mine), 403, 'PROOF_REQUIRED');
        await expectGone(t, await server.post(path, { proof: wrong, phrase }));
        await expectGone(t, await server.post(path, { proof: wrong, phrase }, header()));
      }
      await expectGone(t, await server.post(path, { proof, phrase }));
      await expectGone(t, await server.get(path));
      if (phrase) await expectError(t, await server.post(path, { proof, phrase: 'no' }, mine), 403, 'WRONG_PHRASE');
      for (let reads = 2; reads <= 5; reads++) {
        t.deepEqual(await answerOf(await server.post(path, { proof, phrase }, mine)), first);
      }
      await expectGone(t, await server.post(path, { proof, phrase }, mine));
      t.like(await receiptOf(server, receipt_key), { state: 'read', reads: 5 });
    }
  });

  test(`${name}: what is not a sealed secret is 400 and stores nothing`, async (t) => {
    const server = await start(t);
    const sealed = await seal('s');
    const good = { secret: sealed.jwe, sealed: true, proof_hash: sealed.proofHash };
    const bad: [object, RegExp][] = [
      [{ ...good, secret: 'some secret' }, /^secret must be a JWE/],
      [{ ...good, secret: '' }, /^secret must not be empty/],
      [{ ...good, secret: `${sealed.jwe}\n` }, /^secret must be a JWE/],
      [{ ...good, secret: 5 }, /^secret must be text/],
      [{ ...good, sealed: 'true' }, /^sealed must be true or false/],
      [{ ...good, sealed: null }, /^sealed must be true or false/],
      [{ ...good, sealed: 1 }, /^sealed must be true or false/],
      [{ ...good, proof_hash: sealed.proofHash.slice(1) }, /^proof_hash must be 32 bytes/],
      [{ ...good, proof_hash: `${sealed.proofHash}=` }, /^proof_hash must be 32 bytes/],
      [{ ...good, proof_hash: twin(sealed.proofHash) }, /^proof_hash must be 32 bytes/],
      [{ ...good, proof_hash: '' }, /^proof_hash must be 32 bytes/],
      [{ ...good, proof_hash: null }, /^proof_hash must be text/],
      [{ secret: 's', proof_hash: sealed.proofHash }, /^proof_hash needs `sealed`/],
      [{ ...good, sealed: false }, /^proof_hash needs `sealed`/],
      [{ ...good, kid: sealed.kid }, /^The body has an unknown member/],
    ];
    for (const [body, message] of bad) {
      const answer = await expectError(t, await server.post('/generate', body), 400, 'INVALID_REQUEST');
      t.regex(answer.Error as string, message, JSON.stringify(Object.keys(body)));
      t.false((answer.Error as string).includes(sealed.kid));
    }
    const records = await server.storage.secrets.sweep(server.clock.now + 365 * 86_400_000, 100, 0);
    t.is(records.wiped, 0);
  });

  test(`${name}: the limit counts the decoded ciphertext, and one byte more is 413`, async (t) => {
    const server = await start(t, { env: { SECRET_MAX_BYTES: '3000' } });
    const longest = await seal('x'.repeat(3000));
    const { secret_key } = await server.create(bodyOf(longest));
    const read = await server.post(`/secrets/${secret_key}`, { proof: longest.proof });
    t.like(await read.json(), { secret: longest.jwe });
    const longer = await seal('x'.repeat(3001));
    const refused = await server.post('/generate', bodyOf(longer));
    t.regex((await expectError(t, refused, 413, 'TOO_LARGE')).Error as string, /^secret must not be longer than 3000/);
    await expectError(t, await server.post('/generate', { secret: longest.jwe }), 413, 'TOO_LARGE');
  });

  test(`${name}: the largest secret that a server may allow comes back, sealed, as a copy and as an answer`, async (t) => {
    const most = 11 * 1024 * 1024;
    const server = await start(t, { env: { SECRET_MAX_BYTES: String(most) } });
    const sealed = await seal('x'.repeat(most));
    const send = (path: string, body: object): Promise<Answer> => patiently(server, path, body);
    const { secret_key } = await send('/generate', bodyOf(sealed));
    const read = await send(`/secrets/${secret_key}`, { proof: sealed.proof });
    t.true(read.secret === sealed.jwe);
    const asking = await ask();
    const { request_key, secret_key: kept } = await send('/requests', { kid: asking.kid });
    const answer = await sealFor(asking, 'x'.repeat(most));
    await send(`/requests/${request_key}`, { secret: answer, sealed: true });
    const answered = await send(`/secrets/${kept}`, {});
    t.true(answered.secret === answer);
  });

  test(`${name}: in plain text a link comes without its # and a read is the JWE`, async (t) => {
    const server = await start(t);
    const sealed = await seal('s');
    const asText = { accept: 'text/plain' };
    const link = await (await server.post('/generate', bodyOf(sealed), asText)).text();
    t.regex(link, /\/secrets\/[A-Za-z0-9_-]{47}[A-Za-z0-9]$/);
    const path = link.slice(server.base.length);
    const refused = await server.post(path, {}, asText);
    t.deepEqual([refused.status, (await refused.text()).includes('\n')], [403, false]);
    t.is(await (await server.post(path, { proof: sealed.proof }, asText)).text(), sealed.jwe);
  });

  test(`${name}: a link with its # escaped by a mail gateway is 404 and uses nothing up`, async (t) => {
    const server = await start(t);
    const sealed = await seal('s');
    const { secret_key } = await server.create(bodyOf(sealed));
    for (const method of ['GET', 'POST', 'HEAD']) {
      const answer = await server.request(method, `/secrets/${secret_key}%23${sealed.fragment}`);
      t.is(answer.status, 404, method);
    }
    t.is((await server.post(`/secrets/${secret_key}`, { proof: sealed.proof })).status, 200);
  });

  test(`${name}: without the master key nothing is said of a sealed secret, and nothing used up`, async (t) => {
    const shared = await place(t);
    const [older, newer] = [randomBytes(32), randomBytes(32)];
    const before = await startServer(t, { place: shared, masterKeys: [older] });
    const sealed = await seal('s');
    const { secret_key } = await before.create(bodyOf(sealed));
    const path = `/secrets/${secret_key}`;
    const without = await startServer(t, { place: shared, masterKeys: [newer], clock: before.clock });
    await expectError(t, await without.get(path), 503, 'MASTER_KEY_UNAVAILABLE');
    for (const body of [{}, { proof: sealed.proof }]) {
      await expectError(t, await without.post(path, body), 503, 'MASTER_KEY_UNAVAILABLE');
    }
    const rotated = await startServer(t, { place: shared, masterKeys: [newer, older], clock: before.clock });
    t.like(await (await rotated.get(path)).json(), { sealed: { kid: sealed.kid } });
    t.is((await rotated.post(path, { proof: sealed.proof })).status, 200);
  });

  test(`${name}: exactly one of 40 parallel readers with the proof wins, and none without it`, async (t) => {
    const server = await start(t);
    const sealed = await seal('s');
    const { secret_key } = await server.create(bodyOf(sealed));
    const answers = await Promise.all(
      Array.from({ length: 40 }, async (_, reader): Promise<[number, Answer]> => {
        const proof = reader % 2 ? sealed.proof : undefined;
        return answerOf(await server.post(`/secrets/${secret_key}`, { proof }));
      }),
    );
    t.is(answers.filter(([status]) => status === 200).length, 1);
    t.true(answers.every(([status], reader) => reader % 2 === 1 || status === 403 || status === 404));
  });
}
