import { TRY_BURST } from '../../../src/secrets/budget.ts';
import type { NewSecret, SecretStore } from '../../../src/secrets/store.ts';
import { openInProcess, type StoreProcess } from './store-process.ts';
import {
  asCopy,
  asWaiting,
  type ContractTest,
  CREATED_AT,
  claimCopy,
  countOf,
  createTraced,
  createUntraced,
  MAX_READS,
  NO_REFUND,
  newCopy,
  newSecret,
  plain,
  receiptOf,
  reserve,
  times,
} from './world.ts';

const PROCESSES = 3;
const ROUNDS = 10;
const RECORDS_A_ROUND = 20;
const KILLS = 4;
const LANES = 16;

/** Between real processes, and over their ends. */
export function processContract(test: ContractTest): void {
  test('between processes one claim or burn wins each secret', async (t, { store, url }) => {
    const processes = await times(PROCESSES, () => openInProcess(t, url));
    await inRounds(async (index) => {
      const secret = await (index % 2 ? createTraced : createUntraced)(store);
      const copies = processes.map(() => (index % 4 < 2 ? newCopy() : undefined));
      const [claims, burns] = await Promise.all([
        Promise.all(processes.map(({ claim }, at) => claim(secret.id, CREATED_AT, { copy: copies[at], ...NO_REFUND }))),
        secret.receiptHash ? Promise.all(processes.map((process) => burn(process, secret))) : [],
      ]);
      t.is(countOf(claims, true) + countOf(burns, 'burned'), 1);
      // A burn that came after the claim took the copy away.
      const copy = burns.length === 0 ? copies[claims.indexOf(true)] : undefined;
      t.deepEqual(plain(await store.find(secret.id, CREATED_AT)), copy && asCopy(secret, copy));
    });
  });

  test('between processes each copy is read four more times', async (t, { store, url }) => {
    const processes = await times(PROCESSES, () => openInProcess(t, url));
    await inRounds(async (index) => {
      const secret = await (index % 2 ? createTraced : createUntraced)(store);
      const reread = { ...(await claimCopy(store, secret)), maxReads: MAX_READS, ...NO_REFUND };
      const rereads = processes.map((process) => times(3, () => process.reread(secret.id, CREATED_AT, reread)));
      t.is(countOf((await Promise.all(rereads)).flat(), true), MAX_READS - 1);
    });
  });

  test('between processes each budget grants ten tries', async (t, { store, url }) => {
    const processes = await times(PROCESSES, () => openInProcess(t, url));
    await inRounds(async () => {
      const { id } = await createUntraced(store);
      const tries = processes.map((process) => times(5, () => process.reserveTry(id, CREATED_AT)));
      t.is((await Promise.all(tries)).flat().filter((outcome) => outcome?.granted).length, TRY_BURST);
    });
  });

  test('everything is there again after closing', async (t, { store, open, close }) => {
    const [waiting, copied, burned] = [await createTraced(store), await createTraced(store), await createTraced(store)];
    await reserve(store, waiting, CREATED_AT, 2);
    const copy = await claimCopy(store, copied);
    await burn(store, burned);
    await close();
    const { secrets: reopened } = await open();
    t.deepEqual(plain(await reopened.find(waiting.id, CREATED_AT)), asWaiting(waiting));
    t.deepEqual(await reopened.reserveTry(waiting.id, CREATED_AT), { granted: true, triesLeft: 7 });
    t.deepEqual(plain(await reopened.find(copied.id, CREATED_AT)), asCopy(copied, copy));
    t.like(await receiptOf(reopened, burned, CREATED_AT), { state: 'burned' });
  });

  test('kill -9 of who writes loses nothing acknowledged and brings nothing back', async (t, { store, url }) => {
    for (let kill = 1; kill <= KILLS; kill++) {
      const writer = await openInProcess(t, url);
      const outcomes: Outcome[] = [];
      // Each lane works until it is left without an answer.
      const lanes = times(LANES, async () => {
        for (let isAlive = true; isAlive; ) {
          const outcome = await createAndPerhapsClaim(writer, outcomes.length);
          isAlive = outcome.created !== 'unknown' && outcome.claimed !== 'unknown';
          if (outcomes.push(outcome) === kill * 5 * LANES) await writer.kill();
        }
      });
      await lanes;
      t.true(outcomes.length > kill * 5 * LANES);
      const contradictions = await Promise.all(outcomes.map((outcome) => contradictionIn(store, outcome)));
      t.deepEqual(contradictions.filter(Boolean), []);
    }
  });

  test('an orderly end takes what it was given', async (t, { store, url }) => {
    const writer = await openInProcess(t, url);
    const secrets = await times(50, () => createUntraced(writer));
    await writer.end();
    for (const secret of secrets) t.deepEqual(plain(await store.find(secret.id, CREATED_AT)), asWaiting(secret));
  });
}

type Step = 'acknowledged' | 'unknown' | 'not-asked';
type Outcome = { secret: NewSecret; copy: ReturnType<typeof newCopy> | undefined; created: Step; claimed: Step };

async function createAndPerhapsClaim(store: StoreProcess, index: number): Promise<Outcome> {
  const secret = newSecret();
  const copy = index % 3 === 0 ? newCopy() : undefined;
  const created = await stepOf(store.create(secret));
  const isClaiming = created === 'acknowledged' && index % 4 > 0;
  const claimed = isClaiming ? await stepOf(store.claim(secret.id, CREATED_AT, { copy, ...NO_REFUND })) : 'not-asked';
  return { secret, copy, created, claimed };
}

function stepOf(call: Promise<unknown>): Promise<Step> {
  return call.then(
    () => 'acknowledged',
    () => 'unknown',
  );
}

/** @returns what is in the store, where the outcome does not allow it. */
async function contradictionIn(store: SecretStore, { secret, copy, created, claimed }: Outcome): Promise<unknown> {
  const found = JSON.stringify(plain(await store.find(secret.id, CREATED_AT)));
  const before = JSON.stringify(asWaiting(secret));
  const after = copy && JSON.stringify(asCopy(secret, copy));
  const allowed: (string | undefined)[] = [];
  if (claimed === 'acknowledged') allowed.push(after);
  else if (claimed === 'unknown') allowed.push(before, after);
  else allowed.push(before, ...(created === 'unknown' ? [undefined] : []));
  return allowed.includes(found) ? undefined : { created, claimed, found };
}

async function inRounds(race: (index: number) => Promise<void>): Promise<void> {
  for (let round = 0; round < ROUNDS; round++) await times(RECORDS_A_ROUND, race);
}

function burn(store: SecretStore, { id, receiptHash }: NewSecret): ReturnType<SecretStore['burn']> {
  return store.burn(id, receiptHash as Uint8Array, CREATED_AT, 0);
}
