import { randomBytes } from 'node:crypto';
import type { NewAnswer, SecretStore } from '../../../src/secrets/store.ts';
import { storedBytes } from '../../../src/storage/usage.ts';
import { requestEventIdOf } from '../../../src/webhooks/event-ids.ts';
import { openInProcess, type StoreProcess } from './store-process.ts';
import {
  ANSWERED_AT,
  asAnswered,
  asRequested,
  type ContractTest,
  countOf,
  createRequested,
  EXPIRES_AT,
  MINUTE,
  newAnswer,
  newNotify,
  newRepeat,
  newSecret,
  plain,
  type Requested,
  sweepAll,
  take,
  times,
} from './world.ts';

const PROCESSES = 3;
const ROUNDS = 5;
const REQUESTS_A_ROUND = 20;
const KILLS = 3;
const LANES = 16;
const LAST = EXPIRES_AT - 1;
const SWEPT_AT = EXPIRES_AT + 1000;

/** Requests between real processes, and over their ends. */
export function requestProcessContract(test: ContractTest): void {
  test('between processes one answer wins each request, whole', async (t, { store, url }) => {
    const processes = await times(PROCESSES, () => openInProcess(t, url));
    for (let round = 0; round < ROUNDS; round++) {
      await times(REQUESTS_A_ROUND, async (index) => {
        const request = await createRequested(store, index % 2 ? { notify: newNotify(index) } : {});
        const answers = processes.map(() => newAnswer({ repeat: newRepeat(), receiptHash: randomBytes(32) }));
        const outcomes = await Promise.all(
          processes.map((process, at) => answerBy(process, request, answers[at] as NewAnswer)),
        );
        t.is(countOf(outcomes, true), 1);
        const winner = answers[outcomes.indexOf(true)] as NewAnswer;
        t.deepEqual(plain(await store.find(request.id, ANSWERED_AT)), asAnswered(request, winner));
        const found = await store.findRequest(request.id, request.requestHash, ANSWERED_AT);
        t.true(found?.state === 'answered' && Buffer.from(found.answer.tag).equals(winner.repeat?.tag as Uint8Array));
      });
    }
  });

  test('between processes answer, withdraw or expiry ends each request, with its event', async (t, world) => {
    const { store, events, url } = world;
    const processes = await times(PROCESSES, () => openInProcess(t, url));
    const seen = new Set<string>();
    for (let round = 0; round < ROUNDS; round++) {
      const requests = await times(REQUESTS_A_ROUND, (index) => createRequested(store, { notify: newNotify(index) }));
      const isSwept = round % 2 === 0;
      const [ends] = await Promise.all([
        Promise.all(requests.map((request, index) => endBy(processes, request, index + round))),
        isSwept && Promise.all(processes.map((process) => sweepAll(process, SWEPT_AT, 7))),
      ]);
      await sweepAll(store, SWEPT_AT);
      const types = new Map<string, string>();
      for (let rounds = 0; await events.hasDue(SWEPT_AT); rounds++) {
        t.true(rounds < 50);
        const taken = await take(events, SWEPT_AT);
        for (const { id, type } of taken) types.set(nameOf(id), type);
        await events.finish(taken.map(({ id }) => id));
      }
      for (const [index, { id }] of requests.entries()) {
        const { answered, withdrawn } = ends[index] as Ended;
        const end = types.get(nameOf(requestEventIdOf(id)));
        t.is(answered + withdrawn + Number(end === 'unanswered'), 1);
        t.is(end, answered ? 'answered' : withdrawn ? undefined : 'unanswered');
        t.is(types.get(nameOf(id)), answered ? 'expired' : undefined);
        seen.add(end ?? 'withdrawn');
      }
    }
    t.true(seen.size > 1);
  });

  test('kill -9 of who answers: no request is half answered, and nothing acknowledged is lost', async (t, world) => {
    const { store, events, url } = world;
    for (let kill = 1; kill <= KILLS; kill++) {
      const doomed = await openInProcess(t, url);
      const outcomes: Outcome[] = [];
      // Each lane works until it is left without an answer.
      await times(LANES, async () => {
        for (let isAlive = true; isAlive; ) {
          const outcome = await askAndAnswer(doomed, outcomes.length);
          isAlive = outcome.asked && outcome.answered !== 'unknown';
          if (outcomes.push(outcome) === kill * 5 * LANES) await doomed.kill();
        }
      });
      const told = new Set<string>();
      while (await events.hasDue(ANSWERED_AT)) {
        const taken = await take(events, ANSWERED_AT);
        for (const { id } of taken) told.add(nameOf(id));
        await events.finish(taken.map(({ id }) => id));
      }
      const contradictions = await Promise.all(outcomes.map((outcome) => contradictionIn(store, told, outcome)));
      t.deepEqual(contradictions.filter(Boolean), []);
    }
  });

  test('kill -9 of who answers: bytes that were taken are there again, and no more', async (t, { url, open }) => {
    const [small, large, most] = [storedBytes(64), storedBytes(40_000), 10];
    const limits = { clientMaxSecrets: 30, clientMaxBytes: (30 - most) * small + most * large };
    const { secrets: store } = await open(limits);
    const client = randomBytes(16);
    const asked: Requested[] = [];
    const ask = async (by: SecretStore, now: number): Promise<Requested> => {
      const request = { ...newSecret(), requestHash: randomBytes(32), creator: { client, now, isAdmitted: false } };
      asked.push(request);
      await by.create(request);
      return request;
    };
    const doomed = await openInProcess(t, url, [], limits);
    let answers = 0;
    let killed: Promise<void> | undefined;
    const lanes = times(6, async () => {
      for (;;) {
        await answerBy(doomed, await ask(doomed, ANSWERED_AT), newAnswer({ bytes: 40_000 }));
        if (++answers === 4) killed = doomed.kill();
      }
    });
    await lanes.catch(() => {});
    await killed;
    // What was under way is over by then. An engine may need a while of no answers to be sure of that.
    for (const now of [1, 2, 3, 4].map((minutes) => ANSWERED_AT + minutes * MINUTE)) {
      for (let more = 0; more < 10; more++) await ask(store, now);
      for (const request of asked) await answerBy(store, request, newAnswer({ bytes: 40_000 }), now);
    }
    const found = await Promise.all(asked.map(({ id }) => store.find(id, ANSWERED_AT + MINUTE)));
    t.is(
      countOf(
        found.map((one) => one?.state),
        'waiting',
      ),
      most,
    );
    t.is(found.filter(Boolean).length, 30);
  });
}

type Ended = { answered: number; withdrawn: number };

/** Two processes answer and one withdraws, each time others first. */
async function endBy(processes: readonly StoreProcess[], request: Requested, turn: number): Promise<Ended> {
  const outcomes = await Promise.all(
    [0, 1, 2].map((index) => {
      const process = processes[(index + turn) % PROCESSES] as StoreProcess;
      if (index !== turn % 3) return answerBy(process, request, newAnswer(), LAST);
      return process.withdraw(request.id, LAST);
    }),
  );
  return { answered: countOf(outcomes, true), withdrawn: countOf(outcomes, 'withdrawn') };
}

type Outcome = {
  request: Requested;
  answer: NewAnswer;
  asked: boolean;
  answered: 'acknowledged' | 'unknown' | 'not-asked';
};

async function askAndAnswer(store: StoreProcess, index: number): Promise<Outcome> {
  const request = { ...newSecret({ notify: newNotify(index % 7) }), requestHash: randomBytes(32) };
  const answer = newAnswer(index % 2 ? { repeat: newRepeat() } : {});
  const asked = await store.create(request).then(
    () => true,
    () => false,
  );
  if (!asked || index % 4 === 0) return { request, answer, asked, answered: 'not-asked' };
  const answered = await answerBy(store, request, answer).then(
    () => 'acknowledged' as const,
    () => 'unknown' as const,
  );
  return { request, answer, asked, answered };
}

/** @returns what is in the store, where the outcome does not allow it. */
async function contradictionIn(store: SecretStore, told: ReadonlySet<string>, outcome: Outcome): Promise<unknown> {
  const { request, answer, asked, answered } = outcome;
  const found = JSON.stringify(plain(await store.find(request.id, ANSWERED_AT)));
  const repeat = await store.findRequest(request.id, request.requestHash, ANSWERED_AT);
  const seen = {
    found,
    isTold: told.has(nameOf(requestEventIdOf(request.id))),
    request: repeat?.state,
  };
  const before = { found: JSON.stringify(asRequested(request)), isTold: false, request: 'open' };
  const after = {
    found: JSON.stringify(asAnswered(request, answer)),
    isTold: true,
    request: answer.repeat ? 'answered' : undefined,
  };
  const nothing = { found: undefined, isTold: false, request: undefined };
  const allowed = [
    ...(answered === 'acknowledged' ? [] : [before]),
    ...(answered === 'not-asked' ? [] : [after]),
    ...(asked ? [] : [nothing]),
  ].map((state) => JSON.stringify(state));
  return allowed.includes(JSON.stringify(seen)) ? undefined : { asked, answered, seen };
}

function answerBy(
  store: Pick<SecretStore, 'answer'>,
  { id, requestHash }: Requested,
  answer: NewAnswer,
  now = ANSWERED_AT,
): ReturnType<SecretStore['answer']> {
  return store.answer(id, requestHash, now, answer);
}

function nameOf(id: Uint8Array): string {
  return Buffer.from(id).toString('hex');
}
