import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type BaseOptions,
  Consumer,
  type Message,
  MessagesStreamModes,
  ProduceAcks,
  Producer,
} from '@platformatic/kafka';
import type { ExecutionContext } from 'ava';
import { partitionOf } from '../../../src/kafka/partition.ts';
import { remember } from '../process/leaks.ts';
import { until } from '../process/program.ts';

export type Answer = {
  id?: string | number;
  authenticated: boolean;
  user?: Record<string, string>;
  key: Buffer | undefined;
  headers: Record<string, string>;
  /** When it arrived, as `performance.now()`. */
  at: number;
};

export type Request = {
  value: object | string | Buffer | undefined;
  key?: Buffer | string;
  headers?: Record<string, string>;
};

/** A service that asks over Kafka. It comes back when a broker does. */
export type BusClient = {
  /** Every answer on the topic since it was created. */
  answers: readonly Answer[];
  /** Tries until the broker has them. */
  send(requests: readonly Request[]): Promise<void>;
  /** Asks about a token, and waits for the answer. */
  ask(token: string): Promise<Answer>;
  /** Waits until there is an answer for each id. @returns the first one of each. */
  waitFor(ids: readonly (string | number)[], ms?: number): Promise<Answer[]>;
};

/** @param more options of the library, for TLS and the like. */
export async function createBusClient(
  t: ExecutionContext<unknown>,
  address: string,
  more: Pick<BaseOptions, 'tls' | 'tlsServerName' | 'sasl'> = {},
): Promise<BusClient> {
  const base = { clientId: 'test', bootstrapBrokers: [address], retries: 0, ...more };
  const producer = new Producer<Buffer, Buffer, Buffer, Buffer>(base);
  const answers: Answer[] = [];
  const positions = new Map<number, bigint>();
  let isClosed = false;
  let consumer: Consumer | undefined;

  async function follow(onOpen: () => void): Promise<void> {
    while (!isClosed) {
      const options = { ...base, groupId: `test-${randomUUID()}`, autocommit: false, maxWaitTime: 500 };
      const current = new Consumer<Buffer, Buffer, Buffer, Buffer>(options);
      consumer = current;
      current.on('error', () => {});
      try {
        const latest = (await current.listOffsets({ topics: ['auth_response'] })).get('auth_response') ?? [];
        latest.forEach((offset, partition) => {
          if (!positions.has(partition)) positions.set(partition, offset);
        });
        const offsets = [...positions].map(([partition, offset]) => ({ topic: 'auth_response', partition, offset }));
        const stream = await current.consume({ topics: ['auth_response'], mode: MessagesStreamModes.MANUAL, offsets });
        onOpen();
        for await (const message of stream) {
          positions.set(message.partition, message.offset + 1n);
          answers.push(read(message));
        }
      } catch {
        await sleep(100);
      }
      await Promise.race([current.close(true).catch(() => {}), sleep(1_000)]);
    }
  }

  await new Promise<void>((resolve) => void follow(resolve));
  t.teardown(async () => {
    isClosed = true;
    await Promise.race([Promise.allSettled([consumer?.close(true), producer.close()]), sleep(2_000)]);
  });
  const client: BusClient = {
    answers,
    async send(requests) {
      const messages = requests.map(({ value, key, headers = {} }) => ({
        topic: 'auth_request',
        ...(key !== undefined && { key: Buffer.from(key), partition: partitionOf(Buffer.from(key)) }),
        ...(value !== undefined && { value: bytesOf(value) }),
        headers: new Map(Object.entries(headers).map(([name, text]) => [Buffer.from(name), Buffer.from(text)])),
      }));
      await until('the broker to take requests', () =>
        producer.send({ messages: messages as never, acks: ProduceAcks.ALL }).then(
          () => true,
          () => sleep(100).then(() => false),
        ),
      );
    },
    async ask(token) {
      remember(token);
      const id = randomUUID();
      await client.send([{ value: { token, id } }]);
      return (await client.waitFor([id]))[0] as Answer;
    },
    async waitFor(ids, ms) {
      const found = new Map<unknown, Answer>();
      let seen = 0;
      await until(
        `${ids.length} answers`,
        () => {
          for (; seen < answers.length; seen++) {
            const answer = answers[seen] as Answer;
            if (!found.has(answer.id)) found.set(answer.id, answer);
          }
          return ids.every((id) => found.has(id));
        },
        ms,
      );
      return ids.map((id) => found.get(id) as Answer);
    },
  };
  return client;
}

function bytesOf(value: object | string): Buffer {
  return Buffer.isBuffer(value) ? value : Buffer.from(typeof value === 'string' ? value : JSON.stringify(value));
}

function read({ key, value, headerEntries }: Message): Answer {
  const headers = Object.fromEntries(headerEntries.map((entry) => entry.map(String)));
  return { ...(JSON.parse(String(value)) as Answer), key, headers, at: performance.now() };
}
