import { randomBytes } from 'node:crypto';
import { type Found, type NewSecret, RECEIPT_MS, type Receipt, type SecretStore } from '../../../src/secrets/store.ts';
import {
  type ContractTest,
  type Copy,
  CREATED_AT,
  claimCopy,
  createTraced,
  createUntraced,
  EXPIRES_AT,
  HOUR,
  MAX_READS,
  MINUTE,
  NO_REFUND,
  newCopy,
  sweepAll,
  times,
} from './world.ts';

type FoundState = Found['state'] | undefined;
type ReceiptState = Receipt['state'] | undefined;
type Life = {
  title: string;
  /** Brings a waiting secret where this life leads it. */
  live(store: SecretStore, secret: NewSecret): Promise<Copy | undefined>;
  /** At each instant: what `find` sees, and the receipt, where there is one. */
  instants: readonly (readonly [at: number, found: FoundState, receipt: ReceiptState])[];
  /** Only a secret with a receipt can be burned. */
  needsReceipt?: true;
};

const ENDED_AT = CREATED_AT + HOUR;
const COPY_END = ENDED_AT + MINUTE;
const LAST = EXPIRES_AT - 1;
const LAST_COPY_END = LAST + MINUTE;
const NONE = undefined;

/** The table of states, each change at the instant before, at it and after. */
const LIVES: readonly Life[] = [
  {
    title: 'waiting, then expired',
    live: async () => undefined,
    instants: [
      [CREATED_AT, 'waiting', 'waiting'],
      [EXPIRES_AT - 1, 'waiting', 'waiting'],
      [EXPIRES_AT, NONE, 'expired'],
      [EXPIRES_AT + 1, NONE, 'expired'],
      [EXPIRES_AT + RECEIPT_MS - 1, NONE, 'expired'],
      [EXPIRES_AT + RECEIPT_MS, NONE, NONE],
      [EXPIRES_AT + RECEIPT_MS + 1, NONE, NONE],
    ],
  },
  {
    title: 'read',
    live: async (store, { id }) => {
      await store.claim(id, ENDED_AT, NO_REFUND);
      return undefined;
    },
    instants: [
      [ENDED_AT, NONE, 'read'],
      [EXPIRES_AT, NONE, 'read'],
      [ENDED_AT + RECEIPT_MS - 1, NONE, 'read'],
      [ENDED_AT + RECEIPT_MS, NONE, NONE],
      [ENDED_AT + RECEIPT_MS + 1, NONE, NONE],
    ],
  },
  {
    title: 'read, with a copy for rereading',
    live: (store, secret) => claimCopy(store, secret, ENDED_AT, COPY_END),
    instants: [
      [ENDED_AT, 'copy', 'read'],
      [COPY_END - 1, 'copy', 'read'],
      [COPY_END, NONE, 'read'],
      [COPY_END + 1, NONE, 'read'],
      [ENDED_AT + RECEIPT_MS - 1, NONE, 'read'],
      [ENDED_AT + RECEIPT_MS, NONE, NONE],
    ],
  },
  {
    title: 'read at the last instant: the copy outlives the expiry',
    live: (store, secret) => claimCopy(store, secret, LAST, LAST_COPY_END),
    instants: [
      [LAST, 'copy', 'read'],
      [EXPIRES_AT, 'copy', 'read'],
      [LAST_COPY_END - 1, 'copy', 'read'],
      [LAST_COPY_END, NONE, 'read'],
      [LAST + RECEIPT_MS - 1, NONE, 'read'],
      [LAST + RECEIPT_MS, NONE, NONE],
    ],
  },
  {
    title: 'read as often as it may be',
    live: async (store, secret) => {
      const copy = await claimCopy(store, secret, ENDED_AT, COPY_END);
      const reread = { ...copy, maxReads: MAX_READS, ...NO_REFUND };
      await times(MAX_READS - 1, () => store.reread(secret.id, ENDED_AT, reread));
      return copy;
    },
    instants: [
      [ENDED_AT, NONE, 'read'],
      [COPY_END, NONE, 'read'],
      [ENDED_AT + RECEIPT_MS - 1, NONE, 'read'],
      [ENDED_AT + RECEIPT_MS, NONE, NONE],
    ],
  },
  {
    title: 'burned',
    live: async (store, secret) => burn(store, secret),
    instants: [
      [ENDED_AT, NONE, 'burned'],
      [EXPIRES_AT, NONE, 'burned'],
      [ENDED_AT + RECEIPT_MS - 1, NONE, 'burned'],
      [ENDED_AT + RECEIPT_MS, NONE, NONE],
      [ENDED_AT + RECEIPT_MS + 1, NONE, NONE],
    ],
    needsReceipt: true,
  },
  {
    title: 'read, and burned while the copy was there',
    live: async (store, secret) => {
      const copy = await claimCopy(store, secret, ENDED_AT, COPY_END);
      await burn(store, secret);
      return copy;
    },
    instants: [
      [ENDED_AT, NONE, 'read'],
      [COPY_END, NONE, 'read'],
      [ENDED_AT + RECEIPT_MS - 1, NONE, 'read'],
      [ENDED_AT + RECEIPT_MS, NONE, NONE],
    ],
    needsReceipt: true,
  },
];

export function stateContract(test: ContractTest): void {
  for (const life of LIVES) {
    test(`the table of states at each exact instant, swept or not: ${life.title}`, async (t, { store }) => {
      for (const [at, found, receipt] of life.instants) {
        for (const hasReceipt of life.needsReceipt ? [true] : [true, false]) {
          for (const isSwept of [false, true]) {
            const row = `${new Date(at).toISOString()}, receipt: ${hasReceipt}, swept: ${isSwept}`;
            const expected = expectedOf(found, hasReceipt ? receipt : undefined);
            t.deepEqual(await observe(store, life, { at, hasReceipt, isSwept }), expected, row);
          }
        }
      }
    });
  }
}

type Observed = {
  found: FoundState;
  receipt: ReceiptState;
  hasTries: boolean;
  isClaimed: boolean;
  isClaimedWithCopy: boolean;
  isReread: boolean;
  isRereadByAnother: boolean;
  burn: Awaited<ReturnType<SecretStore['burn']>>;
  foundAfterBurn: FoundState;
};

/** What every verb must answer follows from what there is to see. */
function expectedOf(found: FoundState, receipt: ReceiptState): Observed {
  return {
    found,
    receipt,
    hasTries: found !== undefined,
    isClaimed: found === 'waiting',
    isClaimedWithCopy: found === 'waiting',
    isReread: found === 'copy',
    isRereadByAnother: false,
    burn: receipt && (receipt === 'waiting' ? 'burned' : 'not-waiting'),
    foundAfterBurn: receipt ? undefined : found,
  };
}

type Lived = { secret: NewSecret; copy: Copy };
type Circumstances = { at: number; hasReceipt: boolean; isSwept: boolean };

/** Tries every verb at one instant, those that change a record on one of their own. */
async function observe(store: SecretStore, life: Life, { at, hasReceipt, isSwept }: Circumstances): Promise<Observed> {
  const records = await times(4, async () => {
    const secret = await (hasReceipt ? createTraced(store) : createUntraced(store));
    return { secret, copy: (await life.live(store, secret)) ?? newCopy() };
  });
  if (isSwept) await sweepAll(store, at);
  const [first, second, third, fourth] = records as [Lived, Lived, Lived, Lived];
  const reread = { ...second.copy, maxReads: MAX_READS, ...NO_REFUND };
  const another = { ...reread, claimTag: randomBytes(32) };
  const receiptHash = third.secret.receiptHash ?? randomBytes(32);
  return {
    found: (await store.find(first.secret.id, at))?.state,
    receipt: (await store.findReceipt(third.secret.id, receiptHash, at))?.state,
    hasTries: (await store.reserveTry(first.secret.id, at)) !== undefined,
    isClaimed: await store.claim(first.secret.id, at, NO_REFUND),
    isClaimedWithCopy: await store.claim(fourth.secret.id, at, { copy: newCopy(at + MINUTE), ...NO_REFUND }),
    isRereadByAnother: await store.reread(second.secret.id, at, another),
    isReread: await store.reread(second.secret.id, at, reread),
    burn: await store.burn(third.secret.id, receiptHash, at, 0),
    foundAfterBurn: (await store.find(third.secret.id, at))?.state,
  };
}

async function burn(store: SecretStore, { id, receiptHash }: NewSecret): Promise<undefined> {
  await store.burn(id, receiptHash as Uint8Array, ENDED_AT, 0);
}
