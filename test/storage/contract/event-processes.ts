import type { NewSecret } from '../../../src/secrets/store.ts';
import type { EventStore } from '../../../src/webhooks/store.ts';
import { many } from '../../support/storage/many.ts';
import { openInProcess, type StoreProcess } from './store-process.ts';
import {
  type ContractTest,
  CREATED_AT,
  countOf,
  createTraced,
  createUntraced,
  EXPIRES_AT,
  LEASE,
  MINUTE,
  NO_REFUND,
  newCopy,
  newNotify,
  newSecret,
  sweepAll,
  take,
  times,
} from './world.ts';

const PROCESSES = 3;
const EVENTS = 120;
const DESTINATIONS = 7;
const KILLS = 3;
const LANES = 16;
/** In which everything is taken, also by a process that others are often faster than. */
const MAX_ROUNDS = 200;
const SWEPT_AT = EXPIRES_AT + 1000;

/** Events between real processes, and over their ends. */
export function eventProcessContract(test: ContractTest): void {
  test('between processes each event has one holder a lease, and exactly one after it', async (t, { store, url }) => {
    const processes = await times(PROCESSES, () => openInProcess(t, url));
    const ids = await many(EVENTS, async (n) => {
      const { id } = await createUntraced(store, { notify: newNotify(n % DESTINATIONS) });
      await store.claim(id, CREATED_AT, NO_REFUND);
      return nameOf(id);
    });
    for (const now of [CREATED_AT, CREATED_AT + LEASE, CREATED_AT + 2 * LEASE]) {
      const first = await Promise.all(processes.map((process) => takeSome(process, now)));
      t.true(first.filter(({ length }) => length > 0).length > 1, 'or it was no race');
      const rest = await Promise.all(processes.map((process) => takeAll(process, now)));
      t.deepEqual([...first, ...rest].flat().sort(), ids.toSorted());
    }
  });

  test('between processes that end one secret in every way one event is left', async (t, { store, events, url }) => {
    const processes = await times(PROCESSES, () => openInProcess(t, url));
    const last = EXPIRES_AT - 1;
    for (let round = 0; round < 4; round++) {
      const secrets = await times(12, (n) => (n % 2 ? createTraced : createUntraced)(store, { notify: newNotify(n) }));
      const copy = round % 2 ? newCopy(last + MINUTE) : undefined;
      const claims = Promise.all(
        processes.flatMap((process) => secrets.map(({ id }) => process.claim(id, last, { copy, ...NO_REFUND }))),
      );
      const burns = Promise.all(
        processes.flatMap((process) =>
          secrets.map(({ id, receiptHash }) => receiptHash && process.burn(id, receiptHash, last, 0)),
        ),
      );
      await Promise.all(processes.map((process) => sweepAll(process, SWEPT_AT, 5)));
      await sweepAll(store, SWEPT_AT);
      const [reads, burned] = [countOf(await claims, true), countOf(await burns, 'burned')];
      const taken = await take(events, SWEPT_AT);
      const types = taken.map(({ type }) => type);
      t.deepEqual(taken.map(({ id }) => nameOf(id)).sort(), secrets.map(({ id }) => nameOf(id)).sort());
      t.deepEqual([countOf(types, 'read'), countOf(types, 'burned')], [reads, burned]);
      await events.finish(taken.map(({ id }) => id));
    }
  });

  test('between processes that sweep together each expiry has one event', async (t, { store, events, url }) => {
    const processes = await times(PROCESSES, () => openInProcess(t, url));
    const secrets = await many(60, (n) => (n % 2 ? createTraced : createUntraced)(store, { notify: newNotify(n) }));
    const [read] = secrets as [NewSecret];
    await store.claim(read.id, CREATED_AT, NO_REFUND);
    await Promise.all(processes.map((process) => times(2, () => sweepAll(process, SWEPT_AT, 20))));
    const taken = await take(events, SWEPT_AT);
    t.deepEqual(taken.map(({ id }) => nameOf(id)).sort(), secrets.map(({ id }) => nameOf(id)).sort());
    t.is(taken.filter(({ type }) => type === 'read').length, 1);
  });

  test('kill -9 of who reads: no secret is read without its event, none waits with one', async (t, world) => {
    const { store, events, url } = world;
    for (let kill = 1; kill <= KILLS; kill++) {
      const reader = await openInProcess(t, url);
      const outcomes: Outcome[] = [];
      // Each lane works until it is left without an answer.
      await times(LANES, async () => {
        for (let isAlive = true; isAlive; ) {
          const outcome = await createAndClaim(reader, outcomes.length);
          isAlive = outcome.isClaimed;
          if (outcomes.push(outcome) === kill * 6 * LANES) await reader.kill();
        }
      });
      const told = new Set(await takeAll(events, CREATED_AT));
      const seen = await Promise.all(
        outcomes.map(async ({ secret: { id }, ...outcome }) => {
          const isWaiting = (await store.find(id, CREATED_AT))?.state === 'waiting';
          return { ...outcome, isWaiting, isTold: told.has(nameOf(id)) };
        }),
      );
      t.true(told.size > LANES);
      t.deepEqual(seen.filter(isContradiction), []);
    }
  });
}

type Outcome = { secret: NewSecret; isCreated: boolean; isClaimed: boolean };
type Seen = Omit<Outcome, 'secret'> & { isWaiting: boolean; isTold: boolean };

/** What was acknowledged is there; of the rest nobody knows, but a secret that was there waits or is told of. */
function isContradiction({ isCreated, isClaimed, isWaiting, isTold }: Seen): boolean {
  if (isWaiting && isTold) return true;
  return isClaimed ? !isTold : isCreated && !isWaiting && !isTold;
}

async function createAndClaim(reader: StoreProcess, index: number): Promise<Outcome> {
  const secret = newSecret({ notify: newNotify(index % DESTINATIONS) });
  const copy = index % 3 === 0 ? newCopy() : undefined;
  const isDone = (call: Promise<unknown>) =>
    call.then(
      () => true,
      () => false,
    );
  const isCreated = await isDone(reader.create(secret));
  const isClaimed = isCreated && (await isDone(reader.claim(secret.id, CREATED_AT, { copy, ...NO_REFUND })));
  return { secret, isCreated, isClaimed };
}

async function takeAll(events: Pick<EventStore, 'takeDue' | 'hasDue'>, now: number): Promise<string[]> {
  const names: string[] = [];
  for (let round = 1; await events.hasDue(now); round++) {
    if (round > MAX_ROUNDS) throw new Error('what was taken is due again');
    names.push(...(await takeSome(events, now)));
  }
  return names;
}

async function takeSome(events: Pick<EventStore, 'takeDue'>, now: number): Promise<string[]> {
  const taken = await events.takeDue(now, { limit: 10, perDestination: 4, leaseUntil: now + LEASE, without: [] });
  return taken.map(({ id }) => nameOf(id));
}

function nameOf(id: Uint8Array): string {
  return Buffer.from(id).toString('hex');
}
