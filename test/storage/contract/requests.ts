import { randomBytes } from 'node:crypto';
import { type FoundRequest, RECEIPT_MS, type SecretStore } from '../../../src/secrets/store.ts';
import { storedBytes } from '../../../src/storage/usage.ts';
import {
  ANSWERED_AT,
  answerOrThrow,
  asAnswered,
  asRequested,
  type ContractTest,
  CREATED_AT,
  claimCopy,
  countOf,
  createRequested,
  createTraced,
  createUntraced,
  creator,
  EXPIRES_AT,
  hasLeft,
  MAX_READS,
  MINUTE,
  NO_REFUND,
  newAnswer,
  newCopy,
  newNotify,
  newRepeat,
  newSecret,
  plain,
  type Requested,
  receiptOf,
  sweepAll,
  times,
} from './world.ts';

const SWEPT_AT = EXPIRES_AT + 1000;
const LAST = EXPIRES_AT - 1;
const ROUNDS = 10;
const ASKER = Buffer.alloc(16, 'a');
const ANSWERER = Buffer.alloc(16, 'w');

/** Requests: open, answered once or withdrawn, and what is known of an answer afterwards. */
export function requestContract(test: ContractTest): void {
  openContract(test);
  answerContract(test);
  repeatContract(test);
  leftContract(test);
  raceContract(test);
  quotaContract(test);
}

function openContract(test: ContractTest): void {
  test('an open request is seen by both keys until its exact instant, and by nothing else', async (t, { store }) => {
    const request = await createRequested(store, { notify: newNotify() });
    for (const isSwept of [false, true]) {
      for (const at of [CREATED_AT, LAST]) {
        if (isSwept) await sweepAll(store, at);
        t.deepEqual(plain(await store.find(request.id, at)), asRequested(request));
        t.deepEqual(shown(await findRequest(store, request, at)), openOf(request));
        t.is(await store.findRequest(request.id, randomBytes(32), at), undefined, 'by another key');
        t.is(await store.findRequest(newSecret().id, request.requestHash, at), undefined, 'of another id');
      }
    }
    for (const at of [EXPIRES_AT, EXPIRES_AT + 1]) {
      t.is(await store.find(request.id, at), undefined);
      t.is(await findRequest(store, request, at), undefined);
      t.is(await store.withdraw(request.id, at), undefined);
      t.false(await store.answer(request.id, request.requestHash, at, newAnswer()));
    }
    t.true(await store.answer(request.id, request.requestHash, LAST, newAnswer()), 'nothing of that changed it');
  });

  test('tries, reads, burning and receipts know nothing of an open request', async (t, { store }) => {
    const request = await createRequested(store, { notify: newNotify() });
    const { id, requestHash } = request;
    t.is(await store.reserveTry(id, CREATED_AT), undefined);
    await store.refundTry(id);
    t.false(await store.claim(id, CREATED_AT, NO_REFUND));
    t.false(await store.claim(id, CREATED_AT, { copy: newCopy(), refundTry: true }));
    t.false(await store.reread(id, CREATED_AT, { claimTag: requestHash, maxReads: MAX_READS, ...NO_REFUND }));
    t.is(await store.findReceipt(id, requestHash, CREATED_AT), undefined);
    t.is(await store.burn(id, requestHash, CREATED_AT, 0), undefined);
    t.is(await store.burn(id, requestHash, CREATED_AT, CREATED_AT), undefined);
    t.deepEqual(plain(await store.find(id, CREATED_AT)), asRequested(request));
  });

  test('a withdrawn request is gone at once; a waiting secret is not withdrawn', async (t, { store, events, raw }) => {
    const request = await createRequested(store, { notify: newNotify() });
    t.is(await store.withdraw(request.id, LAST), 'withdrawn');
    t.is((await raw()).length, 0);
    t.is(await store.withdraw(request.id, LAST), undefined);
    t.is(await findRequest(store, request, LAST), undefined);
    t.false(await store.answer(request.id, request.requestHash, LAST, newAnswer()));
    await sweepAll(store, SWEPT_AT);
    t.deepEqual(await events.countWaiting(), { events: 0, oldestAt: undefined });

    for (const create of [createTraced, createUntraced]) {
      const secret = await create(store);
      t.is(await store.withdraw(secret.id, LAST), 'waiting');
      t.is(await store.withdraw(secret.id, EXPIRES_AT), undefined);
      await claimCopy(store, secret);
      t.is(await store.withdraw(secret.id, CREATED_AT), undefined, 'a copy');
    }
    const answered = await createRequested(store);
    await answerOrThrow(store, answered);
    t.is(await store.withdraw(answered.id, LAST), 'waiting');
    t.is((await store.find(answered.id, LAST))?.state, 'waiting');
    await store.claim(answered.id, LAST, NO_REFUND);
    t.is(await store.withdraw(answered.id, LAST), undefined);
    t.is(await store.withdraw(newSecret().id, CREATED_AT), undefined);
  });

  test('open requests are there again after closing', async (t, { store, open, close }) => {
    const [request, answered] = [await createRequested(store), await createRequested(store)];
    const answer = await answerOrThrow(store, answered, newAnswer({ repeat: newRepeat() }));
    await close();
    const { secrets } = await open();
    t.deepEqual(shown(await findRequest(secrets, request, LAST)), openOf(request));
    t.deepEqual(shown(await findRequest(secrets, answered, ANSWERED_AT)), answeredOf(answered, answer));
    t.deepEqual(plain(await secrets.find(answered.id, LAST)), asAnswered(answered, answer));
  });
}

function answerContract(test: ContractTest): void {
  test('an answered request is an ordinary waiting secret, created when it was answered', async (t, { store, raw }) => {
    for (const bytes of [1, 64, 65_536]) {
      const request = await createRequested(store);
      const receiptHash = randomBytes(32);
      const answer = newAnswer({ bytes, receiptHash });
      t.false(await store.answer(request.id, randomBytes(32), ANSWERED_AT, answer), 'by another key');
      t.false(await store.answer(newSecret().id, request.requestHash, ANSWERED_AT, answer), 'of another id');
      t.true(await store.answer(request.id, request.requestHash, ANSWERED_AT, answer));
      const secret = { ...request, receiptHash };
      t.deepEqual(plain(await store.find(request.id, LAST)), asAnswered(request, answer));
      t.is(await findRequest(store, request, ANSWERED_AT), undefined);
      t.false(await store.answer(request.id, request.requestHash, ANSWERED_AT, newAnswer()));
      t.false(hasLeft(await raw(), request.envelope));
      t.false(hasLeft(await raw(), request.requestHash));
      const waiting = { state: 'waiting', createdAt: ANSWERED_AT, expiresAt: EXPIRES_AT, wrongTries: 0, reads: 0 };
      t.like(await receiptOf(store, secret, ANSWERED_AT), waiting);
      t.deepEqual(await store.reserveTry(request.id, ANSWERED_AT), { granted: true, triesLeft: 9 });
      t.true(await store.claim(request.id, LAST, { refundTry: true }));
      t.like(await receiptOf(store, secret, LAST), { ...waiting, state: 'read', endedAt: LAST, reads: 1 });
      await sweepAll(store, LAST + RECEIPT_MS);
      t.is((await raw()).length, 0);
    }
  });

  test('an answered request can be read with a copy, burned, or expire', async (t, { store, raw }) => {
    const requests = await times(3, () => createRequested(store));
    const [copied, burned, expired] = requests as [Requested, Requested, Requested];
    const receiptHash = randomBytes(32);
    for (const request of requests) await answerOrThrow(store, request, newAnswer({ receiptHash }));
    await claimCopy(store, copied, ANSWERED_AT, ANSWERED_AT + MINUTE);
    t.is((await store.find(copied.id, ANSWERED_AT))?.state, 'copy');
    t.is(await store.burn(burned.id, receiptHash, ANSWERED_AT, 0), 'burned');
    t.deepEqual(await store.sweep(SWEPT_AT, 100, 0), { wiped: 2, expired: 1 });
    for (const [{ id }, state] of [
      [copied, 'read'],
      [burned, 'burned'],
      [expired, 'expired'],
    ] as const) {
      t.is((await store.findReceipt(id, receiptHash, SWEPT_AT))?.state, state);
    }
    t.is((await raw()).length, 3);
  });

  test('11 MiB go in and come out, as an answer and as its copy', async (t, { store }) => {
    // What 11 MiB of ciphertext become as base64url, padded and sealed.
    const bytes = 59 * 2 ** 18 + 512;
    const request = await createRequested(store, { notify: newNotify() });
    const answer = await answerOrThrow(store, request, newAnswer({ bytes, receiptHash: randomBytes(32) }));
    const found = await store.find(request.id, ANSWERED_AT);
    t.true(Buffer.from(answer.envelope).equals(found?.envelope as Uint8Array));
    const copy = newCopy(ANSWERED_AT + MINUTE, bytes);
    t.true(await store.claim(request.id, ANSWERED_AT, { copy, ...NO_REFUND }));
    const again = await store.find(request.id, ANSWERED_AT);
    t.true(Buffer.from(copy.envelope).equals(again?.envelope as Uint8Array));
  });
}

/** What becomes of a secret after its answer. */
const ENDS: readonly [
  title: string,
  end: (store: SecretStore, id: Uint8Array, receipt: Uint8Array) => Promise<unknown>,
][] = [
  ['waits', async () => {}],
  ['was read', (store, id) => store.claim(id, ANSWERED_AT, NO_REFUND)],
  [
    'was read with a copy',
    (store, id) => store.claim(id, ANSWERED_AT, { copy: newCopy(ANSWERED_AT + 1000), ...NO_REFUND }),
  ],
  ['was burned', (store, id, receipt) => store.burn(id, receipt, ANSWERED_AT, 0)],
  ['expired', (store) => sweepAll(store, SWEPT_AT)],
];

function repeatContract(test: ContractTest): void {
  for (const [title, end] of ENDS) {
    for (const hasReceipt of [true, false]) {
      for (const notify of [newNotify(), undefined]) {
        if (title === 'was burned' && !hasReceipt) continue;
        const kind = `a secret that ${title}, receipt: ${hasReceipt}, notify: ${!!notify}`;
        test(`an answer is recognised until its exact instant: ${kind}`, async (t, { store, events, raw }) => {
          const request = await createRequested(store, notify && { notify });
          const receiptHash = randomBytes(32);
          const until = title === 'expired' ? EXPIRES_AT + MINUTE : ANSWERED_AT + MINUTE;
          const answer = newAnswer({ repeat: newRepeat(until), ...(hasReceipt && { receiptHash }) });
          await answerOrThrow(store, request, answer);
          await end(store, request.id, receiptHash);
          for (const event of await events.takeDue(until, {
            limit: 9,
            perDestination: 9,
            leaseUntil: until,
            without: [],
          }))
            await events.finish([event.id]);
          for (const at of [ANSWERED_AT, until - 1]) {
            await sweepAll(store, at);
            t.deepEqual(shown(await findRequest(store, request, at)), answeredOf(request, answer));
            t.is(await store.findRequest(request.id, randomBytes(32), at), undefined, 'by another key');
            t.false(await store.answer(request.id, request.requestHash, at, newAnswer()));
          }
          t.is(await findRequest(store, request, until), undefined);
          await sweepAll(store, until);
          const tag = answer.repeat?.tag as Uint8Array;
          t.false(hasLeft(await raw(), tag));
          t.false(hasLeft(await raw(), request.requestHash));
          const isKept = title === 'waits' || hasReceipt || (notify !== undefined && title !== 'was burned');
          if (!isKept) t.is((await raw()).length, 0);
        });
      }
    }
  }
}

function leftContract(test: ContractTest): void {
  test('an open request expires within a sweep, and nothing of it is left', async (t, { store, raw }) => {
    const request = await createRequested(store);
    t.true(hasLeft(await raw(), request.envelope), 'there before, so that the test can see it');
    t.true(hasLeft(await raw(), request.requestHash));
    await sweepAll(store, LAST);
    t.is((await raw()).length, 1);
    t.deepEqual(await store.sweep(SWEPT_AT, 100, 0), { wiped: 1, expired: 0 }, 'no secret expired');
    t.is((await raw()).length, 0);
  });

  test('sweeps of requests take steps of their limit, and leave nothing to do', async (t, { store, raw }) => {
    await times(5, () => createRequested(store));
    await times(4, async () => answerOrThrow(store, await createRequested(store), newAnswer({ repeat: newRepeat() })));
    await times(3, () => createUntraced(store));
    const counts = { wiped: 0, expired: 0 };
    for (let steps = 0; steps < 20; steps++) {
      const { wiped, expired } = await store.sweep(SWEPT_AT, 4, 0);
      counts.wiped += wiped;
      counts.expired += expired;
      t.true(wiped <= 4);
      if (wiped < 4) break;
    }
    t.is(counts.expired, 7);
    t.deepEqual(await store.sweep(SWEPT_AT, 4, 0), { wiped: 0, expired: 0 });
    t.is((await raw()).length, 0);
  });
}

function raceContract(test: ContractTest): void {
  test('of 32 answers at once one wins, whole', async (t, { store }) => {
    for (let round = 0; round < ROUNDS; round++) {
      const request = await createRequested(store, round % 2 ? { notify: newNotify() } : {});
      const answers = Array.from({ length: 32 }, () =>
        newAnswer({ repeat: newRepeat(), receiptHash: randomBytes(32) }),
      );
      const outcomes = await Promise.all(
        answers.map((answer) => store.answer(request.id, request.requestHash, ANSWERED_AT, answer)),
      );
      t.is(countOf(outcomes, true), 1);
      const winner = answers[outcomes.indexOf(true)] as (typeof answers)[number];
      t.deepEqual(plain(await store.find(request.id, ANSWERED_AT)), asAnswered(request, winner));
      t.deepEqual(shown(await findRequest(store, request, ANSWERED_AT)), answeredOf(request, winner));
      for (const { receiptHash } of answers) {
        const receipt = await store.findReceipt(request.id, receiptHash as Uint8Array, ANSWERED_AT);
        t.is(receipt !== undefined, receiptHash === winner.receiptHash);
      }
    }
  });

  test('answer, withdraw or expiry: one of them ends a request', async (t, { store, events }) => {
    const seen = new Set<string>();
    for (let round = 0; round < 3 * ROUNDS; round++) {
      const request = await createRequested(store, { notify: newNotify() });
      const answer = () => times(4, () => store.answer(request.id, request.requestHash, LAST, newAnswer()));
      const withdraw = () => times(4, () => store.withdraw(request.id, LAST));
      const sweep = () => times(2, () => sweepAll(store, SWEPT_AT));
      const steps = [answer, withdraw, sweep];
      const results = await Promise.all([0, 1, 2].map((index) => steps[(index + round) % 3]?.()));
      await sweepAll(store, SWEPT_AT);
      const outcomes = results.flat();
      const [answers, withdrawn] = [countOf(outcomes, true), countOf(outcomes, 'withdrawn')];
      const taken = await events.takeDue(SWEPT_AT, { limit: 9, perDestination: 9, leaseUntil: SWEPT_AT, without: [] });
      const isExpired = taken.some(({ type }) => type === 'unanswered');
      t.is(answers + withdrawn + Number(isExpired), 1);
      t.is(taken[0]?.type, answers ? 'answered' : isExpired ? 'unanswered' : undefined);
      seen.add(`${answers}${withdrawn}`);
      for (let left = taken; left.length > 0; ) {
        await events.finish(left.map(({ id }) => id));
        left = [
          ...(await events.takeDue(SWEPT_AT, { limit: 9, perDestination: 9, leaseUntil: SWEPT_AT, without: [] })),
        ];
      }
    }
    t.true(seen.size > 1, 'one engine or the other is always faster with one of them');
  });

  test('while a request becomes a secret and is read, a look always finds one or the other', async (t, { store }) => {
    for (let round = 0; round < ROUNDS; round++) {
      const request = await createRequested(store);
      let isOver = false;
      const looks = times(4, async () => {
        const states: unknown[] = [];
        while (!isOver) {
          states.push((await store.find(request.id, ANSWERED_AT))?.state);
          await new Promise(setImmediate);
        }
        return states;
      });
      await answerOrThrow(store, request);
      await claimCopy(store, request, ANSWERED_AT, ANSWERED_AT + MINUTE);
      isOver = true;
      t.is(countOf((await looks).flat(), undefined), 0);
    }
  });
}

function quotaContract(test: ContractTest): void {
  const ofAsker = (wish?: Parameters<typeof newSecret>[0]): Requested => ({
    ...newSecret(wish),
    requestHash: randomBytes(32),
    creator: creator(ASKER),
  });
  const answerer = { client: ANSWERER, now: ANSWERED_AT };
  const create = async (store: SecretStore, wish?: Parameters<typeof newSecret>[0]) =>
    (await store.create(ofAsker(wish)))?.reason ?? 'stored';
  const answerTo = async (store: SecretStore, { id, requestHash }: Requested, bytes = 64, from = answerer) => {
    const outcome = await store.answer(id, requestHash, ANSWERED_AT, newAnswer({ bytes, answerer: from }));
    return typeof outcome === 'boolean' ? outcome : outcome.reason;
  };

  test('a request takes one place of its client, and keeps it for its answer', async (t, { open }) => {
    const { secrets: store } = await open({ clientMaxSecrets: 3 });
    const requests = [ofAsker(), ofAsker(), ofAsker()] as const;
    for (const request of requests) t.is(await store.create(request), undefined);
    t.is(await create(store), 'quota');
    t.true(await answerTo(store, requests[0]));
    t.is(await create(store), 'quota', 'the answer has the place of its request');
    const found = await store.find(requests[0].id, ANSWERED_AT);
    const share = found?.state === 'waiting' ? found.share : undefined;
    t.true(await store.claim(requests[0].id, ANSWERED_AT, { share, ...NO_REFUND }));
    t.is(await create(store), 'stored');
    t.is(await create(store), 'quota');
    t.is(await store.withdraw(requests[1].id, ANSWERED_AT), 'withdrawn');
    t.is(await create(store), 'stored');
    t.is(await create(store), 'quota');
    await sweepAll(store, SWEPT_AT);
    const later = { expiresAt: SWEPT_AT + MINUTE };
    t.deepEqual(await times(4, () => create(store, later)).then((all) => countOf(all, 'stored')), 3, 'after expiry');
  });

  test('the bytes of an answer count against who asked; without room the request stays open', async (t, { open }) => {
    const { secrets: store } = await open({ clientMaxBytes: 2 * storedBytes(64) + storedBytes(20_000) });
    const [first, second] = [ofAsker(), ofAsker()];
    await store.create(first);
    await store.create(second);
    t.is(await answerTo(store, first, 40_000), 'quota');
    t.deepEqual(shown(await findRequest(store, first, ANSWERED_AT)), openOf(first));
    t.true(await answerTo(store, first, 20_000));
    t.is(await answerTo(store, second, 20_000), 'quota');
    t.true(await answerTo(store, second, 64));
    const found = await store.find(first.id, ANSWERED_AT);
    const share = found?.state === 'waiting' ? found.share : undefined;
    await store.claim(first.id, ANSWERED_AT, { share, ...NO_REFUND });
    t.is(await create(store, { bytes: 20_000 }), 'stored', 'a read frees all of them');
  });

  test('the rate of an answer counts against who answers, the quota of who answers never', async (t, { open }) => {
    const { secrets: store } = await open({ clientCreatesPerMinute: 3, clientMaxSecrets: 1 });
    const askers = Array.from({ length: 6 }, (_, index) => Buffer.alloc(16, index + 1));
    const requests = await times(6, async (index) => {
      const request = { ...ofAsker(), creator: creator(askers[index]) };
      await store.create(request);
      return request;
    });
    t.is(await store.create({ ...newSecret(), creator: creator(ANSWERER, ANSWERED_AT) }), undefined);
    const outcomes = [];
    for (const request of requests.slice(0, 4)) outcomes.push(await answerTo(store, request));
    t.deepEqual(outcomes, [true, true, 'rate', 'rate']);
    t.deepEqual(
      shown(await findRequest(store, requests[3] as Requested, ANSWERED_AT)),
      openOf(requests[3] as Requested),
    );
    t.true(await answerTo(store, requests[3] as Requested, 64, { client: ANSWERER, now: ANSWERED_AT + MINUTE }));
    // Its own client is not refused for what others answer.
    t.true(
      await store.answer(requests[4]?.id as Uint8Array, requests[4]?.requestHash as Uint8Array, LAST, newAnswer()),
    );
  });

  test('a refused answer takes neither bytes nor rate', async (t, { open }) => {
    const limits = { clientCreatesPerMinute: 4, clientMaxBytes: storedBytes(64) + storedBytes(20_000) };
    const { secrets: store } = await open(limits);
    const request = ofAsker();
    await store.create(request);
    for (let tries = 0; tries < 8; tries++) t.is(await answerTo(store, request, 40_000), 'quota');
    t.true(await answerTo(store, request, 20_000));
  });

  test('a full store refuses answers, and the request stays open', async (t, { open }) => {
    const { secrets: store } = await open({ maxBytes: 40 * storedBytes(64) });
    const request = ofAsker();
    await store.create(request);
    t.is(await answerTo(store, request, 200_000), 'full');
    t.deepEqual(shown(await findRequest(store, request, ANSWERED_AT)), openOf(request));
    t.true(await answerTo(store, request, 64));
  });
}

function findRequest(
  store: SecretStore,
  { id, requestHash }: Requested,
  now: number,
): Promise<FoundRequest | undefined> {
  return store.findRequest(id, requestHash, now);
}

function openOf({ createdAt, expiresAt, envelope }: Requested): object | undefined {
  return shown({ state: 'open', createdAt, expiresAt, envelope });
}

function answeredOf({ expiresAt }: Requested, { createdAt, repeat }: ReturnType<typeof newAnswer>): object | undefined {
  return shown({ state: 'answered', createdAt, expiresAt, answer: { tag: repeat?.tag as Uint8Array } });
}

/** Without what engines may choose: the class of bytes. */
function shown(found: FoundRequest | undefined): object | undefined {
  if (!found) return undefined;
  const { state, createdAt, expiresAt } = found;
  const bytes = found.state === 'open' ? found.envelope : found.answer.tag;
  return { state, createdAt, expiresAt, bytes: Buffer.from(bytes).toString('hex') };
}
