import { randomBytes } from 'node:crypto';
import type { ExecutionContext } from 'ava';
import type { Api } from '../support/http/api.ts';
import { startServer, type TestServer } from '../support/http/server.ts';
import { remember } from '../support/process/leaks.ts';
import { type Asking, ask, FILES, openAnswer, seal, sealFor } from '../support/secrets/sealed.ts';
import { ENGINES } from '../support/storage/storage.ts';
import { type Answer, answerOf, expectError, expectGone, expectSecret, header, receiptOf } from './black-box.ts';

type Request = { request_key: string; secret_key: string; expires_at: string; send: string; keep: string };

async function request(api: Api, body: object = {}): Promise<Request> {
  const [status, made] = await answerOf(await api.post('/requests', body));
  if (status !== 201) throw new Error(`${status} ${made.code}`);
  const { request_key, secret_key, expires_at } = made as unknown as Request;
  for (const key of [request_key, secret_key]) remember(key);
  return { request_key, secret_key, expires_at, send: `/requests/${request_key}`, keep: `/secrets/${secret_key}` };
}

const sealedFor = ({ kid, proofHash }: Asking): object => ({ kid, proof_hash: proofHash });

async function expectOpen(t: ExecutionContext, api: Api, { send, keep, expires_at }: Request): Promise<void> {
  t.like(await (await api.get(send)).json(), { expires_at });
  t.like(await (await api.get(keep)).json(), { phrase: false, answered: false, expires_at });
}

async function expectClosed(t: ExecutionContext, api: Api, { send }: Request): Promise<void> {
  for (const headers of [{}, header()]) await expectGone(t, await api.post(send, { secret: 'late' }, headers));
  const answer = await expectGone(t, await api.get(send));
  t.deepEqual(Object.keys(answer), ['Error', 'code', 'request_id']);
}

for (const { name, test, place } of ENGINES) {
  const start = async (
    t: ExecutionContext,
    options: Partial<Parameters<typeof startServer>[1]> = {},
  ): Promise<TestServer> => startServer(t, { place: await place(t), ...options });

  test(`${name}: a request is made, looked at, answered once, and read once`, async (t) => {
    const server = await start(t);
    const made = await server.post('/requests', { note: 'The password, please', ttl: { hours: 1 } });
    const [status, body] = await answerOf(made);
    t.deepEqual([status, Object.keys(body)], [201, ['request_key', 'secret_key', 'expires_at']]);
    t.regex(body.request_key as string, /^request_[A-Za-z0-9_-]{63}[A-Za-z0-9]$/);
    t.regex(body.secret_key as string, /^[A-Za-z0-9_-]{47}[A-Za-z0-9]$/);
    const { expires_at } = body as unknown as Request;
    t.is(Date.parse(expires_at) - server.clock.now, 3_600_000);
    const [send, keep] = [`/requests/${body.request_key}`, `/secrets/${body.secret_key}`];
    const note = 'The password, please';
    t.deepEqual(await answerOf(await server.get(send)), [200, { note, expires_at }]);
    t.deepEqual(await answerOf(await server.get(keep)), [200, { phrase: false, answered: false, note, expires_at }]);
    for (const phrase of [undefined, '', 'some phrase']) {
      for (const headers of [{}, header()]) {
        await expectError(t, await server.post(keep, { phrase, proof: 'x' }, headers), 409, 'NOT_ANSWERED');
      }
    }
    server.clock.advance({ minutes: 5 });
    const answeredAt = new Date(server.clock.now).toISOString();
    const [answered, { receipt_key, ...rest }] = await answerOf(
      await server.post(send, { secret: 'pässwörd\r\n', receipt: true }),
    );
    t.deepEqual([answered, rest], [201, { expires_at }]);
    t.like(await receiptOf(server, receipt_key as string), { state: 'waiting', created_at: answeredAt, expires_at });
    await expectClosed(t, server, { ...body, send, keep } as unknown as Request);
    t.deepEqual(await answerOf(await server.get(keep)), [200, { phrase: false, expires_at }]);
    await expectSecret(t, await server.post(keep), 'pässwörd\r\n');
    await expectGone(t, await server.post(keep));
    await expectGone(t, await server.get(keep));
    t.like(await receiptOf(server, receipt_key as string), { state: 'read', created_at: answeredAt, reads: 1 });
  });

  test(`${name}: an answer can be reread, and burned with its receipt`, async (t) => {
    const server = await start(t);
    const first = await request(server);
    t.is((await server.post(first.send, { secret: 's' })).status, 201);
    const mine = header();
    for (let reads = 0; reads < 5; reads++) await expectSecret(t, await server.post(first.keep, {}, mine), 's');
    await expectGone(t, await server.post(first.keep, {}, mine));
    const second = await request(server);
    const { receipt_key } = (await (await server.post(second.send, { secret: 's', receipt: true })).json()) as Answer;
    t.is((await server.request('DELETE', `/receipts/${receipt_key}`)).status, 204);
    await expectGone(t, await server.post(second.keep));
    await expectClosed(t, server, second);
  });

  test(`${name}: a request with a kid takes only an answer that is sealed for it, and a wrong one leaves it open`, async (t) => {
    const server = await start(t);
    const asking = await ask();
    const other = await ask();
    const made = await request(server, sealedFor(asking));
    t.deepEqual(await (await server.get(made.send)).json(), { kid: asking.kid, expires_at: made.expires_at });
    const bad = [
      { secret: 's' },
      { secret: 's', sealed: true },
      { secret: await sealFor(asking, 's') },
      { secret: await sealFor(other, 's'), sealed: true },
      { secret: (await seal('s')).jwe, sealed: true },
    ];
    for (const body of bad) await expectError(t, await server.post(made.send, body), 400, 'INVALID_REQUEST');
    await expectOpen(t, server, made);
    for (const proof of [undefined, 'x']) {
      await expectError(t, await server.post(made.keep, { proof }), 409, 'NOT_ANSWERED');
    }
    const jwe = await sealFor(asking, 'pässwörd', { cty: FILES });
    t.is((await server.post(made.send, { secret: jwe, sealed: true })).status, 201);
    const sealed = { alg: 'ECDH-ES', kid: asking.kid, cty: FILES, proof: true };
    t.deepEqual(await (await server.get(made.keep)).json(), { phrase: false, expires_at: made.expires_at, sealed });
    for (const proof of [undefined, other.proof]) {
      await expectError(t, await server.post(made.keep, { proof }), 403, 'PROOF_REQUIRED');
    }
    const read = (await (await server.post(made.keep, { proof: asking.proof })).json()) as Answer;
    t.deepEqual(read, { secret: jwe, sealed });
    t.is(await openAnswer(asking, read.secret as string), 'pässwörd');
  });

  test(`${name}: a request without a kid takes no sealed answer; with a kid alone no proof is needed`, async (t) => {
    const server = await start(t);
    const asking = await ask();
    const plain = await request(server);
    const jwe = await sealFor(asking, 's');
    await expectError(t, await server.post(plain.send, { secret: jwe, sealed: true }), 400, 'INVALID_REQUEST');
    await expectOpen(t, server, plain);
    t.is((await server.post(plain.send, { secret: jwe })).status, 201, 'a text that looks sealed');
    await expectSecret(t, await server.post(plain.keep), jwe);
    const made = await request(server, { kid: asking.kid });
    t.is((await server.post(made.send, { secret: jwe, sealed: true })).status, 201);
    t.like(await (await server.get(made.keep)).json(), { sealed: { alg: 'ECDH-ES', proof: false } });
    t.like(await (await server.post(made.keep)).json(), { secret: jwe });
  });

  test(`${name}: what is no request is 400 and stores nothing`, async (t) => {
    const server = await start(t);
    const asking = await ask();
    const bad: [object, RegExp][] = [
      [{ note: 'x'.repeat(501) }, /^note must not be longer than 500 characters/],
      [{ note: '🔑'.repeat(501) }, /^note must not be longer than 500 characters/],
      [{ note: 5 }, /^note must be text/],
      [{ kid: asking.kid.slice(1) }, /^kid must be 32 bytes/],
      [{ kid: `${asking.kid}=` }, /^kid must be 32 bytes/],
      [{ kid: '' }, /^kid must be 32 bytes/],
      [{ kid: 5 }, /^kid must be text/],
      [{ proof_hash: asking.proofHash }, /^proof_hash needs `kid`/],
      [{ kid: asking.kid, proof_hash: 'x' }, /^proof_hash must be 32 bytes/],
      [{ ttl: { minutes: 0 } }, /^ttl must be at least one minute/],
      [{ ttl: { days: 8 } }, /^ttl must be at most/],
      [{ receipt: true }, /^The body has an unknown member; allowed are: ttl, note, kid, proof_hash, notify$/],
      [{ secret: 's' }, /^The body has an unknown member/],
    ];
    for (const [body, message] of bad) {
      const answer = await expectError(t, await server.post('/requests', body), 400, 'INVALID_REQUEST');
      t.regex(answer.Error as string, message);
    }
    await expectError(t, await server.post('/requests', '{"note":"\\ud800"}'), 400, 'INVALID_REQUEST');
    for (const note of ['x'.repeat(500), '🔑'.repeat(500), '\u0000\u202e"quoted"\r\n']) {
      const made = await request(server, { note });
      t.like(await (await server.get(made.send)).json(), { note });
      t.like(await (await server.get(made.keep)).json(), { note });
    }
    t.false('note' in ((await (await server.get((await request(server, { note: '' })).send)).json()) as Answer));
  });

  test(`${name}: a bad answer is 400 or 413 and leaves the request open`, async (t) => {
    const server = await start(t, { env: { SECRET_MAX_BYTES: '1000' } });
    const made = await request(server);
    for (const body of [{}, { secret: '' }, { secret: 5 }, { secret: 's', phrase: 'p' }, { secret: 's', ttl: {} }]) {
      await expectError(t, await server.post(made.send, body), 400, 'INVALID_REQUEST');
    }
    await expectError(t, await server.post(made.send, { secret: 'x'.repeat(1001) }), 413, 'TOO_LARGE');
    const answer = await server.post(made.send, { secret: 's' }, { 'idempotency-key': 'short' });
    await expectError(t, answer, 400, 'INVALID_REQUEST');
    await expectOpen(t, server, made);
    t.is((await server.post(made.send, { secret: 'x'.repeat(1000) })).status, 201);
    const asking = await ask();
    const sealed = await request(server, { kid: asking.kid });
    const longer = { secret: await sealFor(asking, 'x'.repeat(1001)), sealed: true };
    await expectError(t, await server.post(sealed.send, longer), 413, 'TOO_LARGE');
    const longest = { secret: await sealFor(asking, 'x'.repeat(1000)), sealed: true };
    t.is((await server.post(sealed.send, longest)).status, 201);
  });

  test(`${name}: unknown and malformed keys look the same, and no key passes for another kind`, async (t) => {
    const server = await start(t);
    const made = await request(server);
    const changed = made.request_key.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A'));
    const paths = ['x', '%ff', '%00', changed, made.secret_key, `request_${made.secret_key}`, `${made.request_key}x`];
    for (const key of [...paths, `${made.request_key}%23AAAA`]) {
      for (const [method, body] of [['GET'], ['POST', { secret: 's' }]] as const) {
        const answer = await expectGone(t, await server.request(method, `/requests/${key}`, body));
        t.deepEqual(Object.keys(answer), ['Error', 'code', 'request_id']);
      }
    }
    for (const [method, path] of [
      ['GET', `/secrets/${made.request_key}`],
      ['POST', `/secrets/${made.request_key}`],
      ['DELETE', `/secrets/${made.request_key}`],
      ['GET', `/receipts/${made.request_key}`],
      ['DELETE', `/receipts/${made.request_key}`],
      ['GET', `/receipts/receipt_${made.request_key.slice('request_'.length)}`],
      ['DELETE', `/receipts/receipt_${made.request_key.slice('request_'.length)}`],
    ] as const) {
      await expectGone(t, await server.request(method, path));
    }
    await expectOpen(t, server, made);
    t.is((await server.request('OPTIONS', made.send)).headers.get('allow'), 'HEAD, GET, POST, OPTIONS');
    t.is((await server.request('HEAD', made.send)).status, 200);
    await expectError(t, await server.request('DELETE', made.send), 405, 'METHOD_NOT_ALLOWED');
    await expectError(t, await server.get('/requests'), 405, 'METHOD_NOT_ALLOWED');
  });

  test(`${name}: a request expires at its instant, open and answered`, async (t) => {
    const server = await start(t);
    const open = await request(server, { ttl: { minutes: 1 } });
    const answered = await request(server, { ttl: { minutes: 1 } });
    const { receipt_key } = (await (await server.post(answered.send, { secret: 's', receipt: true })).json()) as Answer;
    server.clock.advance({ seconds: 59.999 });
    await expectOpen(t, server, open);
    await expectError(t, await server.post(open.keep), 409, 'NOT_ANSWERED');
    t.like(await (await server.get(answered.keep)).json(), { phrase: false });
    server.clock.advance({ seconds: 0.001 });
    await expectClosed(t, server, open);
    for (const made of [open, answered]) {
      await expectGone(t, await server.get(made.keep));
      for (const headers of [{}, header()]) await expectGone(t, await server.post(made.keep, {}, headers));
      await expectGone(t, await server.request('DELETE', made.keep));
    }
    t.like(await receiptOf(server, receipt_key as string), { state: 'expired' });
    await server.storage.secrets.sweep(server.clock.now + 1000, 100, 0);
    await expectClosed(t, server, open);
    t.like(await receiptOf(server, receipt_key as string), { state: 'expired' });
  });

  test(`${name}: an answer in the last millisecond counts, and expires in the next one`, async (t) => {
    const server = await start(t);
    const made = await request(server, { ttl: { minutes: 1 } });
    server.clock.advance({ seconds: 59.999 });
    const mine = header();
    const body = { secret: 's', receipt: true };
    const first = await answerOf(await server.post(made.send, body, mine));
    t.is(first[0], 201);
    server.clock.advance({ seconds: 0.001 });
    await expectGone(t, await server.post(made.keep));
    t.deepEqual(await answerOf(await server.post(made.send, body, mine)), first);
  });

  test(`${name}: of any number of answers one wins, and the others get 404`, async (t) => {
    const server = await start(t);
    for (const headers of [() => ({}), header]) {
      const made = await request(server);
      const answers = await Promise.all(
        Array.from({ length: 30 }, async (_, number) => {
          const response = await server.post(made.send, { secret: `answer ${number}` }, headers());
          return answerOf(response);
        }),
      );
      const won = answers.flatMap(([status], number) => (status === 201 ? [number] : []));
      t.is(won.length, 1);
      t.true(answers.every(([status, { code }]) => status === 201 || code === 'KEY_NOT_FOUND'));
      await expectSecret(t, await server.post(made.keep), `answer ${won[0]}`);
    }
  });

  test(`${name}: of an answer and a withdrawal at once one wins`, async (t) => {
    const server = await start(t);
    for (let round = 0; round < 8; round++) {
      const made = await request(server);
      const [answered, withdrawn] = await Promise.all([
        server.post(made.send, { secret: 's' }),
        server.request('DELETE', made.keep),
      ]);
      if (answered.status === 201) {
        t.is(withdrawn.status, 409);
        await expectSecret(t, await server.post(made.keep), 's');
      } else {
        t.deepEqual([answered.status, withdrawn.status], [404, 204]);
        await expectGone(t, await server.post(made.keep));
      }
    }
  });

  test(`${name}: the same answer with the same Idempotency-Key has the same result, for a minute`, async (t) => {
    const server = await start(t);
    for (const receipt of [true, false]) {
      const made = await request(server);
      const mine = header();
      const body = { secret: 'the answer', receipt };
      const answers = await Promise.all(
        Array.from({ length: 10 }, async () => answerOf(await server.post(made.send, body, mine))),
      );
      const [first] = answers;
      t.is(first?.[0], 201);
      t.is('receipt_key' in (first?.[1] ?? {}), receipt);
      for (const answer of answers) t.deepEqual(answer, first);
      const again = async (): Promise<[number, Answer]> => answerOf(await server.post(made.send, body, mine));
      for (const other of [
        { ...body, secret: 'another' },
        { ...body, secret: 'the answer ' },
        { ...body, receipt: !receipt },
      ]) {
        await expectGone(t, await server.post(made.send, other, mine));
      }
      await expectGone(t, await server.post(made.send, body, header()));
      await expectGone(t, await server.post(made.send, body));
      await expectError(t, await server.post(made.send, body, { 'idempotency-key': 'x' }), 400, 'INVALID_REQUEST');
      await expectGone(t, await server.get(made.send));
      await expectSecret(t, await server.post(made.keep), 'the answer');
      t.deepEqual(await again(), first, 'after it was read');
      server.clock.advance({ seconds: 59.999 });
      t.deepEqual(await again(), first);
      server.clock.advance({ seconds: 0.001 });
      await expectGone(t, await server.post(made.send, body, mine));
      if (receipt) t.like(await receiptOf(server, first?.[1].receipt_key as string), { state: 'read' });
    }
  });

  test(`${name}: an answer can be repeated after it was burned, and across a restart and a new master key`, async (t) => {
    const shared = await place(t);
    const [older, newer] = [randomBytes(32), randomBytes(32)];
    const first = await startServer(t, { place: shared, masterKeys: [older] });
    const made = await request(first);
    const mine = header();
    const body = { secret: 's', receipt: true };
    const answered = await answerOf(await first.post(made.send, body, mine));
    t.is((await first.request('DELETE', `/receipts/${answered[1].receipt_key}`)).status, 204);
    t.deepEqual(await answerOf(await first.post(made.send, body, mine)), answered);
    const second = await startServer(t, { place: shared, masterKeys: [newer, older], clock: first.clock });
    t.deepEqual(await answerOf(await second.post(made.send, body, mine)), answered);
    const without = await startServer(t, { place: shared, masterKeys: [newer], clock: first.clock });
    await expectError(t, await without.post(made.send, body, mine), 503, 'MASTER_KEY_UNAVAILABLE');
    await expectGone(t, await without.post(made.send, body));
  });

  test(`${name}: a request can be withdrawn until it is answered`, async (t) => {
    const server = await start(t);
    const made = await request(server);
    const withdrawn = await server.request('DELETE', made.keep);
    t.deepEqual([withdrawn.status, await withdrawn.text()], [204, '']);
    await expectClosed(t, server, made);
    await expectGone(t, await server.post(made.keep));
    await expectGone(t, await server.get(made.keep));
    await expectGone(t, await server.request('DELETE', made.keep));
    const answered = await request(server);
    await server.post(answered.send, { secret: 's' });
    await expectError(t, await server.request('DELETE', answered.keep), 409, 'STILL_WAITING');
    await expectSecret(t, await server.post(answered.keep, {}, header()), 's');
    await expectGone(t, await server.request('DELETE', answered.keep));
    const ordinary = await server.create({ secret: 's', phrase: 'p' });
    const path = `/secrets/${ordinary.secret_key}`;
    await expectError(t, await server.request('DELETE', path), 409, 'STILL_WAITING');
    await expectError(t, await server.request('DELETE', path, { phrase: 'p' }), 400, 'INVALID_REQUEST');
    await expectSecret(t, await server.post(path, { phrase: 'p' }), 's');
    for (const key of ['x', made.secret_key.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A'))]) {
      await expectGone(t, await server.request('DELETE', `/secrets/${key}`));
    }
  });

  test(`${name}: withdrawing needs the proof of a request that has one`, async (t) => {
    const server = await start(t);
    const asking = await ask();
    const made = await request(server, sealedFor(asking));
    for (const proof of [undefined, '', 'x', (await ask()).proof]) {
      await expectError(t, await server.request('DELETE', made.keep, { proof }), 403, 'PROOF_REQUIRED');
    }
    await expectError(t, await server.request('DELETE', made.keep, { proof: 5 }), 400, 'INVALID_REQUEST');
    await expectOpen(t, server, made);
    t.is((await server.request('DELETE', made.keep, { proof: asking.proof })).status, 204);
    await expectClosed(t, server, made);
    const answered = await request(server, sealedFor(asking));
    await server.post(answered.send, { secret: await sealFor(asking, 's'), sealed: true });
    await expectError(t, await server.request('DELETE', answered.keep), 409, 'STILL_WAITING');
  });

  test(`${name}: asking is guarded like creating, answering is not`, async (t) => {
    const server = await start(t, { env: { CREATE_TOKEN: 'a-token-of-some-length-0123456789' } });
    await expectError(t, await server.post('/requests', {}), 401, 'UNAUTHORIZED');
    const headers = { authorization: 'Bearer a-token-of-some-length-0123456789' };
    const made = (await (await server.post('/requests', {}, headers)).json()) as Request;
    t.is((await server.post(`/requests/${made.request_key}`, { secret: 's' })).status, 201);
  });

  test(`${name}: without the master key a request is refused and stays open`, async (t) => {
    const shared = await place(t);
    const [older, newer] = [randomBytes(32), randomBytes(32)];
    const before = await startServer(t, { place: shared, masterKeys: [older] });
    const made = await request(before, { note: 'please' });
    const without = await startServer(t, { place: shared, masterKeys: [newer], clock: before.clock });
    for (const answer of [
      await without.get(made.send),
      await without.get(made.keep),
      await without.post(made.send, { secret: 's' }),
      await without.request('DELETE', made.keep),
    ]) {
      await expectError(t, answer, 503, 'MASTER_KEY_UNAVAILABLE');
    }
    const rotated = await startServer(t, { place: shared, masterKeys: [newer, older], clock: before.clock });
    await expectOpen(t, rotated, made);
    t.is((await rotated.post(made.send, { secret: 's' })).status, 201);
    await expectSecret(t, await rotated.post(made.keep), 's');
  });

  test(`${name}: after a restore, requests of before are refused, and new ones work`, async (t) => {
    let refusedUntil = 0;
    const server = await start(t, { refusedUntil: () => refusedUntil });
    const asking = await ask();
    const open = await request(server, sealedFor(asking));
    const answered = await request(server);
    const mine = header();
    t.is((await server.post(answered.send, { secret: 's' }, mine)).status, 201);
    refusedUntil = server.clock.now;
    for (const { send, keep } of [open, answered]) {
      await expectGone(t, await server.get(send));
      await expectGone(t, await server.get(keep));
      await expectGone(t, await server.post(send, { secret: 's' }, mine));
      await expectGone(t, await server.post(keep, { proof: asking.proof }));
      await expectGone(t, await server.request('DELETE', keep, { proof: asking.proof }));
    }
    const fresh = await request(server); // at the same instant
    t.is((await server.post(fresh.send, { secret: 's' })).status, 201);
    await expectSecret(t, await server.post(fresh.keep), 's');
  });

  test(`${name}: a request takes a place of its client; an answer takes from the answerer's rate and the asker's space`, async (t) => {
    const env = { LIMITS: 'on' };
    const places = await start(t, { env, storeLimits: { clientMaxSecrets: 2 } });
    await request(places);
    const made = await request(places);
    await expectError(t, await places.post('/requests', {}), 429, 'QUOTA_EXCEEDED');
    t.is((await places.post(made.send, { secret: 's' })).status, 201, 'it has its place');
    await expectError(t, await places.post('/requests', {}), 429, 'QUOTA_EXCEEDED');
    await expectSecret(t, await places.post(made.keep), 's');
    const third = await request(places);
    t.is((await places.request('DELETE', third.keep)).status, 204);
    await request(places);

    const space = await start(t, { env, storeLimits: { clientMaxBytes: 3000 } });
    const roomy = await request(space);
    const refused = await space.post(roomy.send, { secret: 'x'.repeat(4000) });
    await expectError(t, refused, 429, 'QUOTA_EXCEEDED');
    t.truthy(refused.headers.get('retry-after'));
    await expectOpen(t, space, roomy);
    t.is((await space.post(roomy.send, { secret: 's' })).status, 201);

    const rate = await start(t, { env, storeLimits: { clientCreatesPerMinute: 2 } });
    const [one] = [await request(rate), await request(rate)];
    await expectError(t, await rate.post('/requests', {}), 429, 'RATE_LIMITED');
    await expectError(t, await rate.post(one.send, { secret: 's' }), 429, 'RATE_LIMITED');
    await expectOpen(t, rate, one);
    rate.clock.advance({ minutes: 1 });
    t.is((await rate.post(one.send, { secret: 's' })).status, 201);

    const full = await start(t, { storeLimits: { maxBytes: 4000 } });
    const last = await request(full);
    await expectError(t, await full.post(last.send, { secret: 'x'.repeat(9000) }), 507, 'STORAGE_FULL');
    await expectOpen(t, full, last);
  });

  test(`${name}: requests, answers and withdrawals are counted`, async (t) => {
    const server = await start(t);
    const [first, second] = [await request(server), await request(server)];
    await server.post(first.send, { secret: 's' });
    await server.request('DELETE', second.keep);
    const metrics = server.metrics();
    for (const [what, count] of [
      ['created', 2],
      ['answered', 1],
      ['withdrawn', 1],
    ]) {
      t.true(metrics.includes(`hushbox_secret_requests_${what}_total ${count}\n`), what as string);
    }
    t.true(server.logged().includes('"audit":"request.withdrawn"'));
  });
}
