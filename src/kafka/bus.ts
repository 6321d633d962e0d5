import { setTimeout as sleep } from 'node:timers/promises';
import { pulse } from '../clock.ts';
import type { KafkaUrl } from '../network/kafka-url.ts';
import { type Incoming, joinGroup, type Membership, type Outgoing } from './membership.ts';
import { formatAnswer, parseRequest, type Request, type User } from './messages.ts';

const FIRST_DELAY_MS = 250;
const MOST_DELAY_MS = 5_000;
const LAG_MS = 5_000;
/** Of the time to stop, what leaving the group needs has to be left. */
const STOP_MS = 3_000;
/** Headers by which clients find the answer to their request, and how long one may be. */
const CORRELATION = new Set(['correlation-id', 'correlation_id', 'correlationId', 'kafka_correlationId']);
const CORRELATION_MAX_BYTES = 256;

export const RESULTS = ['authenticated', 'refused', 'malformed'] as const;
export type Result = (typeof RESULTS)[number];

export type BusParts = {
  url: KafkaUrl;
  /** Whose a token is; undefined if it is not good. Extends nothing. Rejects while nobody can say. */
  look(token: string): Promise<User | undefined>;
  report: BusReport;
};

/** What happens, for logs and metrics: what goes away is reported once until it is back. */
export type BusReport = {
  joined(): void;
  away(error: Error): void;
  storageAway(error: Error): void;
  storageBack(): void;
  malformed(place: { topic: string; partition: number; offset: string }): void;
  done(result: Result): void;
};

export type Bus = {
  start(): void;
  /** Whether it is a member of the group now. */
  isMember(): boolean;
  /** Messages that wait in its partitions, as of some seconds ago; 0 while it is no member. */
  lag(): number;
  /** Answers what it has begun, and leaves the group. Takes a few seconds at most. */
  stop(): Promise<void>;
};

/**
 * Verifies tokens over Kafka, at least once each: a message counts as done when its answer is acknowledged. Where that is
 * not known, it is answered again, by this member or another one.
 */
export function createBus({ url, look, report }: BusParts): Bus {
  const stopping = new AbortController();
  let running: Promise<void> | undefined;
  let member: Membership | undefined;
  let lag = 0;
  let isAway = false;

  async function run(): Promise<void> {
    for (let delayMs = FIRST_DELAY_MS; !stopping.signal.aborted; delayMs = Math.min(2 * delayMs, MOST_DELAY_MS)) {
      try {
        member = await joinGroup(url, stopping.signal);
        isAway = false;
        report.joined();
        void watchLag(member);
        for (;;) {
          await step(member, await member.next());
          delayMs = FIRST_DELAY_MS;
        }
      } catch (error) {
        if (!stopping.signal.aborted && !isAway) report.away(error as Error);
        isAway = true;
      }
      await leave();
      await pause(delayMs, stopping.signal);
    }
  }

  async function leave(): Promise<void> {
    const left = member;
    member = undefined;
    lag = 0;
    await left?.leave();
  }

  async function watchLag(membership: Membership): Promise<void> {
    while (member === membership) {
      const counted = await membership.countLag().catch(() => undefined); // what is wrong shows elsewhere
      if (member === membership && counted !== undefined) lag = counted;
      await pulse(LAG_MS, membership.signal);
    }
  }

  async function step(membership: Membership, messages: readonly Incoming[]): Promise<void> {
    const requests = messages.map((message) => ({ message, request: parseRequest(message.key, message.value) }));
    const known = requests.filter((one): one is Known => one.request !== undefined);
    const users = await lookAtAll(known, membership.signal);
    if (known.length > 0) await membership.send(known.map((one, index) => answerTo(one, users[index])));
    await membership.commit(messages);
    for (const { message, request } of requests) {
      if (request) continue;
      const { topic, partition, offset } = message;
      report.malformed({ topic, partition, offset: String(offset) });
      report.done('malformed');
    }
    for (const user of users) report.done(user ? 'authenticated' : 'refused');
  }

  /** Waits until it is known of each. A token that was good before the storage was away is looked at again. */
  async function lookAtAll(known: readonly Known[], signal: AbortSignal): Promise<(User | undefined)[]> {
    let isStorageAway = false;
    for (let delayMs = FIRST_DELAY_MS; ; delayMs = Math.min(2 * delayMs, MOST_DELAY_MS)) {
      try {
        const users = await Promise.all(known.map(({ request }) => look(request.token)));
        if (isStorageAway) report.storageBack();
        return users;
      } catch (error) {
        if (!isStorageAway) report.storageAway(error as Error);
        isStorageAway = true;
      }
      await pause(delayMs, signal);
      signal.throwIfAborted();
    }
  }

  return {
    start() {
      running ??= run();
    },
    isMember: () => member !== undefined,
    lag: () => lag,
    async stop() {
      stopping.abort(new Error('the worker stops'));
      await Promise.race([running, pause(STOP_MS)]);
    },
  };
}

type Known = { message: Incoming; request: Request };

function answerTo({ message, request }: Known, user: User | undefined): Outgoing {
  const headers = message.headerEntries.filter(
    ([name, value]) => CORRELATION.has(String(name)) && value?.length <= CORRELATION_MAX_BYTES,
  );
  return { key: message.key, value: formatAnswer(request, user), headers: new Map(headers) };
}

/** Random, so that workers that lost a broker together do not come back together. */
async function pause(ms: number, signal?: AbortSignal): Promise<void> {
  await sleep(ms * (0.75 + Math.random() / 2), undefined, { ref: false, ...(signal && { signal }) }).catch(() => {});
}
