import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual } from 'node:util';
import type { ExecutionContext } from 'ava';
import type { LinkStore } from '../../../src/auth/accounts/links-store.ts';
import type { AccountStore } from '../../../src/auth/accounts/store.ts';
import type { SessionStore, SightingStore } from '../../../src/auth/sessions/store.ts';
import type { CustomerStore } from '../../../src/business/store.ts';
import { AppError, type ErrorCode } from '../../../src/errors.ts';
import type { StoreLimits } from '../../../src/limits/limits.ts';
import type { LimitStore } from '../../../src/limits/store.ts';
import type { MailStore } from '../../../src/mail/store.ts';
import type { SecretStore } from '../../../src/secrets/store.ts';
import type { SinkStore } from '../../../src/sink/store.ts';
import type { EventStore } from '../../../src/webhooks/store.ts';
import { until } from '../../support/process/program.ts';
import { documentsIn } from '../mongo/documents.ts';

/** Some verbs of these have the same names. */
type NamedStores = {
  accounts: AccountStore;
  links: LinkStore;
  sessions: SessionStore;
  sightings: SightingStore;
  mails: MailStore;
};
/** The verbs of these have names of their own. */
type PlainStores = SecretStore & EventStore & SinkStore & CustomerStore & LimitStore;
type Stores = PlainStores & NamedStores;

export type Call = { number: number; store: StoreName; verb: string; values: readonly unknown[] };
export type StoreName = keyof typeof VERBS;
export type Answer = { number: number } & (
  | { result: unknown }
  | { failure: { code: ErrorCode; retryAfterSeconds: number | undefined } }
);

/** The verbs of a store that another process has open; what that process did not answer rejects. */
export type StoreProcess = Stores & {
  pid: number;
  /** kill -9, and what the store was asked to do by then is over. */
  kill(): Promise<void>;
  /** Ends as a program does that closes its store. */
  end(): Promise<void>;
};

const VERBS = {
  secrets: [
    'create',
    'admit',
    'find',
    'reserveTry',
    'refundTry',
    'claim',
    'reread',
    'findReceipt',
    'burn',
    'findRequest',
    'answer',
    'withdraw',
    'sweep',
  ] satisfies (keyof SecretStore)[],
  events: ['takeDue', 'finish', 'postpone', 'hasDue', 'countWaiting'] satisfies (keyof EventStore)[],
  mails: ['add', 'takeDue', 'finish', 'postpone', 'hasDue', 'countWaiting', 'sweepMails'] satisfies (keyof MailStore)[],
  sink: ['keepClaims', 'listClaims', 'sweepClaims'] satisfies (keyof SinkStore)[],
  customers: [
    'createCustomer',
    'updateCustomer',
    'deleteCustomer',
    'youngestCustomers',
    'listCustomers',
  ] satisfies (keyof CustomerStore)[],
  limits: ['take', 'giveBack'] satisfies (keyof LimitStore)[],
  accounts: [
    'create',
    'find',
    'findByEmail',
    'list',
    'rehash',
    'setPassword',
    'changePassword',
    'setProfile',
    'setDisabled',
    'delete',
  ] satisfies (keyof AccountStore)[],
  links: [
    'addLink',
    'findLink',
    'soleRegistration',
    'activate',
    'resetPassword',
    'changeEmail',
    'sweepLinks',
  ] satisfies (keyof LinkStore)[],
  sessions: [
    'create',
    'find',
    'extend',
    'offerCookie',
    'armCookie',
    'list',
    'end',
    'endAll',
    'sweepSessions',
  ] satisfies (keyof SessionStore)[],
  sightings: ['see', 'renew', 'has', 'sweepSightings'] satisfies (keyof SightingStore)[],
};
const CHILD = fileURLToPath(new URL('store-child.ts', import.meta.url));

/**
 * Starts a process that opens the store at `url`.
 * @param wrapper a command that runs the command after it.
 * @param limits those that are not wide.
 */
export async function openInProcess(
  t: ExecutionContext,
  url: string,
  wrapper: readonly string[] = [],
  limits: Partial<StoreLimits> = {},
): Promise<StoreProcess> {
  const [command = '', ...args] = [...wrapper, process.execPath, CHILD, url, JSON.stringify(limits)];
  const child = spawn(command, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], serialization: 'advanced' });
  const ended = once(child, 'exit');
  t.teardown(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  await Promise.race([once(child, 'message'), ended.then(() => Promise.reject(new Error('the process ended')))]);
  return {
    ...callsTo(child),
    pid: child.pid as number,
    async kill() {
      child.kill('SIGKILL');
      await ended;
      if (url.startsWith('mongodb:')) await untilSettled(url);
    },
    async end() {
      child.disconnect();
      await ended;
    },
  };
}

/** The server still does what it was asked to do by who is dead. */
async function untilSettled(url: string): Promise<void> {
  const look = async () => (await documentsIn(url)).map((document) => document.toString('latin1')).sort();
  let before: readonly string[] = [];
  await until('an end of all changes', async () => {
    const now = await look();
    const isSettled = isDeepStrictEqual(now, before);
    before = now;
    if (!isSettled) await sleep(500);
    return isSettled;
  });
}

function callsTo(child: ChildProcess): Stores {
  const waiting = new Map<number, { resolve: (result: unknown) => void; reject: (error: Error) => void }>();
  let calls = 0;

  function call(store: StoreName, verb: string, values: readonly unknown[]): Promise<unknown> {
    if (!child.connected) return Promise.reject(new Error('the process ended'));
    const number = ++calls;
    return new Promise((resolve, reject) => {
      waiting.set(number, { resolve, reject });
      child.send({ number, store, verb, values } satisfies Call, () => {}); // a failed send is told by 'disconnect'
    });
  }

  child.on('message', (message: Answer) => {
    const caller = waiting.get(message.number);
    waiting.delete(message.number);
    if ('result' in message) return caller?.resolve(message.result);
    const { code, retryAfterSeconds } = message.failure;
    caller?.reject(new AppError(code, retryAfterSeconds === undefined ? {} : { retryAfterSeconds }));
  });
  child.on('disconnect', () => {
    for (const { reject } of waiting.values()) reject(new Error('the process ended'));
  });
  const verbsOf = (store: StoreName): object =>
    Object.fromEntries(VERBS[store].map((verb) => [verb, (...values: unknown[]) => call(store, verb, values)]));
  const plain = (['secrets', 'events', 'sink', 'customers', 'limits'] as const).map(verbsOf);
  const named = (['accounts', 'links', 'sessions', 'sightings', 'mails'] as const).map((store) => [
    store,
    verbsOf(store),
  ]);
  return Object.assign({}, ...plain, Object.fromEntries(named)) as Stores;
}
