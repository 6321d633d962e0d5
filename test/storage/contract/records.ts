import type { ExecutionContext } from 'ava';
import type { SealedRecord } from '../../../src/secrets/records.ts';
import { type NewSecret, RECEIPT_MS } from '../../../src/secrets/store.ts';
import { openRecords } from '../../../src/storage/open.ts';
import type { Records } from '../../../src/storage/storage.ts';
import {
  ANSWERED_AT,
  answerOrThrow,
  COPY_UNTIL,
  type ContractTest,
  CREATED_AT,
  claimCopy,
  createRequested,
  createTraced,
  createUntraced,
  EXPIRES_AT,
  HOUR,
  NO_REFUND,
  newAnswer,
  newNotify,
  newRepeat,
  sweepAll,
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
    const records = await openAt(t, world);

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

  test('open requests are listed once, beside what they became when they were answered', async (t, world) => {
    const { store } = world;
    const open = await times(5, () => createRequested(store, withNotify()));
    const late = await createRequested(store, { expiresAt: EXPIRES_AT + HOUR });
    const [answered, withdrawn] = [await createRequested(store, withNotify()), await createRequested(store)];
    const answer = await answerOrThrow(store, answered, newAnswer({ repeat: newRepeat() }));
    await store.withdraw(withdrawn.id, CREATED_AT);
    const secret = await createTraced(store);
    const records = await openAt(t, world);
    const expected = [
      ...[...open, late].map((request) => sealed(request, 'requested', request.expiresAt, request.envelope)),
      sealed(secret, 'waiting', EXPIRES_AT, secret.envelope),
      sealed({ ...answered, createdAt: answer.createdAt }, 'waiting', EXPIRES_AT, answer.envelope),
    ];
    const listed = (now: number, limit = 100) => listAll(limit, (page) => records.listSealed({ ...page, now }));
    for (const limit of [1, 3, 8, 100]) t.deepEqual(await listed(ANSWERED_AT, limit), sorted(expected));
    t.is((await listed(EXPIRES_AT - 1)).length, 8);
    t.is((await listed(EXPIRES_AT)).length, 1);
    t.is((await listed(EXPIRES_AT + HOUR)).length, 0);

    // With an event the notify may be listed twice: an engine may keep it in two places.
    const headsAt = async (now: number, limit: number) => {
      const all = await listAll(limit, (page) => records.listNotifying({ ...page, now }));
      return new Set(all.map((one) => (one as { envelopeHead: string }).envelopeHead));
    };
    for (const limit of [1, 3, 100]) t.is((await headsAt(ANSWERED_AT, limit)).size, 6);
    t.is((await headsAt(EXPIRES_AT + RECEIPT_MS - 1, 4)).size, 6);
    t.is((await headsAt(EXPIRES_AT + RECEIPT_MS, 4)).size, 0);
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
    const records = await openAt(t, world);
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
}

function withNotify(): { notify: NonNullable<NewSecret['notify']> } {
  return { notify: newNotify() };
}

async function openAt(t: ExecutionContext, { url }: World): Promise<Records> {
  const sqlitePath = url.startsWith('sqlite:') ? url.slice('sqlite:'.length) : undefined;
  const records = await openRecords({ sqlitePath, STORAGE_URL: url });
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
