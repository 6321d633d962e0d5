import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Admin } from '@platformatic/kafka';
import type { ExecutionContext } from 'ava';
import { findFreePort } from '../process/free-port.ts';
import { testIf } from '../process/needs.ts';
import { temporaryFolder } from '../storage/storage.ts';

const { KAFKA_DIR } = process.env;
const run = promisify(execFile);

/** One after the other: each has a broker or a consumer group for itself. */
export const withKafka = testIf(KAFKA_DIR !== undefined, 'KAFKA_DIR').serial;

/** A real broker on loopback, in a folder of its own. */
export type Broker = {
  address: string;
  stop(how?: 'kill'): Promise<void>;
  /** With its data, on the same port. */
  start(): Promise<void>;
};

export type BrokerOptions = {
  partitions?: number;
  /** Default: one that stays free for this file while the broker is stopped. */
  port?: number;
  /** Lines for its configuration; they win over ours. */
  extra?: readonly string[];
  /** Default: those of the service. */
  topics?: readonly string[];
};

export async function addTopic(address: string, topic: string, partitions = 2): Promise<void> {
  await administer(address, (admin) => admin.createTopics({ topics: [topic], partitions, replicas: 1 }));
}

export async function addPartitions(address: string, name: string, count: number): Promise<void> {
  await administer(address, (admin) => admin.createPartitions({ topics: [{ name, count }] }));
}

async function administer(address: string, run: (admin: Admin) => Promise<unknown>): Promise<void> {
  const admin = new Admin({ clientId: 'test', bootstrapBrokers: [address] });
  await run(admin);
  await admin.close();
}

export async function startBroker(t: ExecutionContext<unknown>, options: BrokerOptions = {}): Promise<Broker> {
  const { partitions = 2, port: given, extra = [], topics = ['auth_request', 'auth_response'] } = options;
  const free = await findFreePort(2);
  const [port, control] = [given ?? free, free + 1];
  const ports = [
    `controller.quorum.voters=1@127.0.0.1:${control}`,
    `listeners=PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${control}`,
  ];
  const parent = await temporaryFolder(t as ExecutionContext);
  const file = join(parent, 'extra');
  await writeFile(file, [...ports, ...extra, ''].join('\n'));
  const call = (program: string, ...args: string[]) =>
    run(join(KAFKA_DIR as string, program), args, {
      env: { ...process.env, KAFKA_EXTRA: file, KAFKA_PORT: String(port) },
    });
  const folder = join(parent, 'broker');
  const begin = () =>
    call('start', folder).catch(async (error) => {
      t.log(error);
      // On a busy machine the program can look for its broker before that is there, and take it for ended.
      await sleep(1_000);
      await call('stop', '--kill', folder);
      return call('start', folder);
    });
  const { stdout } = await begin();
  const address = stdout.trim().split('\n').at(-1) as string;
  t.teardown(() => call('stop', '--kill', folder));
  for (const topic of topics) await addTopic(address, topic, partitions);
  return {
    address,
    async stop(how) {
      await call('stop', ...(how ? [`--${how}`] : []), folder);
    },
    async start() {
      await begin();
    },
  };
}
