import { setTimeout as sleep } from 'node:timers/promises';
import type { Consumer, Message, MessagesStream, Producer } from '@platformatic/kafka';
import type { KafkaUrl } from '../network/kafka-url.ts';
import { partitionOf } from './partition.ts';

/** Where requests come from, and where answers go. */
export const REQUESTS = 'auth_request';
export const ANSWERS = 'auth_response';
const GROUP = 'hushbox';

/** A worker that was killed is given up after this: then others get its partitions. */
const SESSION_MS = 10_000;
/** How long the others wait for a member that is busy when the partitions are dealt out again. */
const REBALANCE_MS = 10_000;
const HEARTBEAT_MS = 2_000;
/** Longer than a broker may hold a request of ours: it holds those to join while partitions are dealt out. */
const REQUEST_MS = REBALANCE_MS + 5_000;
const CONNECT_MS = 5_000;
const RETRIES = 2;
const RETRY_MS = 250;
/** How long the broker may wait for a message before it answers without one. */
const POLL_MS = 5_000;
const CLOSE_MS = 2_000;

/** What is asked for at a time, and about what waits in memory. */
const FETCH_BYTES = 1024 * 1024;
/** Messages that wait in memory before no more are fetched. A fetch brings as many as it brings. */
const FETCHED_ENOUGH = 16;
/** One step: it is answered together, and then committed. */
const STEP_MESSAGES = 200;
/** So that the answers of a step, which have the keys of the requests, fit into what a broker takes at a time (1 MB). */
const STEP_BYTES = 256 * 1024;

export type Incoming = Message<Buffer | undefined, Buffer | undefined>;
export type Outgoing = { key: Buffer | undefined; value: Buffer; headers: Map<Buffer, Buffer> };

/** A place in the consumer group. */
export type Membership = {
  /** Aborted when the place is lost, or given up: the reason says why. */
  signal: AbortSignal;
  /** Waits for messages. @returns some, in the order of their partitions. @throws the reason of `signal`. */
  next(): Promise<Incoming[]>;
  /** Resolves once the brokers have them, each on as many of them as the topic demands. */
  send(answers: readonly Outgoing[]): Promise<void>;
  /** All these, and those before them, need no answer any more. */
  commit(messages: readonly Incoming[]): Promise<void>;
  /** Messages that are not committed, in the partitions that this member has. */
  countLag(): Promise<number>;
  /** Leaves the group. */
  leave(): Promise<void>;
};

/**
 * Joins the consumer group. The library's defaults lose messages: it commits what it has only read, and begins at the end
 * of a topic.
 * @throws when no broker answers, or a topic does not exist.
 */
export async function joinGroup(url: KafkaUrl, stopping: AbortSignal): Promise<Membership> {
  const kafka = await import('@platformatic/kafka'); // only where it is served: it takes 20 MiB
  const options = connectionOptions(url);
  const producer: Producer = new kafka.Producer(options);
  const consumer: Consumer = new kafka.Consumer({
    ...options,
    ...{ groupId: GROUP, groupProtocol: 'classic', sessionTimeout: SESSION_MS, rebalanceTimeout: REBALANCE_MS },
    ...{ heartbeatInterval: HEARTBEAT_MS, maxWaitTime: POLL_MS, maxBytes: FETCH_BYTES, highWaterMark: FETCHED_ENOUGH },
    autocommit: false,
  });
  const lost = new AbortController();
  const signal = AbortSignal.any([stopping, lost.signal]);
  const lose = (error?: Error): void => lost.abort(error ?? new Error('the stream of messages has ended'));
  consumer.on('error', lose);
  consumer.on('consumer:heartbeat:stalled', () => lose(new Error('the group coordinator does not answer')));
  const leave = (): Promise<void> => closeAll(consumer, producer);
  try {
    await unlessAborted(producer.metadata({ topics: [REQUESTS, ANSWERS] }), signal);
    const { COMMITTED } = kafka.MessagesStreamModes;
    const { EARLIEST } = kafka.MessagesStreamFallbackModes;
    const consuming = consumer.consume({ topics: [REQUESTS], mode: COMMITTED, fallbackMode: EARLIEST });
    const stream = await unlessAborted(consuming, signal);
    stream.on('error', lose);
    stream.on('close', () => lose());
    return createMembership({ kafka, consumer, producer, stream, signal, lose, leave });
  } catch (error) {
    await leave();
    throw error;
  }
}

type Parts = Pick<Membership, 'signal' | 'leave'> & {
  kafka: Pick<typeof import('@platformatic/kafka'), 'ProduceAcks'>;
  consumer: Consumer;
  producer: Producer;
  stream: MessagesStream<Buffer, Buffer, Buffer, Buffer>;
  lose(error: Error): void;
};

function createMembership({ kafka, consumer, producer, stream, signal, lose, leave }: Parts): Membership {
  let wake = (): void => {};
  let partitions: number | undefined;
  let unkeyed = 0;
  stream.on('readable', () => wake());
  signal.addEventListener('abort', () => wake());

  return {
    signal,

    async next() {
      for (;;) {
        signal.throwIfAborted();
        const step = takeStep(stream);
        if (step.length > 0) return step;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },

    async send(answers) {
      const messages = answers.map(({ key, value, headers }) => ({
        ...{ topic: ANSWERS, value, headers },
        partition: key ? partitionOf(key) : unkeyed++ % 2 ** 31, // the library takes the remainder
        ...(key && { key }),
      }));
      await producer.send({ messages, acks: kafka.ProduceAcks.ALL });
    },

    async commit(messages) {
      const last = new Map(messages.map((message) => [message.partition, message]));
      const own = consumer.assignments?.find(({ topic }) => topic === REQUESTS)?.partitions ?? [];
      // Those of others are theirs to commit: they have answered these messages too, or will.
      const offsets = [...last.values()]
        .filter(({ partition }) => own.includes(partition))
        .map(({ topic, partition, offset, leaderEpoch }) => ({ topic, partition, offset: offset + 1n, leaderEpoch }));
      if (offsets.length > 0) await consumer.commit({ offsets });
    },

    async countLag() {
      const lags = (await consumer.getLag({ topics: [REQUESTS] })).get(REQUESTS) ?? [];
      partitions ??= lags.length;
      // The library deals out only those that were there when it joined.
      if (lags.length !== partitions) lose(new Error('the number of partitions has changed'));
      return lags.reduce((sum, lag) => sum + Math.max(0, Number(lag)), 0);
    },

    leave,
  };
}

function connectionOptions({ brokers, tls, sasl }: KafkaUrl) {
  return {
    clientId: 'hushbox',
    bootstrapBrokers: brokers.map(({ host, port }) => ({ host, port })),
    ...(tls && { tls: {}, tlsServerName: tls.servername }),
    ...(sasl && { sasl }),
    ...{ connectTimeout: CONNECT_MS, requestTimeout: REQUEST_MS, retries: RETRIES, retryDelay: RETRY_MS },
  };
}

function takeStep(stream: Parts['stream']): Incoming[] {
  const step: Incoming[] = [];
  for (let bytes = 0; step.length < STEP_MESSAGES && bytes < STEP_BYTES; ) {
    const message = stream.read() as Incoming | null;
    if (message === null) break;
    step.push(message);
    bytes += (message.key?.length ?? 0) + (message.value?.length ?? 0);
  }
  return step;
}

/** What is not waited for any more may fail unheard. */
async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  promise.catch(() => {});
  signal.throwIfAborted();
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(signal.reason);
  signal.addEventListener('abort', onAbort);
  return Promise.race([promise, aborted]).finally(() => signal.removeEventListener('abort', onAbort));
}

/** Leaves the group if a broker answers; in any case ends the connections, and with them the heartbeat. */
async function closeAll(consumer: Consumer, producer: Producer): Promise<void> {
  // After a stream that could not be closed the library goes on as a member, unless it is asked again.
  const leaving = consumer.close(true).catch(() => consumer.close(true));
  const closing = Promise.allSettled([leaving, producer.close()]);
  await Promise.race([closing, sleep(CLOSE_MS, undefined, { ref: false })]);
  for (const { connections } of [consumer, producer]) {
    for (const [, connection] of connections) connection.socket?.destroy();
  }
}
