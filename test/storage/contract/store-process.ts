import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';
import type { CustomerStore } from '../../../src/business/store.ts';
import { AppError, type ErrorCode } from '../../../src/errors.ts';
import type { StoreLimits } from '../../../src/limits/limits.ts';
import type { LimitStore } from '../../../src/limits/store.ts';
import type { SecretStore } from '../../../src/secrets/store.ts';
import type { SinkStore } from '../../../src/sink/store.ts';
import type { EventStore } from '../../../src/webhooks/store.ts';

/** Their verbs have names of their own. */
type Stores = SecretStore & EventStore & SinkStore & CustomerStore & LimitStore;

export type Call = { number: number; verb: keyof Stores; values: readonly unknown[] };
export type Answer = { number: number } & (
  | { result: unknown }
  | { failure: { code: ErrorCode; retryAfterSeconds: number | undefined } }
);

/** The verbs of a store that another process has open; what that process did not answer rejects. */
export type StoreProcess = Stores & {
  pid: number;
  /** kill -9 */
  kill(): Promise<void>;
  /** Ends as a program does that closes its store. */
  end(): Promise<void>;
};

const VERBS = [
  'create',
  'admit',
  'find',
  'reserveTry',
  'refundTry',
  'claim',
  'reread',
  'findReceipt',
  'burn',
  'sweep',
  'takeDue',
  'finish',
  'postpone',
  'hasDue',
  'countWaiting',
  'keepClaims',
  'listClaims',
  'sweepClaims',
  'createCustomer',
  'updateCustomer',
  'deleteCustomer',
  'youngestCustomers',
  'listCustomers',
  'take',
  'giveBack',
] as const satisfies readonly Call['verb'][];
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
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL');
    await ended;
  };
  t.teardown(kill);
  await Promise.race([once(child, 'message'), ended.then(() => Promise.reject(new Error('the process ended')))]);
  return {
    ...callsTo(child),
    pid: child.pid as number,
    kill,
    async end() {
      child.disconnect();
      await ended;
    },
  };
}

function callsTo(child: ChildProcess): Stores {
  const waiting = new Map<number, { resolve: (result: unknown) => void; reject: (error: Error) => void }>();
  let calls = 0;

  function call(verb: Call['verb'], values: readonly unknown[]): Promise<unknown> {
    if (!child.connected) return Promise.reject(new Error('the process ended'));
    const number = ++calls;
    return new Promise((resolve, reject) => {
      waiting.set(number, { resolve, reject });
      child.send({ number, verb, values } satisfies Call, () => {}); // a failed send is told by 'disconnect'
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
  const verbs = VERBS.map((verb) => [verb, (...values: unknown[]) => call(verb, values)]);
  return Object.fromEntries(verbs) as unknown as Stores;
}
