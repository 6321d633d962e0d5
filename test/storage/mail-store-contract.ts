import { randomBytes } from 'node:crypto';
import { MAIL_KEPT_MS, MAIL_SERVER, type MailStore, type NewMail, type TakenMail } from '../../src/mail/store.ts';
import type { TakeOptions } from '../../src/outbox/store.ts';
import { storedBytes } from '../../src/storage/usage.ts';
import { until } from '../support/process/program.ts';
import { many } from '../support/storage/many.ts';
import type { Engine } from '../support/storage/storage.ts';
import { openInProcess } from './contract/store-process.ts';
import { CREATED_AT, LEASE, times } from './contract/world.ts';

const NEVER = Number.POSITIVE_INFINITY;
const PROCESSES = 3;
const MAILS = 120;
/** In which everything is taken, also by a process that others are often faster than. */
const MAX_ROUNDS = 200;

export function newMail(changes: Partial<NewMail> = {}): NewMail {
  return { id: randomBytes(32), sealed: randomBytes(300), occurredAt: CREATED_AT, dueAt: CREATED_AT, ...changes };
}

/** Takes as a dispatcher does that has room for a hundred. */
function take(mails: MailStore, now: number, options: Partial<TakeOptions> = {}): Promise<readonly TakenMail[]> {
  return mails.takeDue(now, { limit: 100, perDestination: 100, leaseUntil: now + LEASE, without: [], ...options });
}

/** Every verb, of a mail that is there. */
export function mailVerbsOn(mails: MailStore, { id }: NewMail): Record<keyof MailStore, () => Promise<unknown>> {
  return {
    add: () => mails.add(newMail()),
    takeDue: () => take(mails, CREATED_AT),
    finish: () => mails.finish([id]),
    postpone: () => mails.postpone({ id, dueAt: CREATED_AT }, { dueAt: CREATED_AT + 1, attempts: 1 }),
    hasDue: () => mails.hasDue(CREATED_AT),
    countWaiting: () => mails.countWaiting(),
    sweepMails: () => mails.sweepMails(CREATED_AT + MAIL_KEPT_MS, 10),
  };
}

/** Every engine passes this suite: what `MailStore` promises. */
export function mailStoreContract({ name, test, place }: Engine): void {
  test(`${name}: mails: one is there, byte for byte, from its instant on, also when the store is opened again`, async (t) => {
    const world = await place(t);
    const storage = await world.open();
    const mail = newMail({ dueAt: CREATED_AT + LEASE });
    t.is(await storage.mails.add(mail), 'added');
    await storage.close();
    const { mails } = await world.open();
    t.false(await mails.hasDue(CREATED_AT + LEASE - 1));
    t.deepEqual(await take(mails, CREATED_AT + LEASE - 1), []);
    t.true(await mails.hasDue(CREATED_AT + LEASE));
    t.deepEqual(await mails.countWaiting(), { events: 1, oldestAt: CREATED_AT });
    const [taken] = (await take(mails, CREATED_AT + LEASE)) as [TakenMail];
    t.deepEqual(plain(taken), plain({ ...mail, attempts: 0, dueAt: CREATED_AT + 2 * LEASE } as TakenMail));
    t.false(await mails.hasDue(CREATED_AT + LEASE));
    await mails.finish([mail.id, randomBytes(32)]);
    t.false(await mails.hasDue(NEVER));
    t.deepEqual(await mails.countWaiting(), { events: 0, oldestAt: undefined });
  });

  test(`${name}: mails: postponing needs the lease, and keeps the count of attempts`, async (t) => {
    const { mails } = await (await place(t)).open();
    const mail = newMail();
    await mails.add(mail);
    const [taken] = (await take(mails, CREATED_AT)) as [TakenMail];
    t.false(await mails.postpone({ id: mail.id, dueAt: CREATED_AT }, { dueAt: CREATED_AT + 5, attempts: 9 }));
    t.true(await mails.postpone(taken, { dueAt: CREATED_AT + 5, attempts: 3 }));
    t.false(await mails.postpone(taken, { dueAt: CREATED_AT + 6, attempts: 9 }));
    t.deepEqual(await take(mails, CREATED_AT + 4), []);
    t.like((await take(mails, CREATED_AT + 5))[0], { attempts: 3, occurredAt: CREATED_AT });
    await mails.finish([mail.id]);
    t.false(await mails.postpone({ id: mail.id, dueAt: CREATED_AT + 5 + LEASE }, { dueAt: 1, attempts: 1 }));
  });

  test(`${name}: mails: as many as asked for are taken, those that were due first, and none where the server is left out`, async (t) => {
    const { mails } = await (await place(t)).open();
    const all = Array.from({ length: 12 }, (_, n) => newMail({ dueAt: CREATED_AT + n }));
    for (const mail of all) await mails.add(mail);
    t.deepEqual(await take(mails, NEVER, { without: [MAIL_SERVER] }), []);
    const now = CREATED_AT + 3;
    t.deepEqual(namesOf(await take(mails, now, { limit: 4 })), namesOf(all.slice(0, 4)));
    t.is((await take(mails, CREATED_AT + 20, { perDestination: 3 })).length, 3);
    t.is((await take(mails, CREATED_AT + 20, { limit: 2 })).length, 2);
    t.is((await take(mails, CREATED_AT + 20)).length, 3);
  });

  test(`${name}: mails: waiting mail counts towards the limit on everything stored`, async (t) => {
    // MongoDB measures its collections, with what they need for each document.
    const each = storedBytes(9_000);
    const { mails } = await (await place(t)).open({ maxBytes: 20 * each });
    const added: NewMail[] = [];
    await until('no room', async () => {
      const mail = newMail({ sealed: randomBytes(9_000) });
      const result = await mails.add(mail);
      if (result === 'added') added.push(mail);
      return result === 'full';
    });
    t.true(added.length >= 10);
    t.is((await mails.countWaiting()).events, added.length);
    await mails.finish(added.map(({ id }) => id));
    if (name === 'sqlite') t.is(await mails.add(newMail({ sealed: randomBytes(9_000) })), 'added');
  });

  test(`${name}: mails: what is too old to send is swept, step by step`, async (t) => {
    const { mails } = await (await place(t)).open();
    const old = Array.from({ length: 5 }, () => newMail());
    for (const mail of [...old, newMail({ occurredAt: CREATED_AT + 1 })]) await mails.add(mail);
    t.is(await mails.sweepMails(CREATED_AT + MAIL_KEPT_MS - 1, 10), 0);
    t.is(await mails.sweepMails(CREATED_AT + MAIL_KEPT_MS, 3), 3);
    t.is(await mails.sweepMails(CREATED_AT + MAIL_KEPT_MS, 3), 2);
    t.deepEqual(await mails.countWaiting(), { events: 1, oldestAt: CREATED_AT + 1 });
  });

  test(`${name}: mails: between processes each has one holder a lease, and exactly one after it`, async (t) => {
    const { url, open } = await place(t);
    const { mails } = await open();
    const processes = await times(PROCESSES, () => openInProcess(t, url));
    const all = await many(MAILS, async () => {
      const mail = newMail();
      await mails.add(mail);
      return mail;
    });
    for (const now of [CREATED_AT, CREATED_AT + LEASE, CREATED_AT + 2 * LEASE]) {
      const first = await Promise.all(processes.map(({ mails }) => takeSome(mails, now)));
      t.true(first.filter(({ length }) => length > 0).length > 1, 'or it was no race');
      const rest = await Promise.all(processes.map(({ mails }) => takeAll(mails, now)));
      t.deepEqual([...first, ...rest].flat().sort(), namesOf(all).sort());
    }
  });

  test(`${name}: mails: kill -9 of the process that writes: what was acknowledged is there`, async (t) => {
    const { url, open } = await place(t);
    const { mails } = await open();
    const writer = await openInProcess(t, url);
    const acknowledged: NewMail[] = [];
    await times(8, async () => {
      for (let isAlive = true; isAlive; ) {
        const mail = newMail();
        isAlive = await writer.mails.add(mail).then(
          () => true,
          () => false,
        );
        if (isAlive && acknowledged.push(mail) === 60) await writer.kill();
      }
    });
    const there = new Set(await takeAll(mails, CREATED_AT));
    t.true(acknowledged.length >= 60);
    t.deepEqual(
      namesOf(acknowledged).filter((id) => !there.has(id)),
      [],
    );
  });
}

async function takeAll(mails: MailStore, now: number): Promise<string[]> {
  const names: string[] = [];
  for (let round = 1; await mails.hasDue(now); round++) {
    if (round > MAX_ROUNDS) throw new Error('what was taken is due again');
    names.push(...(await takeSome(mails, now)));
  }
  return names;
}

async function takeSome(mails: MailStore, now: number): Promise<string[]> {
  return namesOf(await take(mails, now, { limit: 10 }));
}

function namesOf(mails: readonly NewMail[]): string[] {
  return mails.map(({ id }) => Buffer.from(id).toString('hex'));
}

function plain({ id, sealed, ...others }: NewMail | TakenMail): object {
  return { ...others, id: Buffer.from(id).toString('hex'), sealed: Buffer.from(sealed).toString('hex') };
}
