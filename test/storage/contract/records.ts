import { randomBytes } from 'node:crypto';
import type { ExecutionContext } from 'ava';
import type { EndedRecord, SealedRecord } from '../../../src/secrets/records.ts';
import { type NewSecret, RECEIPT_MS } from '../../../src/secrets/store.ts';
import { openRecords } from '../../../src/storage/open.ts';
import type { Records } from '../../../src/storage/storage.ts';
import {
  asWaiting,
  COPY_UNTIL,
  type ContractTest,
  CREATED_AT,
  claimCopy,
  createTraced,
  createUntraced,
  EXPIRES_AT,
  HOUR,
  NO_REFUND,
  newNotify,
  newSecret,
  plain,
  receiptOf,
  reserve,
  sweepAll,
  type Traced,
  times,
  type World,
} from './world.ts';

/** What the operator's commands rest on: beside a store that is open, as beside a service that runs. */
export function recordContract(test: ContractTest): void {
  test('everything sealed that can still be read is listed once, page by page', async (t, world) => {
    const { store } = world;
    const late = await times(5, () => createUntraced(store, { expiresAt: EXPIRES_AT + HOUR, bytes: 20_000 }));
    const early = await times(4, () => createTraced(store));
    const [traced, untraced] = [await createTraced(store), await createUntraced(store)];
    const copies = [await claimCopy(store, traced), await claimCopy(store, untraced)];
    const burned = await createTraced(store);
    await store.burn(burned.id, burned.receiptHash, CREATED_AT, 0);
    const records = await openAt(t, world, 'look');

    const waiting = [...late, ...early].map((secret) => sealed(secret, 'waiting', secret.expiresAt, secret.envelope));
    const copied = [traced, untraced].map((secret, index) =>
      sealed(secret, 'copy', COPY_UNTIL, copies[index]?.envelope as Uint8Array),
    );
    for (const limit of [1, 4, 11, 100]) {
      t.deepEqual(
        await listAll(limit, (page) => records.listSealed({ ...page, now: CREATED_AT })),
        sorted([...waiting, ...copied]),
      );
    }
    const ids = async (now: number) => (await listAll(100, (page) => records.listSealed({ ...page, now }))).length;
    t.is(await ids(COPY_UNTIL - 1), 11);
    t.is(await ids(COPY_UNTIL), 9);
    t.is(await ids(EXPIRES_AT - 1), 9);
    t.is(await ids(EXPIRES_AT), 5);
    t.is(await ids(EXPIRES_AT + HOUR), 0);
  });

  test('who is to be told is listed once, from creation until the event is finished', async (t, world) => {
    const { store, events } = world;
    const [waiting, other] = [await createTraced(store, withNotify()), await createUntraced(store, withNotify())];
    const [read, burned] = [await createUntraced(store, withNotify()), await createTraced(store, withNotify())];
    const copied = await createUntraced(store, withNotify());
    await createTraced(store);
    await store.claim(read.id, CREATED_AT, NO_REFUND);
    await claimCopy(store, copied);
    await store.burn(burned.id, burned.receiptHash, CREATED_AT, 0);
    const records = await openAt(t, world, 'look');
    const list = async (now: number, limit = 100) =>
      listAll(limit, (page) => records.listNotifying({ ...page, now })) as Promise<{ envelopeHead: string }[]>;
    const headsOf = (secrets: readonly NewSecret[]) =>
      secrets
        .toSorted((a, b) => Buffer.compare(a.id, b.id))
        .map(({ notify }) => Buffer.from(notify?.sealed.subarray(0, 10) ?? []).toString('hex'));
    const heads = async (now: number, limit?: number) => (await list(now, limit)).map((one) => one.envelopeHead);
    const all = [waiting, other, read, burned, copied];
    for (const limit of [1, 2, 5, 100]) t.deepEqual(await heads(CREATED_AT, limit), headsOf(all));
    await sweepAll(store, EXPIRES_AT + 1000);
    t.deepEqual(await heads(EXPIRES_AT + 1000, 2), headsOf(all));
    await events.finish([read.id, burned.id]);
    t.deepEqual(await heads(EXPIRES_AT), headsOf([waiting, other, copied]));
    t.deepEqual(await heads(CREATED_AT + RECEIPT_MS), headsOf([waiting, other]));
    t.deepEqual(await heads(EXPIRES_AT + RECEIPT_MS), []);
  });

  test('every receipt of an ended secret is listed as it tells, swept or not, until it is over', async (t, world) => {
    const { store } = world;
    const ended = await endSome(world);
    await createUntraced(store);
    await createTraced(store, { expiresAt: EXPIRES_AT + HOUR });
    const records = await openAt(t, world, 'look');
    const list = (now: number, limit = 100) => listAll(limit, (page) => records.listEnded({ ...page, now }));
    const waitingStill = 1; // until EXPIRES_AT the last of them has not ended
    t.is((await list(EXPIRES_AT - 1)).length, ended.length - waitingStill);
    for (const limit of [1, 3, 100]) t.deepEqual(await list(EXPIRES_AT, limit), sorted(ended));
    await sweepAll(store, EXPIRES_AT + 1000);
    t.deepEqual(await list(EXPIRES_AT + 1000, 2), sorted(ended));
    const later = 1; // has expired too by now
    t.is((await list(CREATED_AT + RECEIPT_MS - 1)).length, ended.length + later);
    t.is((await list(CREATED_AT + RECEIPT_MS)).length, 1 + later);
    t.is((await list(EXPIRES_AT + RECEIPT_MS)).length, later);
    t.is((await list(EXPIRES_AT + HOUR + RECEIPT_MS)).length, 0);
  });

  test('what is put back tells the same, holds nothing to read, and goes in its time', async (t, world) => {
    const { store, raw } = world;
    const records = await openAt(t, world, 'restore');
    const given = [newEnded('read', { reads: 3 }), newEnded('burned'), newEnded('expired', { wrongTries: 2 })];
    t.is(await records.restoreEnded(given, EXPIRES_AT), 3);
    for (const { id, receiptHash, ...told } of given) {
      t.deepEqual(await store.findReceipt(id, receiptHash, EXPIRES_AT), told);
      for (const now of [CREATED_AT, EXPIRES_AT]) {
        t.is(await store.find(id, now), undefined);
        t.false(await store.claim(id, now, NO_REFUND));
        t.is(await store.reserveTry(id, now), undefined);
      }
      t.is(await store.burn(id, receiptHash, EXPIRES_AT, 0), 'not-waiting');
    }
    t.deepEqual(await listAll(2, (page) => records.listEnded({ ...page, now: EXPIRES_AT })), sorted(given));
    t.is((await records.listSealed({ now: CREATED_AT, limit: 10 })).length, 0);
    const last = EXPIRES_AT + RECEIPT_MS;
    await sweepAll(store, last - 1000);
    t.is((await raw()).length, 1); // the others ended sooner
    await sweepAll(store, last + 1000);
    t.is((await raw()).length, 0);
  });

  test('putting back twice is putting back once; a receipt that is over is not put back', async (t, world) => {
    const records = await openAt(t, world, 'restore');
    const given = await times(20, async () => newEnded('read'));
    t.is(await records.restoreEnded(given.slice(0, 5), EXPIRES_AT), 5);
    t.is(await records.restoreEnded(given, EXPIRES_AT), 15);
    t.is(await records.restoreEnded(given, EXPIRES_AT), 0);
    const over = newEnded('burned');
    t.is(await records.restoreEnded([over], over.endedAt + RECEIPT_MS), 0);
    t.is(await records.restoreEnded([over], over.endedAt + RECEIPT_MS - 1), 1);
    t.is((await world.raw()).length, 21);
  });

  test('what is there stays as it is, whatever would be put back', async (t, world) => {
    const { store } = world;
    const [waiting, copied, burned] = [await createTraced(store), await createTraced(store), await createTraced(store)];
    await reserve(store, waiting, CREATED_AT, 2);
    const copy = await claimCopy(store, copied);
    await store.burn(burned.id, burned.receiptHash, CREATED_AT, 0);
    const before = (await world.raw()).map(String).sort();
    const records = await openAt(t, world, 'restore');
    const others = [waiting, copied, burned].map(({ id }) => ({ ...newEnded('read'), id }));
    t.is(await records.restoreEnded([...others, newEnded('read')], CREATED_AT), 1);
    const after = (await world.raw()).map(String);
    t.is(after.length, before.length + 1);
    t.deepEqual(
      before.filter((record) => !after.includes(record)),
      [],
    );
    t.deepEqual(plain(await store.find(waiting.id, CREATED_AT)), asWaiting(waiting));
    t.is((await store.find(copied.id, CREATED_AT))?.state, 'copy');
    t.true(await store.reread(copied.id, CREATED_AT, { claimTag: copy.claimTag, maxReads: 5, ...NO_REFUND }));
    t.like(await receiptOf(store, burned, CREATED_AT), { state: 'burned' });
  });
}

function withNotify(): { notify: NonNullable<NewSecret['notify']> } {
  return { notify: newNotify() };
}

async function openAt(t: ExecutionContext, { url }: World, use: 'look' | 'restore'): Promise<Records> {
  const sqlitePath = url.startsWith('sqlite:') ? url.slice('sqlite:'.length) : undefined;
  const records = await openRecords({ sqlitePath, STORAGE_URL: url }, use);
  t.teardown(records.close);
  return records;
}

async function listAll<T extends { id: Uint8Array }>(
  limit: number,
  list: (page: { limit: number; after: Uint8Array | undefined }) => Promise<readonly T[]>,
): Promise<object[]> {
  const all: T[] = [];
  for (;;) {
    const page = await list({ limit, after: all.at(-1)?.id });
    all.push(...page);
    if (page.length < limit) return all.map(readable);
  }
}

/** Ends four with a receipt, each in its way, and leaves one to expire. @returns what is to be told of them. */
async function endSome({ store }: World): Promise<EndedRecord[]> {
  const secrets = await times(5, () => createTraced(store));
  const [read, copied, burned, tried, expired] = secrets as [Traced, Traced, Traced, Traced, Traced];
  await store.claim(read.id, CREATED_AT, NO_REFUND);
  await claimCopy(store, copied);
  await store.burn(burned.id, burned.receiptHash, CREATED_AT, 0);
  await reserve(store, tried, CREATED_AT, 3);
  await store.claim(tried.id, CREATED_AT, { refundTry: true });
  await reserve(store, expired, CREATED_AT, 2);
  return [
    ended(read, 'read', { reads: 1 }),
    ended(copied, 'read', { reads: 1 }),
    ended(burned, 'burned'),
    ended(tried, 'read', { reads: 1, wrongTries: 2 }),
    ended(expired, 'expired', { endedAt: EXPIRES_AT, wrongTries: 2 }),
  ];
}

type Told = Partial<Pick<EndedRecord, 'endedAt' | 'reads' | 'wrongTries'>>;

function ended({ id, receiptHash }: Traced, state: EndedRecord['state'], told: Told = {}): EndedRecord {
  const instants = { createdAt: CREATED_AT, expiresAt: EXPIRES_AT, endedAt: CREATED_AT };
  return { id, receiptHash, state, ...instants, wrongTries: 0, reads: 0, ...told };
}

function newEnded(state: EndedRecord['state'], told: Told = {}): EndedRecord {
  const endedAt = state === 'expired' ? EXPIRES_AT : CREATED_AT + HOUR;
  return ended({ ...newSecret(), receiptHash: randomBytes(32) }, state, { endedAt, ...told });
}

function sealed(
  { id, createdAt }: NewSecret,
  state: SealedRecord['state'],
  visibleUntil: number,
  envelope: Uint8Array,
): SealedRecord {
  return { id, state, createdAt, visibleUntil, envelopeHead: envelope.subarray(0, 10) };
}

function sorted(records: readonly { id: Uint8Array }[]): object[] {
  return records.toSorted((a, b) => Buffer.compare(a.id, b.id)).map(readable);
}

/** Without what engines may choose: the class of bytes. */
function readable(record: object): object {
  const members = Object.entries(record).map(([name, value]) => [
    name,
    value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value,
  ]);
  return Object.fromEntries(members);
}
